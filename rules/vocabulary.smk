# From a tokenizer to what is known of its tokens. {vocabulary} is a model, or the tokenizer of lists from elsewhere.
#
# needs   results/models/{model}/ and results/weights/{model}/, or a directory with a tokenizer; resources/lexicon
# makes   results/vocabulary/{vocabulary}/tokens.parquet: the text of each token
#         results/vocabulary/{vocabulary}/{features,classes}.parquet: frequency, and classes of tokens
#         results/vocabulary/{vocabulary}/embeddings.safetensors: sentence embeddings of them

from svdlens.sweep.named_files import tokenizer_name, tokenizer_paths

TOKENIZER = tokenizer_name(Path(config["tokenizer"])) if "tokenizer" in config else "tokenizer_none"


def vocabulary_source(wildcards):
    """The files that a vocabulary is read from, all in one directory; provenance.json, which stands for it, is one."""
    if wildcards.vocabulary in config["models"]:
        return [paths.PROVENANCE.format(model=wildcards.vocabulary)]
    if "tokenizer" not in config:
        stop(
            "label_lists needs the tokenizer that the lists come from: --config tokenizer=DIRECTORY, with tokenizer.json, "
            "or vocab.json and merges.txt."
        )
    files = tokenizer_paths(Path(config["tokenizer"]))
    if not files:
        stop(
            f"tokenizer={config['tokenizer']}: no directory with tokenizer.json, or vocab.json and merges.txt. Give that of "
            "the model that the lists come from."
        )
    return [local(ancient(str(path))) for path in files]  # what they say is in the name of the vocabulary


def vocabulary_model(wildcards, output):
    """The source of the model that the vocabulary is of; nothing for lists from elsewhere, whose tokenizer is not ours."""
    if wildcards.vocabulary in config["models"]:
        return catalogue_source(wildcards.vocabulary)
    return {}


def vocabulary_counts(wildcards):
    """The file with the counts of a model's tokens, where the catalogue has one beside the model's own."""
    counts = config["models"].get(wildcards.vocabulary, {}).get("token_counts")
    return [local(ancient(counts))] if counts else []  # its content is a parameter


def vocabulary_counts_content(wildcards):
    return [content_digest(Path(path)) for path in vocabulary_counts(wildcards)]


LEXICON = {name: project_path(f"resources/lexicon/{name}.parquet") for name in ("words", "concepts", "irregular_forms")}


def lexicon_content(wildcards):
    """Dates of the files are those of the checkout, which say nothing."""
    return [content_digest(Path(path)) for path in LEXICON.values()]


def vocabulary_weights(wildcards):
    """The file with the unembedding of a model, which tells how frequent its tokens are where there are no counts."""
    if wildcards.vocabulary in config["models"] and not vocabulary_counts(wildcards):
        return [f"results/weights/{wildcards.vocabulary}/unembed.safetensors"]
    return []


wildcard_constraints:
    vocabulary="|".join(re.escape(name) for name in [*config["models"], TOKENIZER]),


rule decode_tokens:
    """The text of each token of a vocabulary."""
    input:
        source=vocabulary_source,
    output:
        tokens="results/vocabulary/{vocabulary}/tokens.parquet",
    log:
        "results/logs/decode_tokens/{vocabulary}.log",
    benchmark:
        "results/benchmarks/decode_tokens/{vocabulary}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        source=vocabulary_model,
        code=code_hash("decode_tokens"),
    script:
        "../scripts/decode_tokens.py"


rule classify_tokens:
    """How frequent each token of a vocabulary is, and the classes that it is in."""
    input:
        **{name: local(ancient(path)) for name, path in LEXICON.items()},
        source=vocabulary_source,
        tokens="results/vocabulary/{vocabulary}/tokens.parquet",
        token_counts=vocabulary_counts,
        weights=vocabulary_weights,
    output:
        features="results/vocabulary/{vocabulary}/features.parquet",
        classes="results/vocabulary/{vocabulary}/classes.parquet",
    log:
        "results/logs/classify_tokens/{vocabulary}.log",
    benchmark:
        "results/benchmarks/classify_tokens/{vocabulary}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000, times_input=4),
        runtime=minutes(20),
    params:
        source=vocabulary_model,
        token_counts=vocabulary_counts_content,
        lexicon=lexicon_content,
        code=code_hash("classify_tokens"),
    script:
        "../scripts/classify_tokens.py"


rule embed_tokens:
    """A sentence embedding of each token of a vocabulary, and of the names of its classes."""
    input:
        tokens="results/vocabulary/{vocabulary}/tokens.parquet",
        features="results/vocabulary/{vocabulary}/features.parquet",
        classes="results/vocabulary/{vocabulary}/classes.parquet",
    output:
        embeddings="results/vocabulary/{vocabulary}/embeddings.safetensors",
    log:
        "results/logs/embed_tokens/{vocabulary}.log",
    benchmark:
        "results/benchmarks/embed_tokens/{vocabulary}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_hash("embed_tokens"),
    script:
        "../scripts/embed_tokens.py"
