"""Models in the hub's cache on this machine, for who works without a network.

In every function `where` begins the messages of errors; it says which model it is and whence.
"""

import hashlib
from pathlib import Path

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.errors import SvdlensError
from svdlens.models.checks import CHECKSUM, check_file_names


def is_offline() -> bool:
    """Whether the user has set HF_HUB_OFFLINE, or TRANSFORMERS_OFFLINE, which huggingface_hub takes for the same."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def cached_snapshot(repo: str, revision: str, where: str) -> Path:
    """The directory with the files of a commit in the hub's cache, each held against its checksum.

    Raises SvdlensError if it is not there, or a file is damaged.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        snapshot = Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise not_cached(repo, revision, where) from error
    for path in sorted(snapshot.iterdir()):
        check_cached(path, where)
    names = [path.name for path in snapshot.iterdir()]
    try:
        check_file_names(names, where)
    except SvdlensError as error:
        # Other programs fetch just the files that they need.
        raise SvdlensError(
            f"{error} If the repository has it, the hub's cache is not complete ({snapshot} has "
            f"{', '.join(sorted(names))}): {fetch_command(repo, revision)} where there is a network."
        ) from error
    return snapshot


def cached_file(repo: str, revision: str, file: str, where: str) -> Path:
    """A file of a commit in the hub's cache, held against its checksum. Raises SvdlensError as cached_snapshot does."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(repo, file, revision=revision)
    except HFValidationError as error:
        raise not_cached(repo, revision, where) from error
    if not isinstance(path, str):
        raise not_cached(repo, revision, where)
    check_cached(Path(path), where)
    return Path(path)


def not_cached(repo: str, revision: str, where: str) -> SvdlensError:
    from huggingface_hub import constants

    return SvdlensError(
        f"{where}: HF_HUB_OFFLINE is set, and the hub's cache {constants.HF_HUB_CACHE} does not have this. Unset "
        f"HF_HUB_OFFLINE; or fill the cache where there is a network ({fetch_command(repo, revision)}), and "
        f"set HF_HOME to where it is."
    )


def fetch_command(repo: str, revision: str) -> str:
    return f"`hf download {repo} --revision {revision}`"


def check_cached(path: Path, where: str) -> None:
    """Raises SvdlensError if a file of the cache has not the checksum that the hub stated when it was downloaded.

    The file that a snapshot links to is named by it: sha256 for files in the hub's large-file store, git's blob id for
    the others. Without links, as on some disks, the cache does not know it.
    """
    stated = path.resolve().name
    if not path.is_symlink() or not CHECKSUM.fullmatch(stated):
        return
    if not path.exists():
        raise SvdlensError(f"{where}: {path.name} is missing from the hub's cache ({path}). Download it there again.")
    actual = sha256_of(path) if len(stated) == 64 else git_blob_id(path)
    if actual != stated:
        raise SvdlensError(
            f"{where}: {path.name} in the hub's cache ({path}) has the checksum {actual}, but the hub stated {stated}. "
            f"Delete it there, and download it again."
        )


def git_blob_id(path: Path) -> str:
    """The id under which git keeps a file of this content: a SHA-1, in hexadecimal digits."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
