"""Speed and size of the explorer: `python benchmarks/explorer.py [--paper]`, less than a minute without the option.

Of a made-up sweep (tests/helpers/made_up_sweep.py) of gpt2-large's size: one setting, OV and both MLP matrices,
64 directions, 96,768 vectors, 193,536 lists. The page is built in a process of its own and opened in headless
Chromium. `--paper` is the three GPT-2 models in nine settings, which takes four minutes and 10 GB of disk. Prints a
table and writes results/benchmarks/explorer.csv; ends with status 1 if a value is beyond its limit.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

PROJECT = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT / "scripts"), str(PROJECT / "tests/helpers")]

from browser import LAPTOP, address, chromium, wait  # noqa: E402
from made_up_sweep import Shape, write_sweep  # noqa: E402
from svdlens.artefacts.atomic_files import write_text  # noqa: E402
from svdlens.explorer.build import Source, build_explorer  # noqa: E402

RAW = (("raw", 0),)
# Settings that have the same lists have the same number; MLP-in would have fewer (docs/settings.md).
NINE = (
    ("raw", 0), ("fold", 1), ("write", 2), ("unembed", 0), ("fold_write", 3),
    ("fold_unembed", 1), ("write_unembed", 2), ("tl_default", 3), ("post2022", 4),
)  # fmt: skip
SIZES = {"gpt2-small": (12, 12), "gpt2-medium": (24, 16), "gpt2-large": (36, 20)}


def shape(model: str, settings: tuple[tuple[str, int], ...]) -> Shape:
    layers, heads = SIZES[model]
    return Shape(layers, heads, directions=64, vocabulary=50_257, rank=64, tables=settings)


class Measured(NamedTuple):
    quantity: str
    value: float
    limit: float


def build(results: Path, models: dict[str, Shape], target: Path) -> tuple[float, float]:
    """Seconds and GiB (largest resident set) that build_explorer takes, in a process of its own."""
    write_sweep(results, models, controls=1000)
    places = [
        (model, setting, matrix)
        for model, one in models.items()
        for matrix in one.matrices
        for setting, _ in one.tables
    ]
    arguments = json.dumps([str(results), str(target), places])
    done = subprocess.run(
        [sys.executable, __file__, "--build", arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds, gib = json.loads(done.stdout)
    return seconds, gib


def build_here(results: str, target: str, places: list[list[str]]) -> None:
    sources = [source_of(Path(results), *place) for place in places]
    static = sorted((PROJECT / "resources/explorer").glob("*"))
    start = time.perf_counter()
    build_explorer(sources, Path(results) / "tables/fractions.parquet", static, Path(target))
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))


def source_of(results: Path, model: str, setting: str, matrix: str) -> Source:
    def at(table: str, end: str = "") -> Path:
        return results / f"{table}/model={model}/setting={setting}/{matrix}{end}.parquet"

    labels = {"coherence": at("labels", ".coherence")}
    random_labels = {"coherence": at("controls", ".random_unit.coherence")}
    return Source(model, setting, at("tokens"), at("spectra"), at("controls", ".random_unit"), labels, random_labels)


def megabytes(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6


# From what a reader does to the first frame that shows what was asked for, in the page itself: driving it takes longer.
DO = """async (action) => {
  delete document.documentElement.dataset.shown;
  const frame = () => new Promise(requestAnimationFrame);
  const byText = (text) => [...document.querySelectorAll("a")].find((link) => link.textContent.startsWith(text));
  const choose = (id, value) => {
    const found = document.getElementById(id);
    found.value = value;
    found.dispatchEvent(new Event("change"));
  };
  const start = performance.now();
  new Function("byText", "choose", action)(byText, choose);
  while (!document.documentElement.dataset.shown) await frame();
  await frame();
  return (performance.now() - start) / 1000;
}"""
ACTIONS = {
    "another head": "document.getElementById('cell-0-10-7').click()",
    "a direction": "document.getElementById('direction-3').click()",
    "another quantity": "choose('colour', 'stability')",
    "another matrix": "document.getElementById('matrix-mlp_out').click()",
    "random directions": "byText('Random directions').click()",
    "search of a token": "choose('query', 'fire'); document.getElementById('search').requestSubmit()",
    "search of letters in labels": "byText('Labels').click()",
    "back to the grid": "byText('Back to the grid').click()",
}


def clicks(what: str, index: Path, most: float) -> Iterator[Measured]:
    """Each action once, in this order: no shard is there before it is needed."""
    with chromium() as browser:
        # The page's own policy forbids code from texts; that is what ACTIONS are.
        page = browser.new_context(viewport=LAPTOP, bypass_csp=True).new_page()
        start = time.perf_counter()
        page.goto(address(index))
        wait(page)
        yield Measured(f"{what}: first view, s", time.perf_counter() - start, 2)
        for name, action in ACTIONS.items():
            yield Measured(f"{what}: {name}, s", page.evaluate(DO, action), most)


def everything(paper: bool) -> Iterator[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        results, target = Path(directory) / "results", Path(directory) / "explorer"
        seconds, gib = build(results, {"gpt2-large": shape("gpt2-large", RAW)}, target)
        yield Measured("gpt2-large: build, s", seconds, 60)
        yield Measured("gpt2-large: memory, GiB", gib, 1.5)
        yield Measured("gpt2-large: size, MB", megabytes(target), float("inf"))
        yield from clicks("gpt2-large", target / "index.html", 0.3)
    if paper:
        with tempfile.TemporaryDirectory() as directory:
            target = Path(directory) / "explorer"
            seconds, gib = build(Path(directory) / "results", {name: shape(name, NINE) for name in SIZES}, target)
            yield Measured("three models: build, s", seconds, float("inf"))
            yield Measured("three models: memory, GiB", gib, float("inf"))
            yield Measured("three models: size, MB", megabytes(target), 150)
            yield from clicks("three models", target / "index.html", float("inf"))


def main() -> None:
    if sys.argv[1:2] == ["--build"]:
        build_here(*json.loads(sys.argv[2]))
        return
    measured = []
    for one in everything("--paper" in sys.argv):
        measured.append(one)
        missed = "" if one.value <= one.limit else "  MISSED"
        print(f"{one.quantity:50} {one.value:8.3g}  at most {one.limit:g}{missed}", flush=True)
    output = Path("results/benchmarks/explorer.csv")
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, pd.DataFrame(measured).round({"value": 3}).to_csv(index=False))
    print(output)
    if any(one.value > one.limit for one in measured):
        sys.exit("beyond its limit: " + "; ".join(one.quantity for one in measured if one.value > one.limit))


if __name__ == "__main__":
    main()
