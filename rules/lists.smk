# Token lists from elsewhere, without any model:
# `snakemake label_lists --config lists=FILE.jsonl tokenizer=DIRECTORY labeller=coherence`.
#
# embed_tokenizer   a sentence embedding of each token of the tokenizer, and the classes it is in; once for a tokenizer
# label_lists       labels of the lists, calibrated by shuffles of them, or where they are few by lists drawn from the
#                   vocabulary; the metadata say which


rule embed_tokenizer:
    input:
        tokenizer=tokenizer_files,
        words=LEXICON["words"],
        concepts=LEXICON["concepts"],
        irregular_forms=LEXICON["irregular_forms"],
    output:
        embeddings=f"results/embeddings/{TOKENIZER}.safetensors",
        classes=f"results/embeddings/{TOKENIZER}.classes.parquet",
    log:
        f"results/logs/embed_tokenizer/{TOKENIZER}.log",
    benchmark:
        f"results/benchmarks/embed_tokenizer/{TOKENIZER}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        tokenizer=config.get("tokenizer"),
        code=code_hash("embed_tokenizer"),
    script:
        "../scripts/embed_tokenizer.py"


rule label_lists:
    input:
        lists=given_lists,
        embeddings=f"results/embeddings/{TOKENIZER}.safetensors",
        classes=f"results/embeddings/{TOKENIZER}.classes.parquet",
    output:
        labels=f"results/lists/{GIVEN_LISTS}.{GIVEN_LABELLER}.parquet",
    log:
        f"results/logs/label_lists/{GIVEN_LISTS}.{GIVEN_LABELLER}.log",
    benchmark:
        f"results/benchmarks/label_lists/{GIVEN_LISTS}.{GIVEN_LABELLER}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        tokenizer=config.get("tokenizer"),
        level=config["labellers"]["coherence"]["level"],
        seed=config["seed"],
        code=code_hash("label_lists"),
    script:
        "../scripts/label_lists.py"
