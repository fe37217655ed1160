"""provenance.json stands for the files beside it."""

import json
from pathlib import Path

import pytest

from svdlens.artefacts.fetched_files import check_files_are_there
from svdlens.errors import SvdlensError


@pytest.mark.parametrize(("content", "what"), [(None, "is gone"), ("wei", "was cut short"), ("weights", "")])
def test_a_model_must_have_the_files_that_it_was_fetched_with(content: str | None, what: str, tmp_path: Path) -> None:
    provenance, weights = tmp_path / "provenance.json", tmp_path / "model.safetensors"
    provenance.write_text(json.dumps({"files": {"model.safetensors": {"size": 7, "sha256": ""}}}))
    if content is not None:
        weights.write_text(content)
    if not what:
        check_files_are_there(tmp_path)
        assert provenance.exists()
        return
    with pytest.raises(SvdlensError, match=f"model.safetensors {what}"):
        check_files_are_there(tmp_path)
    # Snakemake makes anew what is not there.
    assert not provenance.exists()
    check_files_are_there(tmp_path)
