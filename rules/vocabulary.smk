# From a tokenizer to what is known of its tokens. {vocabulary} is a model, or the tokenizer of lists from elsewhere.
#
# needs   results/models/{model}/ and results/weights/{model}/, or a directory with a tokenizer; resources/lexicon
# makes   results/vocabulary/{vocabulary}/tokens.parquet: the text of each token
#         results/vocabulary/{vocabulary}/{features,classes}.parquet: frequency, and classes of tokens
#         results/vocabulary/{vocabulary}/embeddings.safetensors: sentence embeddings of them

from svdlens.sweep.named_files import tokenizer_name, tokenizer_paths

TOKENIZER = tokenizer_name(Path(config["tokenizer"])) if "tokenizer" in config else "tokenizer_none"


def vocabulary_source(wildcards):
    """The files that a vocabulary is read from."""
    if wildcards.vocabulary in config["models"]:
        return paths.PROVENANCE.format(model=wildcards.vocabulary)
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
    return [ancient(str(path)) for path in files]  # what they say is in the name of the vocabulary


# Made of `output`, so that Snakemake does not hold it against the last run: the same files elsewhere are the same.
def vocabulary_directory(wildcards, output):
    if wildcards.vocabulary in config["models"]:
        return f"results/models/{wildcards.vocabulary}"
    return config["tokenizer"]


def vocabulary_counts(wildcards):
    """The file with the counts of a model's tokens, where the catalogue has one beside the model's own."""
    counts = config["models"].get(wildcards.vocabulary, {}).get("token_counts")
    return [ancient(counts)] if counts else []  # its content is a parameter


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
        mem_mb=2000,
        runtime=10,
    params:
        directory=vocabulary_directory,
        code=code_hash("decode_tokens"),
    script:
        "../scripts/decode_tokens.py"


rule classify_tokens:
    """How frequent each token of a vocabulary is, and the classes that it is in."""
    input:
        **{name: ancient(path) for name, path in LEXICON.items()},
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
        mem_mb=4000,
        runtime=20,
    params:
        directory=vocabulary_directory,
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
        mem_mb=4000,
        runtime=60,
    params:
        code=code_hash("embed_tokens"),
    script:
        "../scripts/embed_tokens.py"
