"""The prompt study as `snakemake prompt_study` makes it: costs first, replies once, a table and a figure."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chat_server import KEY, MODEL, ChatServer
from small_questions import secret_in_files
from svdlens.artefacts.table_schemas import PROMPT_STUDY
from svdlens.sweep import label_cost
from workflow import Workflow, copy_run

pytest_plugins = ["workflow_fixtures"]


def test_the_study_is_asked_once(
    finished: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    run = copy_run(finished, tmp_path / "run")
    with ChatServer() as server:
        llm = {"base_url": server.url, "model": MODEL, "matrices": ["mlp_in"], "price": {"input": 1, "output": 2}}
        config = {
            "sweep": {"labellers": ["coherence", "llm"]},
            "labellers": {"llm": llm},
            "prompt_study": {"lists": 3},
            "figures": {"labeller": "coherence"},
        }
        (run.directory / "asked.json").write_text(json.dumps(config), "utf-8")
        monkeypatch.chdir(run.directory)
        monkeypatch.setattr(label_cost, "PROJECT", run.project)
        label_cost.main(["tiny.yaml", "asked.json"], study=True)
        told = capsys.readouterr().out
        assert server.requests == 0
        assert "5 conditions" in told and "Nothing was sent" in told

        # A limit ends it cleanly, and the next call goes on.
        limited = {**config, "labellers": {"llm": llm | {"max_requests": 3}}}
        run.finish("prompt_study", config=limited)
        assert server.answered == 3
        failed = pq.read_table(run.results / "studies/prompts.parquet", partitioning=None)["n_failed"].to_pylist()
        assert sum(failed) > 0

        done = run.finish("prompt_study", config=config)
        assert {"ask_prompt_study", "tabulate_prompt_study"} == done.rules
        assert done.printed.index("label prompt") < done.printed.index("replies asked for")
        assert set(server.answered_by_prompt.values()) == {1}
        table = pq.read_table(run.results / "studies/prompts.parquet", partitioning=None)
        assert table.schema.remove_metadata().equals(PROMPT_STUDY.remove_metadata())
        rows = table.to_pandas()
        assert len(rows) == 5 * (1 + rows["control"].nunique())
        assert (rows["n_failed"] == 0).all() and (rows["n_labelled"] == rows["n"]).all()
        for suffix in ("png", "pdf", "csv"):
            assert (run.results / f"studies/prompts.{suffix}").stat().st_size > 500
        assert not run.finish("prompt_study", "--dry-run", config=config).jobs
        assert secret_in_files(KEY, run.directory) == []
    lacking = run.run("prompt_study", "--dry-run")
    assert lacking.status != 0
    assert "which labels nothing in this sweep" in lacking.printed
