"""Put the published answers of one model into results/published/, from the authors' repository or a directory.

They carry no licence, and so are fetched at run time and never part of this project.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from svdlens import SCHEMA_VERSION
from svdlens.artefacts.atomic_files import atomic_path, copy_file, sha256_of, write_text
from svdlens.errors import SvdlensError, did_you_mean
from svdlens.labels.published.answers import LAYERS, MATRICES, published_paths, read_answers
from svdlens.models.fetch import ANSWER_WITHIN, set_up_hub, try_again
from svdlens.models.hub_cache import is_offline

log = logging.getLogger(__name__)

REPOSITORY = "github.com/BerenMillidge/svd_directions"
COMMIT = "eee8a65cd2e6408a342186c21e5ec104997a2312"
URL = "https://raw.githubusercontent.com/BerenMillidge/svd_directions"
PINS = "labellers.published.sha256"
BUSY = "The server is in trouble or busy: run again later, what was downloaded is kept."
MOVED = "Correct labellers.published.url, which is followed by commit and path, or leave it out."
WAY_OUT = "Without the network, write the directory of a copy of the repository as `path:` under labellers.published."


def fetch_published(
    model: str, target: Path, expected_sha256: Mapping[str, str], directory: Path | None = None, url: str = URL
) -> None:
    """Put the files of a model ("gpt2-small", "gpt2-medium", "gpt2-large") and provenance.json into `target`.

    From `directory`, which has them side by side or is a checkout of the repository, or without one by download from
    `url`, which is followed by commit and path. Files must have the sha256 that `expected_sha256` has of them; one
    that it has none of is taken as it comes, and the log says what to pin. A download that fails goes on with the
    files that had arrived. Raises SvdlensError, with nothing published, if a file cannot be had or is not what was
    published.
    """
    paths = published_paths(model)
    check_pin_names(expected_sha256)
    staging = target.parent / ".partial" / model
    for name, path in paths.items():
        if directory is not None:
            copy_file(find_file(directory, path, model), staging / name)
        elif not (staging / name).exists():
            download(f"{url.rstrip('/')}/{COMMIT}/{path}", staging / name)
    sha256 = {name: sha256_of(staging / name) for name in paths}
    try:
        check_pins(sha256, expected_sha256)
        for matrix in MATRICES:
            read_answers(staging, model, matrix)
    except SvdlensError:
        shutil.rmtree(staging)  # whole, but not what was published: the next run fetches anew
        raise
    unpinned = [name for name in paths if name not in expected_sha256]
    for name in unpinned:
        log.warning("%s has the sha256 %s, and no pin. To pin it: %s", name, sha256[name], PINS)
    # The files of a directory are those of the commit only if their pins say so.
    commit = COMMIT if directory is None or not unpinned else None
    provenance = {
        "model": model,
        "source": "download" if directory is None else "path",
        "repository": REPOSITORY,
        "commit": commit,
        "files": {name: {"sha256": sha256[name], "size": (staging / name).stat().st_size} for name in paths},
        "schema_version": SCHEMA_VERSION,
    }
    target.mkdir(parents=True, exist_ok=True)
    (target / "provenance.json").unlink(missing_ok=True)
    for name in paths:
        (staging / name).replace(target / name)
    shutil.rmtree(staging)
    with suppress(OSError):  # not empty while another model is being fetched
        staging.parent.rmdir()
    write_text(target / "provenance.json", json.dumps(provenance, indent=2, sort_keys=True) + "\n")


def find_file(directory: Path, path: str, model: str) -> Path:
    """A file of the repository in a directory that has it under its path, or just under its name."""
    for file in (directory / path, directory / Path(path).name):
        if file.is_file():
            return file
    raise SvdlensError(
        f"labellers.published.path is {directory}, which has neither {path} nor {Path(path).name}, "
        f"published of {model}. Name a checkout of {REPOSITORY}, or a directory with the files side by side."
    )


def download(url: str, target: Path) -> None:
    """Download one file, whole or not at all. Raises SvdlensError if that fails three times, or cannot but fail."""
    set_up_hub()
    if is_offline():
        raise SvdlensError(
            f"published answers are downloaded ({url}), but HF_HUB_OFFLINE is set. Unset it, or name a directory with "
            f"them as labellers.published.path."
        )
    from huggingface_hub.errors import HfHubHTTPError, HTTPError
    from huggingface_hub.utils import get_session, hf_raise_for_status

    def content() -> bytes:
        # The client of huggingface_hub knows proxies and certificates; its token goes to the hub only.
        answer = get_session().get(url, timeout=ANSWER_WITHIN)
        hf_raise_for_status(answer)
        return answer.content

    try:
        whole = try_again(content)
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise SvdlensError(
            f"{url} answers with status {status}. {BUSY if status >= 500 or status == 429 else MOVED} {WAY_OUT}"
        ) from error
    except HTTPError as error:
        raise SvdlensError(f"cannot download {url} ({error}). Run again later. {WAY_OUT}") from error
    with atomic_path(target) as temporary:
        temporary.write_bytes(whole)


def check_pin_names(expected_sha256: Mapping[str, str]) -> None:
    """Raises SvdlensError if a checksum is pinned of what is no published file."""
    known = [name for model in LAYERS for name in published_paths(model)]
    for name in expected_sha256:
        if name not in known:
            raise SvdlensError(
                f"{PINS} has {name!r}, which is no published file.{did_you_mean(name, known)} Correct or remove it."
            )


def check_pins(sha256: Mapping[str, str], expected_sha256: Mapping[str, str]) -> None:
    for name, actual in sha256.items():
        pinned = expected_sha256.get(name, actual)
        if actual != pinned:
            raise SvdlensError(
                f"{name} has the sha256 {actual}, but {PINS} pins {pinned}. The file was damaged or altered, or is not "
                f"that of {REPOSITORY} at {COMMIT}: get it again, or, if the pin is wrong, correct that."
            )
