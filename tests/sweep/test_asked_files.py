"""Files that are asked for by their path: what a path names has to be there, and the nearest name is said."""

from typing import Any

import pytest

from configurations import config_with
from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.sweep.asked_files import ExportedMatrix, check_labelled_place, check_place, check_swept, exported_matrix
from svdlens.sweep.plan import Place, Sweep

SWEEP = Sweep(config_with({"models": {"tiny": {"path": "source"}}, "sweep": {"models": ["tiny"]}}))


@pytest.mark.parametrize("matrix", MATRIX_KINDS)
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
    ("place", "parts"),
    [
        (Place("tni", "raw", "ov"), ("'tni' is none of the models: gpt2-small,",)),
        (Place("gpt2", "raw", "ov"), ("Did you mean 'gpt2-small'?",)),
        (Place("tiny", "rwa", "ov"), ("'rwa' is none of the settings: raw, fold", "Did you mean 'raw'?")),
        (Place("tiny", "raw", "mlp"), ("'mlp' is none of the kinds of matrices", "Did you mean 'mlp_in'?")),
        (Place("tiny", "raw", "mlp_gate"), ("'mlp_gate' is none of the matrices of tiny (gpt2)",)),
        (Place("smollm2-135m", "fold", "ov"), ("settings.fold uses read_center", "smollm2-135m (llama)")),
    ],
)
def test_what_a_path_names_has_to_be_in_the_catalogues(place: Place, parts: tuple[str, ...]) -> None:
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
    for place, labeller, part in [
        (Place("tiny", "post2022", "mlp_in"), "published", "published has no labels of mlp_in of tiny"),
        (Place("tiny", "raw", "ov"), "coherense", "Did you mean 'coherence'?"),
    ]:
        with pytest.raises(SvdlensError, match=part):
            check_labelled_place(SWEEP, place, labeller)


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
