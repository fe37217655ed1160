"""Which files figures have in a sweep, from which tables they are drawn, what is left out; captions and modules."""

import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest

from svdlens.errors import SvdlensError
from svdlens.figures.files import (
    FORMATS,
    SCOPES,
    check_figures,
    figure_files,
    figure_inputs,
    figure_options,
    figure_paths,
    report_labels,
    selected_figures,
    why_not_drawn,
)
from svdlens.figures.registry import FIGURES
from sweep_configs import CONFIG, sweep_with

PROJECT = Path(__file__).parents[2]
SWEEP = sweep_with()
RESULTS = "results/figures"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_module_and_a_caption_and_its_options_exist(name):
    figure = FIGURES[name]
    assert figure.name == name and figure.scope in SCOPES and figure.category and figure.shows
    assert callable(importlib.import_module(figure.module).draw_figures)
    assert set(figure_options(SWEEP, name)) == set(figure.options)
    text = (PROJECT / "rules" / figure.caption).read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    params = SimpleNamespace(**figure_options(SWEEP, name))
    rendered = environment.from_string(text).render(snakemake=SimpleNamespace(params=params, config=CONFIG))
    assert len(rendered) > 80 and "{" not in rendered


@pytest.mark.parametrize("name", FIGURES)
def test_what_a_job_gets_is_plain_and_its_inputs_fit_its_files(name):
    # Snakemake compares params as text, and hands them to a process of its own.
    subjects, options = [file.subject for file in figure_files(SWEEP, name)], figure_options(SWEEP, name)
    plain = json.loads(json.dumps({"subjects": subjects, **options}))
    assert plain["subjects"] == subjects
    for paths in figure_inputs(SWEEP, name).values():
        assert "{" not in str(paths)
        if isinstance(paths, list) and subjects and "matrix" in subjects[0]:
            assert len(paths) == len(subjects)
            for path, subject in zip(paths, subjects, strict=True):
                assert f"model={subject['model']}/setting={subject['setting']}/{subject['matrix']}." in path
        elif isinstance(paths, list) and "places" in options and subjects:
            assert len(paths) == len(options["places"])


def test_no_two_figures_share_a_file_and_each_comes_in_all_formats():
    paths = figure_paths(SWEEP, FIGURES)
    assert len(paths) == len(set(paths))
    stems = {path.rsplit(".", 1)[0] for path in paths}
    assert set(paths) == {f"{stem}.{suffix}" for stem in stems for suffix in FORMATS}


def test_files_are_those_of_the_scope():
    def paths(name, **changes):
        return [file.path.removeprefix(f"{RESULTS}/") for file in figure_files(sweep_with(**changes), name)]

    assert paths("near_degenerate") == ["near_degenerate"]
    assert paths("antipodal") == ["antipodal_raw", "antipodal_post2022"]
    # The encoder has one setting, and so no switch to compare.
    assert paths("settings_effect") == ["own/settings_effect"]
    assert paths("interpretable_table") == [
        *("own/post2022/interpretable_table_ov", "own/post2022/interpretable_table_mlp_in"),
        *("encoder/raw/interpretable_table_ov", "encoder/raw/interpretable_table_mlp_in"),
    ]
    some = {"labellers": {"coherence": {"level": 0.05, "matrices": ["ov"]}}}
    assert "own/post2022/interpretable_table_mlp_in" not in paths("interpretable_table", **some)
    assert paths("random_table") == ["own/post2022/random_table", "encoder/raw/random_table"]
    assert paths("spectra") == [
        *("own/raw/spectra_ov", "own/raw/spectra_mlp_in", "own/post2022/spectra_ov", "own/post2022/spectra_mlp_in"),
        *("encoder/raw/spectra_ov", "encoder/raw/spectra_mlp_in"),
    ]
    # QK is in the catalogue and not in the sweep.
    assert paths("token_table") == ["own/raw/token_table_ov_L0_H1", "own/post2022/token_table_ov_L0_H1"]
    medium = {"sweep": {"models": ["gpt2-medium"], "settings": ["post2022"]}}
    [ov, mlp] = figure_files(sweep_with(**medium), "token_table")
    assert (ov.subject["head"], ov.subject["directions"]) == (10, 15)
    assert (mlp.subject["head"], mlp.subject["directions"]) == (None, 50)
    # Nor are the tables of layers and heads that are not decomposed; MLPs have no heads.
    other_head = {"sweep": medium["sweep"] | {"layers": [22], "heads": [9]}}
    assert [file.subject for file in figure_files(sweep_with(**other_head), "token_table")] == [mlp.subject]
    assert figure_files(sweep_with(sweep=medium["sweep"] | {"layers": [21]}), "token_table") == []


def test_options_say_what_the_configuration_says():
    assert figure_options(SWEEP, "fraction_by_layer")["criterion"] == "q_value < 0.05"
    assert figure_options(SWEEP, "near_degenerate") == {"weight_noise": 0.01, "directions": 64}
    assert figure_options(sweep_with(directions="all"), "near_degenerate")["directions"] is None
    assert figure_options(sweep_with(sweep={"models": ["own", "rotary"]}), "spectra")["rotary"] == ["rotary"]
    published = sweep_with(sweep={"labellers": ["coherence", "published"]}, figures={"labeller": "published"})
    assert figure_options(published, "antipodal")["criterion"] == "B"


def test_the_report_lists_pictures_by_figure_model_and_setting():
    files = {name: figure_files(SWEEP, name) for name in FIGURES}
    labels = {name: report_labels(name, of_name[0]) for name, of_name in files.items() if of_name}
    assert labels["near_degenerate"] == {"figure": "near degenerate"}
    assert labels["antipodal"] == {"figure": "antipodal", "setting": "raw"}
    assert labels["settings_effect"] == {"figure": "settings effect", "model": "own"}
    assert labels["spectra"] == {"figure": "spectra ov", "model": "own", "setting": "raw"}


def test_without_the_control_that_it_needs_a_figure_is_left_out_and_that_is_said():
    sweep = sweep_with(controls=["random_unit", "rotated"])
    assert figure_files(sweep, "random_table") == [] and figure_inputs(sweep, "random_table") == {"tokens": []}
    assert "random_table" not in selected_figures(sweep)
    why, how = why_not_drawn(sweep, "random_table")
    assert "gaussian is not in `controls`" in why and how == "write controls: [random_unit, rotated, gaussian]"
    assert set(selected_figures(SWEEP)) - set(selected_figures(sweep)) == {"random_table"}
    # Also where the configuration asks for it by name.
    asked = sweep_with(controls=["random_unit"], figures={"select": ["random_table"]})
    assert figure_paths(asked, selected_figures(asked)) == []
    assert why_not_drawn(asked, "random_table") is not None


def test_without_stability_there_is_no_picture_of_it():
    sweep = sweep_with(stability=False)
    assert figure_files(sweep, "near_degenerate") == [] and "near_degenerate" not in selected_figures(sweep)
    assert why_not_drawn(sweep, "near_degenerate") == ("`stability` is false", "write stability: true")
    assert why_not_drawn(SWEEP, "near_degenerate") is None
    asked = sweep_with(stability=False, figures={"select": ["near_degenerate"]})
    with pytest.raises(SvdlensError, match=r"near_degenerate shows the stability.*write stability: true, or leave"):
        check_figures(asked)


def test_where_no_matrix_is_chosen_there_are_no_token_tables_and_that_is_said():
    sweep = sweep_with(sweep={"models": ["encoder"]})
    assert "token_table" not in selected_figures(sweep)
    why, how = why_not_drawn(sweep, "token_table")
    assert why == "no matrix of the sweep is chosen"
    assert how == "add {matrix: ov, layer: 0, head: 0} to models.encoder.token_tables"
    assert why_not_drawn(SWEEP, "token_table") is None


def test_where_there_is_nothing_to_compare_nothing_is_drawn_and_that_is_said():
    both = {"labellers": ["coherence", "published"]}
    medium = {"models": ["gpt2-medium", "own"], "matrices": ["mlp_in"]} | both
    # (figure, sweeps that have something to compare with its files, sweeps that have not)
    cases = {
        # The published answers are of gpt2-medium in one setting.
        "agreement": ({"agreement_post2022": medium}, [{}, both, medium | {"matrices": ["ov"]}]),
        "settings_effect": ({"own/settings_effect": {}}, [{"settings": ["raw"]}, {"models": ["encoder"]}]),
        "read_write": ({"read_write_raw": {"settings": ["raw"]}}, [{"matrices": ["mlp_in"]}, {"models": ["rotary"]}]),
        "readouts": ({"readouts_raw": {"settings": ["raw"], "readouts": ["W_U", "W_E"]}}, [{}]),
    }
    for name, (with_something, without) in cases.items():
        for path, choice in with_something.items():
            sweep = sweep_with(sweep=choice)
            assert [file.path for file in figure_files(sweep, name)] == [f"{RESULTS}/{path}"], (name, choice)
            assert why_not_drawn(sweep, name) is None and name in selected_figures(sweep)
        for choice in without:
            sweep = sweep_with(sweep=choice)
            assert figure_files(sweep, name) == [] and name not in selected_figures(sweep), (name, choice)
            _, how = why_not_drawn(sweep, name)
            asked = sweep_with(sweep=choice, figures={"select": [name]})
            with pytest.raises(SvdlensError, match=rf"figures.select: {name} compares .*{re.escape(how)}, or leave"):
                check_figures(asked)


def test_pictures_of_a_trace_are_of_each_query_and_of_what_is_searched():
    for name in ("trace_table", "trace_heads"):
        why, how = why_not_drawn(SWEEP, name)
        assert figure_files(SWEEP, name) == [] and "no query" in why and "trace.queries" in how
        with pytest.raises(SvdlensError, match=rf"figures.select: {name} is of queries.*, or leave {name} out"):
            check_figures(sweep_with(figures={"select": [name]}))
        trace = {"queries": {"fire": ["fire"], "ice": ["ice"]}, "best_list": True, "models": ["own"]}
        sweep = sweep_with(trace=trace | {"settings": ["post2022"]})
        assert [file.path for file in figure_files(sweep, name)] == [
            f"{RESULTS}/own/post2022/{name}_{query}" for query in ("fire", "ice", "best_list")
        ]
        [inputs] = figure_inputs(sweep, name).values()
        assert len(inputs) == 3 and set(inputs) == {inputs[0]}
        assert inputs[0].startswith("results/trace/") and "model=own/setting=post2022/" in inputs[0]
        # All that is swept, where nothing is chosen.
        assert len(figure_files(sweep_with(trace=trace | {"models": ["own", "encoder"]}), name)) == 3 * 3
        # What is asked on the command line is all that is looked for.
        asked = sweep_with(trace=trace, query=[" a/b {c}", "d"])
        assert asked.queries == {"a_b_c_": [" a/b {c}", "d"]} and asked.query_names == ["a_b_c_"]


def test_a_figure_about_one_labeller_is_drawn_where_its_labels_are_swept():
    assert "fraction_published" not in selected_figures(SWEEP)
    why, how = why_not_drawn(SWEEP, "fraction_published")
    assert "published" in why and how == "snakemake --cores all plot_fraction_published"
    choice = {"models": ["gpt2-medium"], "labellers": ["coherence", "published"]}
    assert "fraction_published" in selected_figures(sweep_with(sweep=choice))
    # It can be asked for without any model.
    assert figure_inputs(SWEEP, "fraction_published")["labels"] == [
        f"results/labels/model={model}/setting=post2022/{matrix}.published.parquet"
        for model in ("gpt2-small", "gpt2-medium")
        for matrix in ("mlp_in", "mlp_out")
    ]


def test_of_published_files_in_a_directory_those_at_hand_are_drawn(tmp_path):
    def drawn():
        published = {"models": ["gpt2-small", "gpt2-medium"], "path": str(tmp_path)}
        sweep = sweep_with(labellers={"published": published})
        return figure_options(sweep, "fraction_published")["published"]

    both = [(model, matrix) for model in ("gpt2-small", "gpt2-medium") for matrix in ("mlp_in", "mlp_out")]
    # Where there are none the job that fetches them says so.
    assert drawn() == both
    (tmp_path / "data/json_data").mkdir(parents=True)
    (tmp_path / "data/json_data/medium_mlp_in_text_outputs.json").write_text("{}")
    assert drawn() == both[2:]
    (tmp_path / "verifier_mlp_in_gpt2_small_svd_corrects_list.npy").write_bytes(b"")
    assert drawn() == both


def test_a_selection_draws_these_and_the_others_say_how():
    sweep = sweep_with(figures={"select": ["spectra"]})
    assert selected_figures(sweep) == ["spectra"] and why_not_drawn(sweep, "spectra") is None
    why, how = why_not_drawn(sweep, "antipodal")
    assert why == "not in figures.select" and "select: [antipodal]" in how


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"select": ["spectrum"]}, r"figures.select: 'spectrum' is no figure\. Figures: token_table, .* 'spectra'\?"),
        (
            {"labeller": "published"},
            r"figures.labeller: 'published' is no labeller of the sweep\. Labellers: co",
        ),
    ],
)
def test_a_name_that_is_none_is_named_with_those_there_are(figures, message):
    with pytest.raises(SvdlensError, match=message):
        check_figures(sweep_with(figures=figures))


def test_what_is_drawn_on_request_is_drawn_where_it_is_named():
    for name, files in (
        (
            "effects",
            {f"own/{setting}/effects_{matrix}" for setting in ("raw", "post2022") for matrix in ("ov", "mlp_in")},
        ),
        ("cards", {"own/raw/cards_ov", "own/post2022/cards_ov", "encoder/raw/cards_ov"}),
    ):
        # An encoder predicts no next token, and has cards.
        assert {file.path.removeprefix(f"{RESULTS}/") for file in figure_files(SWEEP, name)} == files
        assert name not in selected_figures(SWEEP)
        assert why_not_drawn(SWEEP, name) == ("drawn on request", f"snakemake --cores all plot_{name}")
        asked = sweep_with(figures={"select": [name]})
        assert selected_figures(asked) == [name] and why_not_drawn(asked, name) is None
        check_figures(asked)
        for changes, said in (
            ({"basis": "varimax"}, "no singular vectors: write basis: svd"),
            ({"sweep": {"models": ["encoder"], "matrices": ["mlp_in"]}}, "the sweep has no "),
            ({"labellers": {"coherence": {"level": 0.05, "matrices": ["qk"]}}}, "coherence gives none of them labels"),
        ):
            lacking = sweep_with(figures={"select": [name]}, **changes)
            assert figure_files(lacking, name) == []
            with pytest.raises(SvdlensError, match=f"figures.select: {name} is of {name}, and .*{said}"):
                check_figures(lacking)
