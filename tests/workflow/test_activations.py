"""`snakemake examples` and `snakemake on_prompt`: what directions do on text, on request."""

from pathlib import Path

from svdlens.artefacts.activation_schemas import ABLATIONS, EXAMPLES, PROMPT_PAIRS, PROMPTS
from svdlens.artefacts.table_schemas import read_metadata
from workflow import Workflow, copy_run, messages, read_table

pytest_plugins = ["workflow_fixtures"]


def test_what_directions_do_on_text(finished: Workflow, tmp_path: Path) -> None:
    """On a finished run nothing else is made; the explorer has the examples once they are there."""
    run = copy_run(finished, tmp_path)
    text, config = run.directory / "mine.txt", {"examples": {"text": "mine.txt", "windows": 3}}
    text.write_text("fire burns\nice melts\n\nwater runs down\nthe end", encoding="utf-8")
    # What the model has lost is fetched again.
    lost = run.results / "models/tiny/model.safetensors"
    lost.unlink()
    done = run.finish("examples", "on_prompt", config=config | {"prompt": "fire, fire!"})
    assert lost.exists()
    assert done.rules <= {"find_examples", "read_prompt", "extract_weights"}, done.printed
    examples = run.results / "examples/model=tiny/setting=raw/examples.parquet"
    table = read_table(examples)
    assert table.schema.equals(EXAMPLES)
    assert read_metadata(examples)["lines"] == 5
    assert {(row["matrix"], row["side"]) for row in table.select(["matrix", "side"]).to_pylist()} == {
        ("ov", "read"), ("ov", "write"), ("mlp_in", "read"), ("mlp_out", "write"),
    }  # fmt: skip
    assert all(len(positions) == 3 for positions in table["positions"].to_pylist())
    row = table.to_pylist()[0]
    assert all(
        before + token + after in text.read_text()
        for before, token, after in zip(row["before"], row["tokens"], row["after"], strict=True)
    )
    of_prompt = run.results / "prompts/fire_fire/model=tiny/setting=raw"
    for name, schema in (("directions", PROMPTS), ("pairs", PROMPT_PAIRS), ("ablations", ABLATIONS)):
        assert read_table(of_prompt / f"{name}.parquet").schema.equals(schema)
    assert "".join(read_table(of_prompt / "directions.parquet")["tokens"].to_pylist()[0][1:]) == "fire, fire!"
    assert read_table(of_prompt / "ablations.parquet").num_rows == 4
    assert all((of_prompt / f"directions.{ending}").stat().st_size for ending in ("pdf", "png", "csv"))

    assert run.finish("explorer", config=config).rules == {"build_explorer"}
    assert '"examples":{"shards":["tiny/ov_examples' in (run.results / "explorer/data/catalogue.js").read_text()

    text.write_bytes("Über Feuer".encode("utf-16"))
    for arguments, change, message in (
        (["examples"], {}, "mine.txt is no text in UTF-8"),
        (["--dry-run", "examples"], {"examples": {"text": "your.txt"}}, "examples.text: there is no file your.txt"),
        (["--dry-run", "on_prompt"], {}, "on_prompt needs a prompt: --config 'prompt="),
        (["on_prompt"], {"prompts": {"long": "fire " * 40}}, "the model takes at most 32"),
    ):
        done = run.run(*arguments, config=config | change)
        assert done.status != 0
        assert any(message in said for said in messages(done)), done.printed
