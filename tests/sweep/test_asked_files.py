"""What is asked for on the command line: what it names has to be there, and the nearest name is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from configurations import config_with
from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.sweep.asked_files import (
    ExportedMatrix,
    check_labelled_place,
    check_place,
    check_shape,
    check_swept,
    exported_matrix,
    no_such_target,
)
from svdlens.sweep.plan import Place, Sweep

SWEEP = Sweep(config_with({"models": {"tiny": {"path": "source"}}, "sweep": {"models": ["tiny"]}}))


@pytest.mark.parametrize("matrix", [name for name, kind in MATRIX_KINDS.items() if kind.in_layers])
def test_the_name_of_an_export_is_read_as_it_is_made(matrix: str) -> None:
    for side in MATRIX_KINDS[matrix].sides:
        for layer, head in ((0, 0), (10, 3), (123, 45)):
            head_of = head if MATRIX_KINDS[matrix].per_head else None
            name = f"{matrix}_L{layer}{'' if head_of is None else f'_H{head}'}_{side}"
            assert exported_matrix(name) == ExportedMatrix(matrix, layer, head_of, side)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ov_L0_write", ("'ov_L0_write' has no head.", "ov_L{layer}_H{head}_{side}", "read, write")),
        ("qk_L3_key", ("has no head.", "query, key")),
        ("ov_H0_write", ("has no layer.",)),
        ("unembed_read", ("unembed is of no layer", "exports are of what layers")),
        ("embed_L0_write", ("embed is of no layer",)),
        ("mlp_out_write", ("has no layer.", "mlp_out_L{layer}_{side}, with a side of write.")),
        ("ov_L1_H0", ("has no side.",)),
        ("mlp_in_L1", ("has no side.",)),
        ("ov", ("has no layer and no side and no head.",)),
        ("mlp_in_L0_H1_read", ("has a head, and mlp_in has none", "mlp_in_L{layer}_{side}")),
        ("ov_L0_H0_wrte", ("'wrte' is none of the sides of ov", "Did you mean 'write'?")),
        ("mlp_out_L0_read", ("'read' is none of the sides of mlp_out: write.",)),
        ("mlp_uot_L0_write", ("'mlp_uot' is none of the kinds of matrices", "Did you mean 'mlp_out'?")),
        ("ov_L-1_H0_write", ("is none of the kinds of matrices",)),
        ("", ("is none of the kinds of matrices",)),
    ],
)
def test_what_is_missing_in_the_name_of_an_export_is_said(name: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SvdlensError) as error:
        exported_matrix(name)
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("ov_L00_H1_write", "ov_L0_H1_write"),
        ("ov_L0_H01_write", "ov_L0_H1_write"),
        ("ov_l0_h1_write", "ov_L0_H1_write"),
        ("OV_L0_H1_Write", "ov_L0_H1_write"),
        ("mlp_IN_L007_READ", "mlp_in_L7_read"),
    ],
)
def test_a_matrix_has_one_name(name: str, right: str) -> None:
    with pytest.raises(SvdlensError, match=f"'{name}' is written '{right}'"):
        exported_matrix(name)
    exported_matrix(right)


# As Snakemake has them: a wildcard with its regular expression.
MODEL, SETTING = "{model,tiny|gpt2\\-small|gpt2\\-xl}", "{setting,raw|fold_write}"
MATRIX, LABELLER = "{matrix,ov|mlp_in|mlp_out}", "{labeller,coherence|published}"
PATTERNS = [
    f"results/models/{MODEL}/provenance.json",
    f"results/weights/{MODEL}/mlp.safetensors",
    f"results/weights/{MODEL}/{SETTING}.safetensors",
    f"results/labels/model={MODEL}/setting={SETTING}/{MATRIX}.{LABELLER}.parquet",
    f"results/exports/{MODEL}/{SETTING}/{{export,[^/]+}}.json",
    f"results/exports/{MODEL}/{SETTING}/{{export,[^/]+}}.csv",
    *(
        f"results/figures/fraction_by_{what}_raw.{end}"
        for what in ("layer", "model", "depth")
        for end in ("png", "csv")
    ),
    *(f"results/figures/tiny/raw/spectra_{matrix}.png" for matrix in ("ov", "mlp_in")),
    "results/tables/tokens.parquet",
]
RULES = ["all", "tables", "tokens", "collect_tokens"]


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("tabels", ("'tabels' is no target, but all, tables, tokens, collect_tokens are", "Did you mean 'tables'?")),
        ("Tokens", ("Did you mean 'tokens'?",)),
        ("result/tables/tokens.parquet", ("under ./ there is no 'result', but results. Did you mean 'results'?",)),
        ("results/tabels/tokens.parquet", ("under results/ there is no 'tabels', but models, ", "'tables'?")),
        ("results/tables/tokens.csv", ("under results/tables/ there is no 'tokens.csv', but tokens.parquet.",)),
        ("results/models/tin/provenance.json", ("there is no 'tin', but tiny, gpt2-small, gpt2-xl.", "'tiny'?")),
        ("results/models/gpt2/provenance.json", ("Did you mean 'gpt2-small'?",)),
        (
            "results/models/tiny/provenence.json",
            ("under results/models/tiny/ there", "Did you mean 'provenance.json'?"),
        ),
        (
            "results/weights/tiny/rwa.safetensors",
            ("mlp.safetensors, raw.safetensors, ", "Did you mean 'raw.safetensors'?"),
        ),
        ("results/labels/model=tin/setting=raw/ov.coherence.parquet", ("Did you mean 'model=tiny'?",)),
        ("results/labels/model=tiny/setting=rwa/ov.coherence.parquet", ("Did you mean 'setting=raw'?",)),
        ("results/labels/model=tiny/setting=raw/ov.coherense.parquet", ("Did you mean 'ov.coherence.parquet'?",)),
        ("results/labels/model=tiny/setting=raw/mlp.published.parquet", ("'mlp_in.published.parquet'?",)),
        ("results/figures/fractoin_by_layer_raw.png", ("Did you mean 'fraction_by_layer_raw.png'?",)),
        (
            "results/figures/tiny/raw/spektra_ov.png",
            ("spectra_ov.png, spectra_mlp_in.png. Did you mean 'spectra_ov.png'?",),
        ),
        (
            "results/exports/tiny/ov_L0_H0_read.json",
            ("but raw, fold_write. Files there are results/exports/{model}/{set",),
        ),
        ("results/exports/tiny/rwa/ov_L0_H0_read.json", ("Did you mean 'raw'?",)),
        ("results/exports/tiny/raw/ov_L0_H0_read.jsn", ("but {export}.json, {export}.csv.",)),
        ("results/models/tiny", ("results/models/tiny is a directory", "what is in it: provenance.json.")),
        ("results/models/tiny/provenance.json/x", ("under results/models/tiny/provenance.json/ there is no 'x'.",)),
        ("../results/tables/tokens.parquet", ("under ./ there is no '..', but results.",)),
    ],
)
def test_what_no_rule_makes_is_said_with_the_nearest_name(asked: str, parts: tuple[str, ...]) -> None:
    said = no_such_target(asked, RULES, PATTERNS)
    assert all(part in said for part in parts), said
    assert asked in said and "\n" not in said and said.endswith((".", "?"))


def test_a_long_list_of_names_is_cut() -> None:
    patterns = [f"results/tables/{letter * 9}.csv" for letter in "abcdefghijklmnop"]
    assert no_such_target("results/tables/0.csv", RULES, patterns).endswith(f"{'l' * 9}.csv and 4 more.")
    assert no_such_target("results/tables/aaaaaaaa.csv", RULES, patterns).endswith(
        "there is no 'aaaaaaaa.csv'. Did you mean 'aaaaaaaaa.csv'?"
    )


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        (Place("tiny", "raw", "mlp_gate"), ("'mlp_gate' is none of the matrices of tiny (gpt2)",)),
        (Place("smollm2-135m", "fold", "ov"), ("settings.fold uses read_center", "smollm2-135m (llama)")),
    ],
)
def test_what_a_path_names_has_to_be_what_the_model_can_have(place: Place, parts: tuple[str, ...]) -> None:
    with pytest.raises(SvdlensError) as error:
        check_place(SWEEP, place)
    assert all(part in str(error.value) for part in parts), error.value


def test_a_place_outside_of_the_sweep_is_one_if_the_model_can_have_it() -> None:
    assert "gpt2-xl" not in SWEEP.models
    check_place(SWEEP, Place("gpt2-xl", "tl_rmsnorm", "qk"))
    without_matrix: Any = Place("gpt2-xl", "raw", None)  # type: ignore[arg-type]
    check_place(SWEEP, without_matrix)


def test_labels_that_a_labeller_has_not_are_said() -> None:
    check_labelled_place(SWEEP, Place("gpt2-small", "post2022", "mlp_in"), "published")
    with pytest.raises(SvdlensError, match="published has no labels of mlp_in of tiny"):
        check_labelled_place(SWEEP, Place("tiny", "post2022", "mlp_in"), "published")


def test_an_export_is_of_a_matrix_that_is_decomposed() -> None:
    sweep = Sweep(config_with({"sweep": {"layers": [0, 5]}, "models": {"gpt2-small": {"heads": [3]}}}))
    for model, exported in [
        ("gpt2-small", ExportedMatrix("ov", 5, 3, "write")),
        ("gpt2-medium", ExportedMatrix("ov", 0, 9, "write")),
        ("gpt2-small", ExportedMatrix("mlp_out", 0, None, "write")),
    ]:
        check_swept(sweep, model, exported)
        check_swept(SWEEP, model, exported)
    with pytest.raises(SvdlensError, match="of ov of gpt2-small only layers 0, 5 and heads 3 are decomposed"):
        check_swept(sweep, "gpt2-small", ExportedMatrix("ov", 5, 2, "write"))
    with pytest.raises(SvdlensError, match="of mlp_in of gpt2-small only layers 0, 5 are"):
        check_swept(sweep, "gpt2-small", ExportedMatrix("mlp_in", 1, None, "read"))


def shape_config(directory: Path, n_layer: int, n_head: int) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "gpt2",
        "n_layer": n_layer,
        "n_head": n_head,
        "n_embd": 12,
        "n_inner": None,
        "vocab_size": 7,
        "n_positions": 9,
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8-sig")
    return directory


def provenance(directory: Path, repo: str, revision: str, **facts: object) -> None:
    (directory / "provenance.json").write_text(json.dumps({"repo": repo, "revision": revision, **facts}))


@pytest.mark.parametrize("source", ["path", "bundled", "hub", "wheel"])
def test_a_layer_or_head_that_a_known_model_has_not_is_said(source: str, tmp_path: Path) -> None:
    shape_config(tmp_path / "bundled/mine", 2, 3)
    fetched = shape_config(tmp_path / "results/models/mine", *((2, 3) if source in ("hub", "wheel") else (9, 9)))
    entry: dict[str, Any] = {
        "path": {"path": str(tmp_path / "bundled/mine")},
        "bundled": {"bundled": "mine"},
        "hub": {"repo": "someone/mine", "revision": "0" * 40},
        "wheel": {"wheel": {"name": "mine", "version": "1.0", "sha256": "0" * 64}, "file": "a/mine.gguf"},
    }[source]
    if source == "hub":
        provenance(fetched, "someone/mine", "0" * 40)
    elif source == "wheel":
        provenance(fetched, "mine", "1.0", gguf={"file": "a/mine.gguf"})

    def check(matrix: str, layer: int, head: int | None, side: str) -> None:
        check_shape("mine", entry, tmp_path / "bundled", fetched, ExportedMatrix(matrix, layer, head, side))

    check("ov", 1, 2, "write")
    check("mlp_out", 1, None, "write")
    for matrix, layer, head, part in [
        ("ov", 99, 0, r"mine has no layer 99 \(of 2, counted from 0\)\."),
        ("ov", 0, 3, r"mine has no head 3 \(of 3, counted from 0\)\."),
        ("qk", 2, 3, r"no layer 2 \(of 2, counted from 0\) and no head 3 \(of 3,"),
        ("mlp_in", 2, None, "no layer 2"),
    ]:
        with pytest.raises(SvdlensError, match=part):
            check(matrix, layer, head, "write")


def test_nothing_is_said_of_a_model_whose_shape_may_be_another(tmp_path: Path) -> None:
    """Not here, or fetched before the configuration named another one, or damaged: the job says it."""
    fetched = shape_config(tmp_path / "mine", 2, 3)
    exported, source = ExportedMatrix("ov", 5, 0, "write"), {"repo": "someone/mine", "revision": "0" * 40}

    def check(entry: dict[str, Any]) -> None:
        check_shape("mine", entry, tmp_path, fetched, exported)

    check(source)
    for repo, revision, facts in [
        ("someone/other", "0" * 40, {}),
        ("someone/mine", "1" * 40, {}),
        ("someone/mine", "0" * 40, {"gguf": {"file": "mine.gguf"}}),
    ]:
        provenance(fetched, repo, revision, **facts)
        check(source)
    check({"path": str(tmp_path / "nowhere")})
    check({"path": str(tmp_path / "mine.gguf")})
    provenance(fetched, "someone/mine", "0" * 40)
    with pytest.raises(SvdlensError, match="no layer 5"):
        check(source)
    check({**source, "architecture": "llama"})
    (fetched / "config.json").write_text("{")
    check(source)
