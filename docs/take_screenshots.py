"""Screenshots of results/explorer: `python docs/take_screenshots.py`, after `make run` or `snakemake explorer`.

They go to results/screenshots; explorer.png is copied from there to docs/images by hand, for the README.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "tests/helpers"))

from browser import LAPTOP, TELEPHONE, chromium, go  # noqa: E402

INDEX = Path("results/explorer/index.html")
TARGET = Path("results/screenshots")
CELL = "model=smollm2-135m&setting=raw&matrix=ov&layer=27&head=8"
VIEWS = {
    "explorer": (f"#{CELL}", "light", LAPTOP),  # the one of the README
    "grid_dark": (f"#{CELL}&colour=excess", "dark", LAPTOP),
    "direction": (f"#{CELL}&open=1", "light", LAPTOP),
    "mlp": ("#model=smollm2-135m&setting=raw&matrix=mlp_out&layer=26", "light", LAPTOP),
    "compare": (f"#{CELL}&setting2=tl_rmsnorm", "light", LAPTOP),
    "compare_models": (f"#{CELL}&model2=wordnet-6layer", "dark", LAPTOP),
    "search": ("#view=search&q=fire", "light", LAPTOP),
    "search_labels": ("#view=search&q=plant&find=labels", "dark", LAPTOP),
    "random": ("#layer=random", "light", LAPTOP),
    "narrow": (f"#{CELL}&open=1", "light", TELEPHONE),
}


def main() -> None:
    if not INDEX.exists():
        sys.exit(f"{INDEX} is not there; make it with: snakemake explorer")
    TARGET.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name, (view, scheme, size) in VIEWS.items():
            context = browser.new_context(viewport=size, color_scheme=scheme)
            page = context.new_page()
            go(page, INDEX, view)
            page.wait_for_selector(".line bdi:nth-child(10)")
            page.wait_for_timeout(300)
            page.screenshot(path=TARGET / f"{name}.png")
            print(TARGET / f"{name}.png")
            context.close()


if __name__ == "__main__":
    main()
