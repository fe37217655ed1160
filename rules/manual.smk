# Labels by people: a sheet of lists to label, and what those say who filled it in. The labeller `manual` of
# labels/registry.py makes labels of that (rules/labels.smk).
#
# needs   results/by_switches/tokens/...; for the second rule the sheets that were filled in, labellers.manual.sheets
# makes   results/manual/sheet.{csv,html}: the lists, empty, as a table and as a page to label in; they do not tell which
#         lists are of random directions
#         results/manual/sheet.key.parquet: which they are
#         results/manual/judgements.parquet: what each person says of each list; people.csv: how far people agree, and
#         how often each calls a list of a random direction interpretable

MANUAL = SWEEP.labeller_config("manual")
SHEETS = MANUAL.get("sheets", {})
# Of a sweep that people label.
PEOPLE = ["results/manual/people.csv"] if "manual" in SWEEP.labellers else []


def sheet_lists(wildcards):
    """The lists of every place that people label; an error where they label none."""
    if not SWEEP.sheet_places:
        stop(
            f"the sweep has nothing that labellers.manual chooses: {', '.join(MANUAL.get('matrices', []))} in the settings "
            f"{', '.join(MANUAL.get('settings', SWEEP.swept_settings()))}. Change `matrices` or `settings` there."
        )
    return shared_files(paths.SHARED_TOKENS, SWEEP.sheet_places)


def filled_in_sheets(wildcards):
    """The sheets that people filled in."""
    for person, path in SHEETS.items():
        if not Path(path).is_file():
            stop(
                f"labellers.manual.sheets.{person}: {path}: there is no such file. Give the sheet that {person} filled in; "
                "`make label-sheet` makes an empty one."
            )
    return [local(ancient(path)) for path in SHEETS.values()]  # their content is a parameter


rule make_label_sheet:
    """Lists for people to label: a CSV, a page that fills it in, and the key to both."""
    input:
        lists=sheet_lists,
        static=[
            *[local(project_path(path)) for path in sorted((PROJECT / "resources/label_sheet").glob("*"))],
            *[local(project_path(f"resources/explorer/{name}.js")) for name in ("dom", "text", "csv")],
        ],
    output:
        csv="results/manual/sheet.csv",
        page="results/manual/sheet.html",
        key="results/manual/sheet.key.parquet",
    log:
        "results/logs/make_label_sheet/make_label_sheet.log",
    benchmark:
        "results/benchmarks/make_label_sheet/make_label_sheet.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(20),
    params:
        places=SWEEP.sheet_sources,
        choice=SWEEP.labelled_rows("manual"),
        n=MANUAL.get("lists"),
        random_lists=MANUAL.get("random_lists"),
        tokens=MANUAL.get("tokens"),
        seed=config["seed"],
        code=code_hash("make_label_sheet"),
    script:
        "../scripts/make_label_sheet.py"


rule read_label_sheets:
    """What people say of lists of the sweep, and how far they agree."""
    input:
        sheets=filled_in_sheets,
        lists=sheet_lists,
    output:
        judgements="results/manual/judgements.parquet",
        people="results/manual/people.csv",
    log:
        "results/logs/read_label_sheets/read_label_sheets.log",
    benchmark:
        "results/benchmarks/read_label_sheets/read_label_sheets.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(3000, times_input=10),
        runtime=minutes(20),
    params:
        people=list(SHEETS),
        content=[content_digest(Path(path)) for path in SHEETS.values()],
        tokens=MANUAL.get("tokens"),
        seed=config["seed"],
        code=code_hash("read_label_sheets"),
    script:
        "../scripts/read_label_sheets.py"
