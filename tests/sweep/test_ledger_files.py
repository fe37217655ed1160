"""`make ledger-import` into a ledger that is not there yet, `make ledger-export` to where nothing can be written."""

from pathlib import Path

import pytest

from svdlens.errors import SvdlensError
from svdlens.labels.llm.ledger import Ledger
from svdlens.sweep import ledger_files


@pytest.mark.parametrize("content", [None, '{"key": "a"}\n'])
def test_an_import_that_fails_makes_no_ledger(tmp_path: Path, content: str | None) -> None:
    replies, ledger, config = (tmp_path / name for name in ("replies.jsonl", "new/ledger.sqlite", "mine.yaml"))
    if content is not None:
        replies.write_text(content)
    llm = f"{{base_url: http://localhost/v1, model: any, ledger: {ledger}}}"
    config.write_text(f"sweep: {{labellers: [llm]}}\nlabellers: {{llm: {llm}}}\n")
    with pytest.raises(SvdlensError, match=r"replies\.jsonl"):
        ledger_files.main("import", str(replies), [str(config)])
    assert not ledger.parent.exists()


@pytest.mark.parametrize("where", ["a_file/replies.jsonl", "a_directory"])
def test_an_export_that_cannot_be_written_names_the_file(where: str, tmp_path: Path) -> None:
    ledger, config, file = tmp_path / "ledger.sqlite", tmp_path / "mine.yaml", tmp_path / where
    with Ledger(ledger):
        pass
    (tmp_path / "a_file").touch()
    (tmp_path / "a_directory").mkdir()
    llm = f"{{base_url: http://localhost/v1, model: any, ledger: {ledger}}}"
    config.write_text(f"sweep: {{labellers: [llm]}}\nlabellers: {{llm: {llm}}}\n")
    with pytest.raises(SvdlensError, match=f"cannot write {file}: .* Move it away"):
        ledger_files.main("export", str(file), [str(config)])
