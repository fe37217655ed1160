"""`make label-cost` says that nothing would be asked before it makes any lists."""

from pathlib import Path

import pytest

from svdlens.errors import SvdlensError
from svdlens.sweep.label_cost import asking_sweep


def test_a_sweep_without_a_language_model_is_refused_at_once(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("sweep: {labellers: [coherence]}\n")
    with pytest.raises(SvdlensError, match="no labeller of this sweep asks a language model"):
        asking_sweep([str(config)])
    config.write_text("sweep: {labellers: [llm]}\nlabellers: {llm: {base_url: http://localhost/v1, model: any}}\n")
    assert asking_sweep([str(config)])[1] == ["llm"]
