"""`snakemake effects` and `snakemake cards` on top of a finished sweep, and the explorer after them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svdlens.artefacts.table_schemas import CARDS, EFFECTS, READ_WRITE_GAPS, read_metadata
from workflow import Workflow, copy_run, messages, read_table

pytest_plugins = ["workflow_fixtures"]

KEYS = ["layer", "head", "index", "sign"]


@pytest.mark.slow
def test_effects_and_cards_join_to_the_lists_and_the_explorer_shows_them(finished: Workflow, tmp_path: Path) -> None:
    workflow = copy_run(finished, tmp_path)
    (workflow.directory / "own.txt").write_text("a cat sat on the mat and saw a dog in the fog " * 5, encoding="utf-8")
    config = {"effects": {"text": "own.txt", "tokens": 100, "metric": ["a", "b"]}}
    (workflow.results / "models/tiny/model.safetensors").unlink()  # and it is fetched again
    run = workflow.finish("effects", "cards", "plot_effects", "plot_cards", config=config)
    assert run.counts == {"measure_effects": 3, "write_cards": 1, "plot_effects": 1, "plot_cards": 1}
    for name in ("effects_ov", "effects_mlp_in", "effects_mlp_out", "cards_ov"):
        assert (workflow.results / f"figures/tiny/raw/{name}.png").stat().st_size > 5000
    for matrix in ("ov", "mlp_in", "mlp_out"):
        table = read_table(workflow.results / f"effects/model=tiny/setting=raw/{matrix}.parquet")
        assert table.schema.equals(EFFECTS)
        effects = table.to_pandas()
        lists = read_table(workflow.results / f"tokens/model=tiny/setting=raw/{matrix}.parquet").to_pandas()
        joined = lists.merge(effects, on=KEYS, how="left", validate="many_to_one")
        assert len(joined) == len(lists) and (joined["first_order"].isna() == joined["null_space"]).all()
        assert np.abs(effects["first_order"]).max() > 0
        assert effects["direct_effect"].isna().all() == (matrix == "mlp_in")
        facts = read_metadata(workflow.results / f"effects/model=tiny/setting=raw/{matrix}.parquet")
        assert facts["metric"] == ["a", "b"] and facts["model"] == "tiny"
    for name, schema in (("cards", CARDS), ("read_write_gaps", READ_WRITE_GAPS)):
        assert read_table(workflow.results / f"{name}/model=tiny/setting=raw/ov.parquet").schema.equals(schema)
    cards = read_table(workflow.results / "cards/model=tiny/setting=raw/ov.parquet").to_pandas()
    assert not cards.duplicated(KEYS).any()
    assert pd.api.types.is_float_dtype(cards["cosine"]) and cards["cosine"].abs().max() <= 1

    # Everything there is, with the metric of config.yaml: nothing is measured again, but what was is shown.
    run = workflow.finish("all")
    assert run.rules == {"build_explorer"}
    text = (workflow.results / "explorer/data/catalogue.js").read_text("ascii")
    catalogue = json.loads(text.removeprefix("svdlens.catalogue = ").removesuffix(";\n"))
    entries = catalogue["models"][0]["matrices"]
    assert set(entries) == {"ov", "mlp_in", "mlp_out"}
    assert all(settings["raw"]["effects"]["metric"] == ["a", "b"] for settings in entries.values())

    (workflow.directory / "own.txt").write_bytes(b"caf\xe9")
    run = workflow.run("effects", config=config)
    assert run.status != 0 and any("own.txt is no text in UTF-8" in message for message in messages(run))
