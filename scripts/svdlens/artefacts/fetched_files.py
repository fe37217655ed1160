"""Whether the files of a fetched model are still there."""

import json
from pathlib import Path

from svdlens.errors import SvdlensError


def check_files_are_there(directory: Path) -> None:
    """That a model in results/models still has every file that its provenance.json names, at its full length.

    Raises SvdlensError if not, and takes provenance.json away: it stands for the whole directory, so that the next run
    fetches the model again. A directory without provenance.json is none of ours and is not looked at.
    """
    provenance = directory / "provenance.json"
    if not provenance.exists():
        return
    files = json.loads(provenance.read_text(encoding="utf-8"))["files"]
    for name, file in files.items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != file["size"]:
            provenance.unlink()
            what = "was cut short or replaced" if path.exists() else "is gone"
            raise SvdlensError(f"{path} {what} since the model was fetched. Run again: the model is fetched anew.")
