"""`snakemake trace`: from words to tables and pictures, and what is said where there is nothing to look for."""

import csv
from pathlib import Path

import pandas as pd

from svdlens.artefacts.table_schemas import TRACE, TRACE_MATRICES, read_metadata
from workflow import Workflow, copy_run, hidden_files, messages, read_table

pytest_plugins = ["workflow_fixtures"]

QUERY = {"query": ["ab", "aj", "abaj"]}
PLACE = "model=tiny/setting=raw"


def test_words_are_looked_for_in_a_finished_sweep(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_run(finished, tmp_path)
    nothing = workflow.run("trace")
    [message] = messages(nothing)
    assert nothing.status != 0 and message.startswith("trace needs words to look for: --config 'query=[fire, flame")
    assert nothing.printed.rstrip().endswith(message) and "Traceback" not in nothing.printed

    # A word of which the vocabulary has only bytes.
    refused = workflow.run("trace", config={"query": ["ab", "火"]})
    assert refused.status != 0 and refused.rules == {"tokenize_queries"}
    assert any("'火' only as the pieces" in message for message in messages(refused))
    assert not list((workflow.results / "trace").rglob("*.json")) and not hidden_files(workflow.results / "trace")

    run = workflow.finish("trace", config=QUERY)
    assert run.rules == {"tokenize_queries", "trace_queries", "plot_trace_table", "plot_trace_heads"}
    directions, matrices = (
        workflow.results / f"trace/{name}/{PLACE}/{name}.parquet" for name in ("directions", "matrices")
    )
    table = read_table(directions)
    assert table.schema.equals(TRACE) and read_table(matrices).schema.equals(TRACE_MATRICES)
    facts = read_metadata(directions)
    assert list(facts["split"]["ab"]) == ["abaj"], "which word is split, of the query that its first word names"
    assert facts["rounds"]["ab"][0]["words"] == QUERY["query"] and facts["vectors"] == "pinv_W_U"
    assert 0 < facts["recall"] <= 1 and str(tmp_path) not in directions.read_bytes().decode("latin-1")

    rows = table.to_pandas()
    lists = read_table(workflow.results / "tokens/model=tiny/setting=raw/mlp_out.parquet").to_pandas()
    first = rows[rows["matrix"] == "mlp_out"].iloc[0]
    same = lists[(lists["index"] == first["index"]) & (lists["side"] == first["side"])]
    own, other = (same.loc[same["sign"] == sign, "tokens"].iloc[0] for sign in (first["sign"], -first["sign"]))
    assert list(first["tokens"]) == list(own) and list(first["antipode_tokens"]) == list(other)
    best = read_table(matrices).to_pandas()
    assert len(best) == 2 * 2 + 1 + 1, "two heads with two sides, and two matrices of the MLP"
    assert rows["standard_score"].abs().max() == best["standard_score"].abs().max()

    for name in ("trace_table_ab", "trace_heads_ab"):
        path = workflow.results / f"figures/tiny/raw/{name}"
        assert path.with_suffix(".png").stat().st_size > 5000 and path.with_suffix(".pdf").exists()
        drawn = pd.read_csv(path.with_suffix(".csv"), quoting=csv.QUOTE_NONNUMERIC)
        assert drawn["query"].unique().tolist() == ["ab"] and drawn["model"].unique().tolist() == ["tiny"]
