"""`make share`: finished sweeps as a folder that a static host serves as it is, with a page over all of them.

    DIRECTORY/index.html            the sweeps that are there, with what they are of and what was found
    DIRECTORY/NAME/...              one of them, as `make publish` packs it; explorer/index.html to look around in
    DIRECTORY/NAME/sweep.json       what index.html says of it

Everything is static, and links are relative. A sweep of the same name is replaced as a whole.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from svdlens.artefacts.atomic_files import write_failure, write_text
from svdlens.errors import SvdlensError
from svdlens.publication.archive import Content, packed_sweep, title_of
from svdlens.sweep.paths import TABLES
from svdlens.sweep.plan import Sweep

FACTS = "sweep.json"
INDEX, SERVED_AS_IT_IS = "index.html", ".nojekyll"
LARGEST_FILE = 100 * 10**6  # bytes, of hosts that serve a repository
TITLE = "<title>Singular vectors of transformer weights, read as tokens</title>"
"""By which a page of ours is known."""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{title}
<style>
:root {{ color-scheme: light dark; --line: #8886; --quiet: light-dark(#555, #aaa); }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
section {{ border-top: 1px solid var(--line); padding: .5rem 0 1rem; }}
h2 {{ margin: .5rem 0 0; overflow-wrap: anywhere; }}
p {{ margin: .3rem 0; }}
.quiet {{ color: var(--quiet); overflow-wrap: anywhere; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }}
th, td {{ text-align: left; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid var(--line); }}
td.number, th.number {{ text-align: right; white-space: nowrap; }}
</style>
<h1>Singular vectors of transformer weights, read as tokens</h1>
<p>Sweeps of svdlens. The share of token lists that hang together, by the labeller named, beside that of random
directions read and labelled the same way; intervals are 95 %, over matrices.</p>
{sections}
</html>
"""
SECTION = """<section>
<h2>{name}</h2>
<p><a href="{directory}/explorer/index.html">Explorer</a> · <a href="{directory}/report/method.html">method</a> ·
<a href="{directory}/README.md">about</a> · tables: {tables}</p>
<p class="quiet">{description}</p>
<p class="quiet">{lists:,} token lists. svdlens {version}, {date}, licence {license}. {weights}</p>
<div class="wide"><table>
<tr><th>model</th><th>setting</th><th>matrix</th><th>labeller</th>
<th class="number">interpretable</th><th class="number">random directions</th></tr>
{rows}
</table></div>
</section>"""


def share(config_file: Path | None, directory: Path, licence: str = "", name: str = "", date: str = "") -> Path:
    """Put the results in the working directory, of config.yaml with `config_file` over it, into a folder of
    `directory`, and write its index.html anew. Returns that folder.

    Raises SvdlensError as `packed_sweep` does, and for a `directory` that is none, holds a page or a file of somebody
    else where one of ours belongs, cannot be written to, or is a part of results.
    """
    title = title_of(config_file)
    check_place(directory, title)
    packed = packed_sweep(config_file, licence, name, date)
    facts = {**packed.facts, **swept_facts(packed.sweep), "weights": weights_of(packed.models)}
    target = directory / title
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{title}.", dir=directory) as temporary:
            folder = Path(temporary) / title
            write_files(folder, packed.files)
            (folder / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            if target.exists():
                target.rename(Path(temporary) / "before")
            folder.rename(target)
        write_text(directory / SERVED_AS_IT_IS, "")
        write_text(directory / INDEX, index_page(read_facts(directory)))
    except OSError as error:
        said = write_failure(error) or error.strerror or error
        raise SvdlensError(f"SITE={directory} cannot be written: {said}. Make room there, or name another.") from error
    return target


def check_place(directory: Path, title: str) -> None:
    """Raises SvdlensError, before anything is packed, where a sweep called `title` has no place in `directory`."""
    if directory.resolve().is_relative_to(Path("results").resolve()):
        raise SvdlensError(f"SITE={directory} is in results, which is being shared. Name a directory beside it.")
    if file := next(
        (place for place in (directory, *directory.parents) if place.exists() and not place.is_dir()), None
    ):
        raise SvdlensError(f"SITE={directory}: {file} is a file. Name a directory, which need not be there yet.")
    if title in (INDEX, SERVED_AS_IT_IS):
        raise SvdlensError(
            f"a sweep called {title} would lie where the site has that file. Rename the file of the sweep."
        )
    target, page = directory / title, directory / INDEX
    if target.exists() and not (target / FACTS).is_file():
        raise SvdlensError(
            f"{target} is there and no shared sweep: it has no {FACTS}. Move it away, or name another SITE."
        )
    if page.exists() and TITLE not in page.read_text(encoding="utf-8", errors="replace"):
        raise SvdlensError(
            f"{page} is there and no page of shared sweeps, and would be written over. Move it away, or name another "
            "SITE."
        )
    read_facts(directory, replaced=title)


def write_files(folder: Path, files: Mapping[str, Content]) -> None:
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            shutil.copyfile(source, path)


def swept_facts(sweep: Sweep) -> dict[str, Any]:
    """The number of token lists, and the shares of each model, setting, matrix and labeller."""
    tokens = pd.read_parquet("results/tables/tokens.parquet", columns=["sign"])
    fractions = pd.read_parquet("results/tables/fractions.parquet")
    whole = (fractions[["group", "side", "kind"]] == "all").all(axis=1) & (fractions["unit"] == "row")
    columns = ["model", "setting", "matrix", "readout", "labeller", "criterion", "n", "fraction", "low", "high"]
    rows = fractions.loc[whole, [*columns, "control_n", "control_fraction"]]
    return {"lists": len(tokens), "shares": json.loads(rows.to_json(orient="records"))}


def weights_of(models: Sequence[Mapping[str, Any]]) -> str:
    """Name and revision of each model, or the beginning of the sha256 of its weights, where it has no revision."""
    said = []
    for model in models:
        digests = [file["sha256"] for name, file in sorted(model["files"].items()) if name.endswith(".safetensors")]
        known_by = model["revision"] or (f"sha256 {digests[0][:16]}" if digests else model["source"])
        said.append(f"{model['model']} ({known_by})")
    return f"Models: {', '.join(said)}."


def read_facts(directory: Path, replaced: str = "") -> dict[str, dict[str, Any]]:
    """What each sweep of the directory says of itself, by the name of its folder; but for the one that is `replaced`.

    Raises SvdlensError for one that cannot be read.
    """
    found = {}
    for file in sorted(directory.glob(f"*/{FACTS}")):
        if file.parent.name == replaced:
            continue
        try:
            found[file.parent.name] = json.loads(file.read_text(encoding="utf-8"))
            section(file.parent.name, found[file.parent.name])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SvdlensError(
                f"{file} cannot be read ({type(error).__name__}: {error}). Share this sweep again, or delete "
                f"{file.parent}."
            ) from error
    return found


def index_page(sweeps: Mapping[str, Mapping[str, Any]]) -> str:
    """The page over the sweeps, by the names of their folders. All that they say of themselves is text in it."""
    return PAGE.format(
        title=TITLE, sections="\n".join(section(directory, facts) for directory, facts in sweeps.items())
    )


def section(directory: str, facts: Mapping[str, Any]) -> str:
    texts = {key: escape(str(facts[key])) for key in ("name", "description", "version", "date", "license", "weights")}
    rows = "\n".join(map(share_row, facts["shares"]))
    place = escape(quote(directory))
    tables = ", ".join(f'<a href="{place}/tables/{table}.parquet">{table}</a>' for table in TABLES)
    return SECTION.format(**texts, directory=place, lists=int(facts["lists"]), rows=rows, tables=tables)


def share_row(row: Mapping[str, Any]) -> str:
    """A share of lists, with its interval, beside its control."""
    cells = [
        row["model"],
        row["setting"],
        f"{row['matrix']} through {row['readout']}",
        f"{row['labeller']}, {row['criterion']}",
    ]
    share = f"{row['fraction']:.1%} ({row['low']:.1%} to {row['high']:.1%}) of {row['n']:,}"
    control = "" if row["control_fraction"] is None else f"{row['control_fraction']:.1%} of {row['control_n']:,.0f}"
    texts = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f'<tr>{texts}<td class="number">{share}</td><td class="number">{control}</td></tr>'


def main(arguments: list[str]) -> None:
    """The file of the sweep, the directory, the licence, the name and the date; each but the directory may be empty."""
    config_file, directory, licence, name, date = [*arguments, "", "", "", "", ""][:5]
    if not directory:
        raise SvdlensError("SITE is empty. Name a directory, which need not be there yet.")
    folder = share(Path(config_file) if config_file else None, Path(directory), licence, name, date)
    print(f"{folder}\n{Path(directory) / 'index.html'}, sweeps: {len(read_facts(Path(directory)))}")
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > LARGEST_FILE):
        print(f"{path}: {path.stat().st_size / 1e6:.0f} MB, more than hosts of repositories take in a file")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
