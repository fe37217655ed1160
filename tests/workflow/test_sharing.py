"""make share: finished sweeps as a folder that a static host serves as it is."""

import json
import os
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pandas as pd
import pytest
from huggingface_hub import DatasetCard

from svdlens.errors import SvdlensError
from svdlens.publication.site import FACTS, index_page, main, read_facts, share
from svdlens.sweep.paths import TABLES

pytest_plugins = ["workflow_fixtures"]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_folder_has_all_and_says_what_it_is(
    finished_here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    main(["tiny.yaml", str(site), "", "A <b>name</b>", "2026-01-31"])
    assert "sweeps: 1" in capsys.readouterr().out
    page = (site / "index.html").read_text("utf-8")
    assert "<b>" not in page and "A &lt;b&gt;name&lt;/b&gt;" in page
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 3 + len(TABLES)
    for link in links:
        assert (site / link).exists() and not link.startswith(("/", "http"))
    fractions = pd.read_parquet("results/tables/fractions.parquet")
    whole = fractions.query("group == 'all' and side == 'all' and kind == 'all' and unit == 'row'")
    assert page.count('<td class="number">') == 2 * len(whole) > 0
    first = whole.iloc[0]
    assert f"{first['fraction']:.1%} ({first['low']:.1%} to {first['high']:.1%}) of {first['n']:,}" in page
    # The same again, whatever the dates of files; a second sweep beside it.
    before = contents(site)
    for path in Path("results").rglob("*"):
        os.utime(path, (1e9, 1e9))
    main(["tiny.yaml", str(site), "", "A <b>name</b>", "2026-01-31"])
    assert contents(site) == before
    Path("other.yaml").write_text(Path("tiny.yaml").read_text("utf-8"), "utf-8")
    share(Path("other.yaml"), site)
    assert list(read_facts(site)) == ["other", "tiny"]
    assert contents(site / "tiny") == {
        name.removeprefix("tiny/"): content for name, content in before.items() if name.startswith("tiny/")
    }
    assert sorted(path.name for path in site.iterdir()) == [".nojekyll", "index.html", "other", "tiny"]


def test_the_card_is_one_of_the_hub(finished_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = share(Path("tiny.yaml"), tmp_path / "site")
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "cc-by-4.0" and card.data.size_categories in (["n<1K"], ["1K<n<10K"])
    assert [config["config_name"] for config in card.data.configs] == list(TABLES)
    provenance = json.loads((folder / "models/tiny/provenance.json").read_text("utf-8"))
    assert provenance["files"]["model.safetensors"]["sha256"] in card.text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    for table in ("tokens", "fractions"):
        found = datasets.load_dataset(str(folder), table, split="train", cache_dir=str(tmp_path / "cache"))
        expected = pd.read_parquet(folder / f"tables/{table}.parquet")
        assert found.num_rows == len(expected) and found.column_names == list(expected.columns)


def test_what_is_not_shared(finished_here: Path, tmp_path: Path) -> None:
    """Into results, over what is no shared sweep or is somebody's page, an unfinished sweep; what is there stays."""
    sweep = Path("tiny.yaml")
    with pytest.raises(SvdlensError, match="is in results"):
        share(sweep, Path("results/site"))
    site = tmp_path / "site"
    (site / "tiny").mkdir(parents=True)
    (site / "tiny/mine.txt").write_text("mine")
    with pytest.raises(SvdlensError, match=rf"has no {FACTS}"):
        share(sweep, site)
    assert contents(site) == {"tiny/mine.txt": b"mine"}
    shutil.rmtree(site)
    site.mkdir()
    (site / "index.html").write_text("my own page")
    with pytest.raises(SvdlensError, match=r"index.html is there and no page of shared sweeps"):
        share(sweep, site)
    assert contents(site) == {"index.html": b"my own page"}
    for place, said in ((site / "index.html/below", "is a file"), (Path("/proc/site"), "cannot be written")):
        with pytest.raises(SvdlensError, match=said):
            share(sweep, place)
    with pytest.raises(SvdlensError, match="SITE is empty"):
        main(["tiny.yaml", ""])
    shutil.rmtree(site)
    sweep.rename("index.html.yaml")
    with pytest.raises(SvdlensError, match=r"a sweep called index.html"):
        share(Path("index.html.yaml"), site)
    Path("index.html.yaml").rename(sweep)
    share(sweep, site)
    before = contents(site)
    (site / "other").mkdir()
    (site / "other" / FACTS).write_text("{}")
    with pytest.raises(SvdlensError, match=rf"other/{FACTS} cannot be read"):
        share(sweep, site, name="another name")
    shutil.rmtree(site / "other")
    assert contents(site) == before
    Path("results/tables/labels.parquet").unlink()
    with pytest.raises(SvdlensError, match="is not finished"):
        share(sweep, site)
    assert contents(site) == before
    (site / "tiny" / FACTS).write_text("{}")
    with pytest.raises(SvdlensError, match=rf"{FACTS} cannot be read"):
        read_facts(site)


def test_nothing_that_a_sweep_says_is_code_of_the_page() -> None:
    hostile = '<script>alert(1)</script>" onmouseover="x'
    texts = dict.fromkeys(("name", "description", "version", "date", "license", "weights"), hostile)
    row = dict.fromkeys(("model", "setting", "matrix", "readout", "labeller", "criterion"), hostile)
    row |= {"fraction": 0.5, "low": 0.4, "high": 0.6, "n": 10, "control_fraction": None, "control_n": None}
    page = index_page({hostile: {**texts, "lists": 3, "shares": [row]}})
    assert "<script" not in page and '" onmouseover' not in page
    # Whatever a folder is called, links lead into it.
    odd = "my #1 sweep: 100% <b>?"
    page = index_page({odd: {**texts, "lists": 3, "shares": [row]}})
    for link in re.findall(r'href="([^"]+)"', page):
        address = urlsplit(urljoin("file:///site/index.html", unescape(link)))
        assert (address.query, address.fragment) == ("", "") and unquote(address.path).startswith(f"/site/{odd}/")
