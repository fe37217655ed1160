"""Pages of the report and the list of the post's figures: what is in them, what is said to be missing, hostile text."""

import importlib
import json
from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest

from svdlens.artefacts.sweep_tables import sweep_schema
from svdlens.artefacts.table_schemas import AGREEMENT
from svdlens.figures.files import figure_files
from svdlens.report.html import html_page, html_table
from svdlens.report.not_made import not_made, swept_configuration
from svdlens.report.pages import agreement_page, configuration_page, fractions_page, markdown_table
from svdlens.report.paper_figures import paper_figures, paper_paths
from svdlens.sweep.plan import Sweep
from sweep_configs import CONFIG, sweep_with
from workflow import Files

MEDIUM = "results/figures/gpt2-medium/post2022"


def medium_sweep(models=("gpt2-medium",), labellers=("coherence",), drawn="coherence", **changes):
    """A sweep of these models, OV alone."""
    chosen = {"models": list(models), "settings": ["post2022"], "matrices": ["ov"], "labellers": list(labellers)}
    return sweep_with(sweep=CONFIG["sweep"] | chosen, figures={"labeller": drawn}, **changes)


def test_every_row_of_the_post_is_made_or_says_why_not():
    for models in (["gpt2-medium"], ["own"], ["own", "gpt2-medium"]):
        sweep = medium_sweep(models)
        rows = paper_figures(sweep)
        # 6 + 1 + 3 + 8 figures of gpt2-medium, hand labels, 3 of GPT-3's labels, a trace, two of an edit.
        counterparts = [row for row in rows if row.model == "own"]
        assert Counter(row.row for row in rows if row not in counterparts) == {1: 6, 2: 1, 3: 3, 4: 8, 5: 1, 6: 3, 7: 3}
        assert [row.row for row in rows] == sorted(row.row for row in rows)
        assert all(bool(row.path) != bool(row.why) for row in rows)
        figures = ("token_table", "random_table", "spectra")
        paths = [file.path for name in figures for file in figure_files(sweep, name)]
        assert {row.path for row in counterparts} == {path for path in paths if "/own/" in path}
        made = {row.path for row in rows if row.model == "gpt2-medium" and row.path}
        assert made == {path for path in paths if MEDIUM in path}
        assert bool(made) == ("gpt2-medium" in models)
        pictures = {path.rsplit(".", 1)[0] for path in paper_paths(sweep)}
        assert pictures == {"results/tables/paper_figures", *(row.path for row in rows if row.path)}


@pytest.mark.parametrize("tables", [[], [{"matrix": "unembed"}, {"matrix": "mlp_in", "layer": 0}]])
def test_embedding_and_unembedding_are_no_counterparts_of_what_layers_have(tables):
    own = {"path": "own", "matrices": ["unembed", "mlp_in", "embed"], "token_tables": tables}
    sweep = sweep_with(sweep={"models": ["own"], "settings": ["post2022"]}, models={"own": own})
    shown = [(row.row, row.path.split("/")[-1]) for row in paper_figures(sweep) if row.model == "own"]
    table = "token_table_mlp_in_L0" if tables else "interpretable_table_mlp_in"
    assert shown == [(2, "random_table"), (3, "spectra_mlp_in"), (4, table)]


def test_traces_are_in_the_place_of_the_post_s_whatever_is_looked_for():
    trace = {"queries": {"ice": ["ice"]}, "best_list": True}
    for model in ("gpt2-medium", "own"):
        rows = [row for row in paper_figures(medium_sweep([model], trace=trace)) if row.row == 7 and row.path]
        assert [row.path for row in rows] == [
            f"results/figures/{model}/post2022/{figure}_{query}"
            for figure in ("trace_table", "trace_heads")
            for query in ("ice", "best_list")
        ]
    [absent] = [
        row for row in paper_figures(medium_sweep(["own"], trace=trace)) if row.figure == "trace_table" and row.command
    ]
    assert "trace --config 'query=[" in absent.command and "gpt2-medium" in absent.command


def test_edits_are_counterparts_of_the_last_row():
    edit = {"model": "own", "setting": "raw", "directions": "best"}
    edits = {"edits": {"one": edit, "two": edit}}
    rows = [row for row in paper_figures(Sweep(CONFIG | edits)) if row.row == 7]
    paths = {
        f"results/figures/own/raw/{figure}_{name}"
        for figure in ("edit_effect", "edit_spectrum")
        for name in edits["edits"]
    }
    assert {row.path for row in rows} == {"", *paths}


def test_what_is_missing_has_the_command_that_makes_it():
    absent = next(row for row in paper_figures(medium_sweep(["own"])) if row.row == 1 and not row.path)
    assert "gpt2-medium is not in the sweep" in absent.why
    assert "paper_figures --config 'sweep={models: [gpt2-medium], settings: [post2022]}'" in absent.command
    rows = paper_figures(medium_sweep())
    [matrix] = {row.command for row in rows if row.shows == "spectra of mlp_in"}
    assert "matrices: [mlp_in]" in matrix
    [entry] = {row.why for row in rows if row.shows == "tokens of OV, layer 22, head 3"}
    assert "models.gpt2-medium.token_tables" in entry
    medium = CONFIG["models"]["gpt2-medium"] | {"settings": ["raw"]}
    other = sweep_with(models={"gpt2-medium": medium}, sweep={"models": ["gpt2-medium"]})
    [setting] = {row.why for row in paper_figures(other) if row.row == 2}
    assert "post2022 is not swept for gpt2-medium" in setting
    [gaussian] = {row.why for row in paper_figures(medium_sweep(controls=["random_unit"])) if row.row == 2}
    assert "The control gaussian is not in `controls`" in gaussian and "controls: [random_unit, gaussian]" in gaussian


@pytest.mark.parametrize(
    ("labellers", "drawn", "made"),
    [
        (["coherence"], "coherence", set()),
        (["coherence", "published"], "coherence", {"fraction_published"}),
        (["coherence", "published"], "published", {"fraction_published", "fraction_by_depth", "fraction_by_index"}),
    ],
)
def test_figures_of_published_labels_need_these_labels(labellers, drawn, made):
    rows = paper_figures(medium_sweep(labellers=labellers, drawn=drawn))
    paths = {row.figure: row.path for row in rows if row.row == 6}
    assert {figure for figure, path in paths.items() if path} == made
    if "fraction_by_depth" in made:
        assert paths["fraction_by_depth"].endswith("_post2022")


def test_of_the_figures_of_published_labels_just_what_is_lacking_is_said():
    def why(settings, labellers):
        sweep = sweep_with(sweep={"models": ["gpt2-medium"], "settings": settings, "labellers": labellers})
        return {row.why for row in paper_figures(sweep) if row.figure == "" and "the same" in row.shows} or {
            row.why for row in paper_figures(sweep) if row.figure == "fraction_by_depth"
        }

    assert why(["raw", "post2022"], ["coherence"]) == {"The figure draws another labeller, coherence."}
    assert why(["raw"], ["coherence"]) == {
        "The figure draws another labeller, coherence, and the setting post2022 is not swept."
    }


def reasons(**changes):
    return {row["what"]: (row["why"], row["how"]) for row in not_made(sweep_with(**changes))}


def test_what_a_sweep_leaves_out_is_said_with_the_reason_and_the_way_to_have_it():
    whole = reasons()
    assert set(whole) == {
        "control varimax",
        "control random_varimax",
        "figure fraction_published",
        "figure readouts",
        "figure agreement",
        "figure topic_lists",
        "figure trace_table",
        "figure trace_heads",
        *(f"figure edit_{name}" for name in ("effect", "spectrum", "dose")),
        # On request.
        "figure effects",
        "figure cards",
        "figure benchmarks",
        # The encoder has one setting.
        "figure settings_effect, encoder",
        "figures interpretable_table and random_table, own, settings raw",
    }
    assert whole["figure settings_effect, encoder"] == (
        "no two settings of encoder differ in a single switch",
        "add such a setting to models.encoder.settings",
    )
    chosen = reasons(figures={"select": ["token_table"]})
    assert {what for what in chosen if what.startswith("token tables")} == {
        "token tables of mlp_in, own",
        "token tables of ov, encoder",
        "token tables of mlp_in, encoder",
    }
    assert chosen["token tables of mlp_in, own"][1] == "add {matrix: mlp_in, layer: 0} to models.own.token_tables"
    assert chosen["token tables of ov, encoder"][1] == (
        "add {matrix: ov, layer: 0, head: 0} to models.encoder.token_tables"
    )
    fewer = reasons(controls=["random_unit", "rotated"])
    added = "write controls: [random_unit, rotated, gaussian]"
    assert fewer["control gaussian"][1] == fewer["figure random_table"][1] == added
    alone = "figures interpretable_table, own, settings raw"
    assert set(fewer) - set(whole) == {"control gaussian", "figure random_table", alone}
    assert reasons(stability=False)["figure near_degenerate"] == ("`stability` is false", "write stability: true")
    assert "figure token_table" in reasons(sweep={"models": ["encoder"]})
    some = reasons(sweep={"settings": ["raw"], "matrices": ["ov"], "readouts": ["W_U", "W_E"]})
    assert "figure readouts" not in some and not any(what.startswith("figure read_write") for what in some)
    assert set(whole) - set(reasons(basis="varimax")) == {"control varimax", "control random_varimax"}


def test_labels_that_a_labeller_does_not_give_are_said():
    one = reasons(labellers={"coherence": {"level": 0.05, "matrices": ["ov"]}})
    why, how = one["labels of coherence for mlp_in, own, settings raw, post2022"]
    assert why == "labellers.coherence.matrices leaves it out" and how == "add mlp_in to labellers.coherence.matrices"
    both = reasons(sweep={**CONFIG["sweep"], "models": ["gpt2-medium"], "labellers": ["published"]})
    assert "labels of published for mlp_in, gpt2-medium, settings raw" in both
    why, how = both["labels of published for ov, gpt2-medium, settings raw, post2022"]
    assert "published labels only matrices mlp_in, mlp_out; settings post2022" in why and how == ""


def test_the_configuration_of_the_report_is_without_what_is_not_swept():
    shown = swept_configuration(sweep_with(sweep={**CONFIG["sweep"], "models": ["encoder"]}))
    assert list(shown["models"]) == ["encoder"] and list(shown["settings"]) == ["raw"]
    assert shown["directions"] == CONFIG["directions"]


def test_pages_show_text_as_text():
    hostile = "</script><img src=x onerror=alert(1)>"
    frame = pd.DataFrame({hostile: [hostile, None], "number": [0.12345, float("nan")], "count": [1234, 5]})
    page = html_page(hostile, [html_table(frame, hostile)])
    assert "<img" not in page and "</script>" not in page
    assert ">0.123<" in page and ">1,234<" in page and page.count("<td></td>") == 2
    assert "<img" not in configuration_page(configuration(models={"m": {"path": hostile}}))
    assert "There are no rows" in html_table(frame[:0], "")
    assert markdown_table(pd.DataFrame({"a": ["x|y"]})) == "| a |\n| --- |\n| x\\|y |\n"


def configuration(**changes):
    sweep = {"models": ["m"], "settings": ["raw"], "labellers": ["coherence"]}
    return {"sweep": sweep, "models": {"m": {"path": "here"}}, "settings": {"raw": []}, "tokens": 50} | changes


def test_the_configuration_is_shown():
    page = configuration_page(configuration())
    assert "path: here" in page and "tokens: 50" in page


def fractions(groups=("all", "layer")):
    keys = {"model": "m", "setting": "raw", "matrix": "ov", "readout": "W_U", "labeller": "coherence", "criterion": "q"}
    numbers = dict.fromkeys([
        "low", "high", "control_fraction", "excess", "excess_low", "excess_high", "beyond_random"
    ], 0.25)  # fmt: skip
    rows = [
        keys | numbers | {"unit": unit, "side": side, "kind": kind, "group": group, "n": 8, "k": 5, "fraction": 5 / 8}
        for unit in ("row", "either")
        for side in ("all", "write")
        for kind in ("all", "semantic")
        for group in groups
    ]
    return pd.DataFrame(rows, columns=[*keys, "unit", "side", "kind", "group", "n", "k", "fraction", *numbers])


def test_the_page_of_fractions_has_one_row_for_everything_together():
    assert fractions_page(fractions()).count(">0.625<") == 1
    assert "No token list was labelled" in fractions_page(fractions(groups=()))


def test_what_is_the_same_throughout_is_said_once():
    one, other = fractions(), fractions().assign(labeller="published")
    page = fractions_page(one)
    assert "<td>coherence</td>" not in page and page.count("labeller coherence") == 1
    page = fractions_page(pd.concat([one, other], ignore_index=True))
    assert page.count("<td>coherence</td>") == page.count("<td>published</td>") == 1


def test_the_page_of_agreement_has_pairs_where_there_are_any_and_each_labeller_beside_frequency():
    empty = dict.fromkeys(sweep_schema(AGREEMENT).names)
    place = {"model": "m", "setting": "raw", "matrix": "ov", "readout": "W_U", "first": "coherence"}
    alone = empty | place | {"n_joined": 41, "n": 40, "first_log_rank_auc": 0.625}
    agreement = pd.DataFrame([alone])
    page = agreement_page(agreement)
    assert "kappa<" not in page and "Cohen" not in page and "<h1>Agreement" not in page
    assert ">0.625<" in page and "No two labellers labelled the same lists" in page
    counts = {"n": 40, "both": 10, "only_first": 5, "only_second": 2, "neither": 23}
    of_random = {
        "control_n": 8,
        "control_both": 1,
        "control_only_first": 0,
        "control_only_second": 2,
        "control_neither": 5,
    }
    pair = empty | place | counts | of_random | {"second": "llm", "kappa": 0.5, "kappa_low": 0.25, "kappa_high": 0.75}
    undefined = empty | place | dict.fromkeys([*counts, *of_random], 0) | {"second": "manual"}
    page = agreement_page(pd.DataFrame([alone, pair, undefined]))
    assert "kappa<" in page and ">0.250 to 0.750<" in page and ">0.625<" in page and "No two labellers" not in page
    # Of the lists 15 and 12 of 40, of the same random directions 1 and 3 of 8.
    assert page.index(">37.5%<") < page.index(">30.0%<") < page.index(">12.5%<") < page.rindex(">37.5%<")
    assert page.count("<td></td>") >= 5  # no share of no rows, and no kappa


def test_names_and_intervals_stand_on_one_line_and_checksums_take_several():
    page = html_table(pd.DataFrame({"model": ["all-minilm-l6-v2"], "95 %": ["0.1 to 0.2"], "sha256": ["ab" * 32]}), "")
    assert "<td>all-minilm-l6-v2</td><td>0.1 to 0.2</td><td class=long>" in page


def test_whole_numbers_of_any_kind_are_written_alike_and_names_have_no_underscores():
    for dtype in ("int64", "Int64", "int32", object):
        page = html_table(pd.DataFrame({"n_joined": pd.Series([69120, 1], dtype=dtype)}), "Caption")
        assert ">69,120<" in page and ">n joined<" in page


def test_the_scripts_write_the_pages(tmp_path):
    rows = [row._asdict() for row in paper_figures(medium_sweep(["own"]))]
    listed = Files({suffix: str(tmp_path / f"paper.{suffix}") for suffix in ("csv", "md", "html")})
    smk = SimpleNamespace(output=listed, params=SimpleNamespace(rows=rows), log="")
    importlib.import_module("list_paper_figures").main(smk)
    table = pd.read_csv(listed["csv"], keep_default_na=False)
    assert list(table["made"]) == ["yes" if row["path"] else "no" for row in rows]
    assert (tmp_path / "paper.md").read_text("utf-8").count("\n") == len(rows) + 2

    fractions().to_parquet(tmp_path / "fractions.parquet")
    pd.DataFrame({"model": ["m"], "n": [3]}).to_parquet(tmp_path / "scores.parquet")
    pd.DataFrame(columns=sweep_schema(AGREEMENT).names).to_parquet(tmp_path / "agreement.parquet")
    provenance = {"model": "m", "revision": "0" * 40, "files": {"model.safetensors": {"sha256": "ab" * 32}}}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    (tmp_path / "method.html").write_text("<p>Method</p>")
    pages = ("method", "configuration", "models", "not_made", "fractions", "scores", "agreement")
    inputs = {name: str(tmp_path / f"{name}.parquet") for name in ("fractions", "scores", "agreement")}
    inputs |= {"provenance": [str(tmp_path / "provenance.json")], "method": str(tmp_path / "method.html")}
    smk = SimpleNamespace(
        input=Files(inputs | {"paper": listed["csv"]}),
        output=Files({name: str(tmp_path / f"{name}.html") for name in pages}),
        params=SimpleNamespace(
            config=configuration(), missing=[{"what": "figure spectra", "why": "not asked for", "how": "ask"}]
        ),
        log="",
    )
    importlib.import_module("make_report_pages").main(smk)
    texts = {name: (tmp_path / f"{name}.html").read_text("utf-8") for name in pages}
    assert "0" * 40 in texts["models"] and "ab" * 32 in texts["models"]
    assert "figure spectra" in texts["not_made"] and "gpt2-medium is not in the sweep" in texts["not_made"]
    assert ">3<" in texts["scores"] and "No two labellers" in texts["agreement"]
