# Edits of the weights: directions of the configuration's `edits` scaled. On request, `snakemake edits`, `snakemake edited_model`.
#
# needs   results/models/{model}, results/svd/..., results/spectra/..., results/tokens/..., results/labels/... where there are labels,
#         results/weights/{model}/{attention,mlp}.safetensors, results/vocabulary/{model}/{tokens,features}.parquet, a text
#         results/trace/... of edits of what a query finds
# makes   results/edits/{edit}/directions.parquet: which directions, with their lists
#         results/edits/{edit}/{effect,summary,dose,spectrum}.parquet, continuations.csv: what the edit does
#         results/edits/{edit}/model: the edited model
from svdlens.errors import did_you_mean


def edit_of(wildcards):
    """An edit of the configuration."""
    name = wildcards.edit
    if name not in SWEEP.edits:
        known = ", ".join(SWEEP.edits) or "none"
        stop(
            f"no such file: {name!r} is none of the edits of the configuration: {known}.{did_you_mean(name, SWEEP.edits)}"
        )
    return SWEEP.edits[name]


def in_edited_places(pattern):
    """An input function: `pattern` for each kind of matrix that an edit changes."""

    def files(wildcards):
        edit_of(wildcards)
        return [pattern.format(**place._asdict()) for place in SWEEP.edited_places(wildcards.edit)]

    return files


def edit_svd(wildcards):
    edit_of(wildcards)
    return [SWEEP.svd_path(paths.SVD, place) for place in SWEEP.edited_places(wildcards.edit)]


def edit_labels(wildcards):
    """What the labeller that figures draw says of the lists, where it is in the sweep."""
    edit_of(wildcards)
    places = [LabelledPlace(*place, SWEEP.figure_labeller) for place in SWEEP.edited_places(wildcards.edit)]
    own = LABELLERS[SWEEP.figure_labeller].lists
    return [paths.LABELS.format(**place._asdict()) for place in places if place in SWEEP.labelled_places and not own]


def edit_trace(wildcards):
    """The table of the trace whose directions it is."""
    edit, query = edit_of(wildcards), SWEEP.edit_query(wildcards.edit)
    if query is None:
        return []
    if query not in SWEEP.query_names:
        stop(
            f"edits.{wildcards.edit}.directions.trace: {query!r} is not looked for, because `query` takes the place of all "
            "queries of the configuration. Leave `query` out."
        )
    return [paths.TRACE.format(model=edit["model"], setting=edit["setting"])]


def edit_is_proportional(wildcards):
    return edit_of(wildcards)["eps"] == "proportional"


def edit_fit(wildcards):
    """Where the eps is that measuring has fitted."""
    return [paths.EDIT_SUMMARY.format(edit=wildcards.edit)] if edit_of(wildcards)["eps"] == "fitted" else []


def edit_source(wildcards, output):
    """Made of `output`, as model_source."""
    return catalogue_source(SWEEP.edits[wildcards.edit]["model"])


def edit_provenance(wildcards):
    return paths.PROVENANCE.format(model=edit_of(wildcards)["model"])


def edit_switches(wildcards):
    return config["settings"][edit_of(wildcards)["setting"]]


def edit_matrices(wildcards):
    return SWEEP.edited_matrices(wildcards.edit)


def edit_parameters(*keys):
    """An input function: what an edit says under these keys."""

    def parameters(wildcards):
        edit = edit_of(wildcards)
        return {key: edit[key] for key in keys if key in edit}

    return parameters


def edit_given(wildcards):
    """The text, and the prompts where they are a file."""
    edit, default = edit_of(wildcards), project_path("resources/text/wordnet_definitions.txt")
    files = {"text": edit.get("text", default)}
    if isinstance(edit.get("prompts"), str):
        files["prompts"] = edit["prompts"]
    for key, path in files.items():
        if not Path(path).is_file():
            stop(f"edits.{wildcards.edit}.{key}: there is no file {path}. Give one by its path from {Path.cwd()}.")
    return files


def edit_model_files(wildcards):
    """What the model, its vocabulary and its weights are read from."""
    model = edit_of(wildcards)["model"]
    vocabulary = {name: f"results/vocabulary/{model}/{name}.parquet" for name in ("tokens", "features")}
    return vocabulary | {group: paths.WEIGHTS.format(model=model, group=group) for group in ("attention", "mlp")}


def edit_content(wildcards):
    """What tells whether the files that the edit names are others."""
    return {key: content_digest(Path(path)) for key, path in edit_given(wildcards).items()}


def asked_edits(*patterns):
    """An input function: these files of every edit; an error where there is none."""

    def files(wildcards):
        if not SWEEP.edits:
            stop(
                "there is no edit. Write one into the configuration, such as edits: {fire: {model: "
                f"{SWEEP.models[0]}, setting: {SWEEP.choice(SWEEP.models[0], 'settings')[0]}, directions: "
                "[{matrix: ov, layer: 0, head: 0, index: 0}]}} (docs/edits.md)."
            )
        return SWEEP.over_edits(*patterns)

    return files


def edit_figures(wildcards):
    return figure_paths(SWEEP, ["edit_effect", "edit_spectrum", "edit_dose"])


def saved_edits(wildcards):
    """The models of all edits; what leaves the weights as they are has none."""
    direct = [name for name, edit in SWEEP.edits.items() if edit["path"] == "direct"]
    if direct:
        stop(
            f"edits.{direct[0]}.path: direct is no change of weights, which all later layers would see, so that no model can "
            "be saved. Write path: total, or ask for `snakemake edits`."
        )
    return asked_edits(paths.EDITED_MODEL)(wildcards)


rule choose_directions:
    """The directions of an edit, with their lists and labels; its log says which are not unique."""
    input:
        spectra=in_edited_places(paths.SPECTRA),
        tokens=in_edited_places(paths.TOKENS),
        labels=edit_labels,
        trace=edit_trace,
        provenance=edit_provenance,
    output:
        directions=paths.EDIT_DIRECTIONS,
    log:
        "results/logs/choose_directions/{edit}.log",
    benchmark:
        "results/benchmarks/choose_directions/{edit}.tsv"
    wildcard_constraints:
        # Any name: the input functions say which are none.
        edit="[^/]+",
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(10),
    params:
        edit=edit_parameters("setting", "directions", "groups"),
        matrices=edit_matrices,
        proportional=edit_is_proportional,
        code=code_hash("choose_directions"),
    script:
        "../scripts/choose_directions.py"


rule measure_edit:
    """What an edit does to target tokens, beside controls, to a neutral text, and to the spectrum of the matrix."""
    input:
        unpack(edit_given),
        unpack(edit_model_files),
        provenance=edit_provenance,
        directions=paths.EDIT_DIRECTIONS,
        svd=edit_svd,
    output:
        effect=paths.EDIT_EFFECT,
        summary=paths.EDIT_SUMMARY,
        dose=paths.EDIT_DOSE,
        spectrum=paths.EDIT_SPECTRUM,
        continuations=paths.EDIT_CONTINUATIONS,
    log:
        "results/logs/measure_edit/{edit}.log",
    benchmark:
        "results/benchmarks/measure_edit/{edit}.tsv"
    wildcard_constraints:
        edit="[^/]+",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(3000, times_input=2, times_model=4),
        runtime=minutes(60, per_model_gb=60),
    params:
        edit=edit_parameters("model", "setting", "eps", "path", "prompts"),
        switches=edit_switches,
        matrices=edit_matrices,
        content=edit_content,
        seed=config["seed"],
        source=edit_source,
        code=code_hash("measure_edit"),
    script:
        "../scripts/measure_edit.py"


rule save_edited_model:
    """An edited model with its tokenizer, as a directory that transformers and TransformerLens load."""
    input:
        provenance=edit_provenance,
        directions=paths.EDIT_DIRECTIONS,
        svd=edit_svd,
        fitted=edit_fit,
    output:
        model=directory(paths.EDITED_MODEL),
    log:
        "results/logs/save_edited_model/{edit}.log",
    benchmark:
        "results/benchmarks/save_edited_model/{edit}.tsv"
    wildcard_constraints:
        edit="[^/]+",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(3000, times_input=2, times_model=4),
        runtime=minutes(30, per_model_gb=10),
    params:
        edit=edit_parameters("model", "setting", "eps"),
        switches=edit_switches,
        matrices=edit_matrices,
        source=edit_source,
        code=code_hash("save_edited_model"),
    script:
        "../scripts/save_edited_model.py"


rule edits:
    """What the edits of the configuration do: tables, continuations and figures."""
    input:
        asked_edits(paths.EDIT_DIRECTIONS, paths.EDIT_SUMMARY),
        edit_figures,


rule edited_model:
    """The edited models, one for each edit of the configuration."""
    input:
        saved_edits,
