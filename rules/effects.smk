# What directions do to what a model predicts, and read-write cards. On request, `snakemake effects` and `snakemake cards`.
#
# needs   results/models/{model}, results/svd/..., results/tokens/..., a text; for cards results/labels/... in place of the text
# makes   results/effects/model=/setting=/{matrix}.parquet: of each direction the slope of a metric, by one forward and one
#         backward pass, and its direct effect on its own tokens
#         results/cards/model=/setting=/ov.parquet: what each direction of OV reads and writes, and how alike the two are
#         results/read_write_gaps/model=/setting=/ov.parquet: how much more of one side is interpretable

DEFAULT_TEXT = project_path("resources/text/wordnet_definitions.txt")


def effect_files(wildcards):
    """The effects of the whole sweep, of the models that predict a next token."""
    if not SWEEP.effect_places:
        stop(
            "no direction of this sweep has an effect to measure: that takes a model that predicts a next token, which an encoder, "
            f"a difference or an adapter does not, and one of the matrices {', '.join(SCALED)}. Name such in sweep.models and sweep.matrices."
        )
    return [paths.EFFECTS.format(**place._asdict()) for place in SWEEP.effect_places]


def card_files(wildcards):
    if not SWEEP.card_places:
        stop("cards are of directions that read and write, those of ov. Add ov to sweep.matrices.")
    return [
        pattern.format(**place._asdict())
        for pattern in (paths.CARDS, paths.READ_WRITE_GAPS)
        for place in SWEEP.card_places
    ]


def check_basis_is_svd(what):
    if SWEEP.basis != "svd":
        stop(
            f"{what} are of singular vectors, and the directions of this sweep are another basis of the same subspaces. Write basis: svd."
        )


def effect_svd(wildcards):
    place = setting_place(wildcards)
    check_basis_is_svd("effects")
    if SWEEP.is_change(place.model):
        stop(
            f"{place.model} is a difference or an adapter, which predicts no token: effects are measured of models by themselves."
        )
    if place.matrix not in SCALED:
        stop(
            f"no such file: effects are of {', '.join(SCALED)}, and {place.matrix} is no matrix in which directions are scaled."
        )
    return SWEEP.svd_path(paths.SVD, place)


def card_svd(wildcards):
    check_basis_is_svd("cards")
    place = setting_place(wildcards)
    if place.matrix != "ov":
        stop(f"no such file: cards are of directions that read and write, those of ov, and not of {place.matrix}.")
    return SWEEP.svd_path(paths.SVD, place)


def card_labels(wildcards):
    """What the labeller that figures draw says of them."""
    place = LabelledPlace(*setting_place(wildcards), SWEEP.figure_labeller)
    if place not in SWEEP.labelled_places:
        stop(
            f"cards show labels, and {place.labeller} labels no {place.matrix} of {place.model}. Name another in figures.labeller."
        )
    return paths.LABELS.format(**place._asdict())


# Made of `output`, so that Snakemake does not hold it against the last run: the same text elsewhere is the same text.
def effect_text(wildcards, output):
    return config["effects"].get("text", DEFAULT_TEXT)


def effect_text_content(wildcards):
    path = Path(effect_text(wildcards, None))
    if not path.is_file():
        stop(
            f"effects.text: there is no file {path}. Give a text file, relative to the working directory, or leave `text` out."
        )
    return content_digest(path)


rule measure_effects:
    """First-order and direct effects of all directions of one kind of matrix, from one forward and one backward pass."""
    input:
        provenance=paths.PROVENANCE,
        svd=effect_svd,
        tokens=paths.TOKENS,
    output:
        effects=paths.EFFECTS,
    log:
        "results/logs/measure_effects/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/measure_effects/{model}/{setting}/{matrix}.tsv"
    conda:
        "../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(4000, times_input=2, times_model=4),
        runtime=minutes(60, per_model_gb=60),
    params:
        text=effect_text,
        text_content=effect_text_content,
        tokens=config["effects"]["tokens"],
        metric=config["effects"]["metric"],
        switches=setting_switches,
        source=model_source,
        code=code_hash("measure_effects"),
    script:
        "../scripts/measure_effects.py"


rule write_cards:
    """What each direction that reads and writes has on its two sides, and how alike these are."""
    input:
        provenance=paths.PROVENANCE,
        svd=card_svd,
        tokens=paths.TOKENS,
        labels=card_labels,
    output:
        cards=paths.CARDS,
        gaps=paths.READ_WRITE_GAPS,
    log:
        "results/logs/write_cards/{model}/{setting}/{matrix}.log",
    benchmark:
        "results/benchmarks/write_cards/{model}/{setting}/{matrix}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=5),
        runtime=minutes(20),
    params:
        labeller=SWEEP.figure_labeller,
        criteria=SWEEP.criteria(SWEEP.figure_labeller),
        switches=setting_switches,
        code=code_hash("write_cards"),
    script:
        "../scripts/write_cards.py"
