"""`make ledger-import` into a ledger that is not there yet."""

from pathlib import Path

import pytest

from svdlens.errors import SvdlensError
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
