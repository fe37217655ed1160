# Token lists from elsewhere, without any model:
# `snakemake label_lists --config lists=FILE.jsonl tokenizer=DIRECTORY labeller=coherence`.
#
# needs   the lists and, for labellers that know a vocabulary, the tokenizer; rules/vocabulary.smk makes of it what they need
# makes   results/lists/{name of the file}.{labeller}.parquet: labels of the lists, calibrated by shuffles of them, or where
#         they are few by lists drawn from the vocabulary; the metadata say which

LISTS = Path(config.get("lists", "none.jsonl")).stem
LIST_LABELLER = config.get("labeller", "coherence")


def list_inputs(wildcards):
    """The file of lists, and the files that the labeller needs of their tokenizer."""
    entry = LABELLERS[LIST_LABELLER]
    if not entry.external_module:
        able = ", ".join(name for name, other in LABELLERS.items() if other.external_module)
        stop(f"labeller={LIST_LABELLER} labels no lists from elsewhere. Take one of {able}.")
    if "lists" not in config:
        stop(
            "label_lists needs lists: --config lists=FILE.jsonl tokenizer=DIRECTORY labeller=coherence. A line of the "
            'file is an object such as {"id": "a", "tokens": [" fire", " ice"]}.'
        )
    if not Path(config["lists"]).exists():
        stop(f"lists={config['lists']}: there is no such file. Give one of JSON lines.")
    files = {name: pattern.format(model=TOKENIZER) for name, pattern in entry.files.items()}
    if entry.asks:
        files["answers"] = paths.ANSWERS.format(of="lists", lists=LISTS, labeller=LIST_LABELLER)
    return {"lists": config["lists"] if are_made() else local(config["lists"]), **files}


def are_made():
    """Whether another rule makes the lists."""
    return Path(config["lists"]).absolute().is_relative_to(Path("results").absolute())


def list_content(wildcards):
    """The content of the file of lists; one that another rule makes is known by its own date."""
    return None if are_made() else content_digest(Path(config["lists"]))


def list_code(wildcards):
    return code_hash("label_lists", LABELLERS[LIST_LABELLER].external_module)


rule label_lists:
    """Labels of token lists from elsewhere."""
    input:
        unpack(list_inputs),
    output:
        labels=f"results/lists/{LISTS}.{LIST_LABELLER}.parquet",
    log:
        f"results/logs/label_lists/{LISTS}.{LIST_LABELLER}.log",
    benchmark:
        f"results/benchmarks/label_lists/{LISTS}.{LIST_LABELLER}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(30, per_gb=300),
    params:
        labeller=LIST_LABELLER,
        tokenizer=TOKENIZER,
        content=list_content,
        parameters=SWEEP.labeller_parameters(LIST_LABELLER),
        seed=config["seed"],
        code=list_code,
    script:
        "../scripts/label_lists.py"
