"""The ledger: every reply of a language model that was paid for, kept for good in one SQLite file.

It is known by the hash of what was asked, so that nothing is asked twice. Rows are added and never changed; a reply is
on the disk before it counts. The journal is SQLite's usual one, not a write-ahead log: the ledger stays one file, and
also works on a network file system.
"""

import hashlib
import json
import logging
import math
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.errors import SvdlensError

log = logging.getLogger(__name__)

APPLICATION_ID = 0x53564C4C  # "SVLL", which says that an SQLite file is a ledger
VERSION = 1
MAGIC = b"SQLite format 3\0"
BUSY_SECONDS = 20.0
AT_ONCE = 500  # keys in one question to SQLite

SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY NOT NULL, request TEXT NOT NULL, content TEXT, finish_reason TEXT, refusal TEXT,
    prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL NOT NULL, raw TEXT NOT NULL,
    sha256 TEXT NOT NULL, asked_at REAL NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS never_changed BEFORE UPDATE ON replies
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS never_deleted BEFORE DELETE ON replies
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""


@dataclass(frozen=True)
class Request:
    """What is asked. `messages`: mappings with role and content. `sampling`: temperature, max_tokens, seed,
    response_format ... as they were asked for, whether or not the server takes them all."""

    messages: tuple[Mapping[str, str], ...]
    model: str
    sampling: Mapping[str, Any]

    @cached_property
    def json(self) -> str:
        """Canonical JSON: keys sorted, ASCII, no spaces."""
        return canonical({"messages": list(self.messages), "model": self.model, "sampling": dict(self.sampling)})

    @cached_property
    def key(self) -> str:
        """sha256 of the canonical JSON."""
        return hashlib.sha256(self.json.encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What came back for the request `key`. `raw`: the whole body, JSON. `cost`: in the currency of the prices."""

    key: str
    content: str | None
    finish_reason: str | None
    refusal: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | int
    raw: str

    @property
    def sha256(self) -> str:
        """Of everything but the key: whether a row still is what was written."""
        values = [getattr(self, name) for name in REPLY_COLUMNS[1:]]
        return hashlib.sha256(canonical(values).encode()).hexdigest()


REPLY_COLUMNS = tuple(field.name for field in fields(Reply))
TYPES: dict[str, tuple[type | tuple[type, ...], bool]] = {
    **dict.fromkeys(("key", "raw"), (str, False)),
    **dict.fromkeys(("content", "finish_reason", "refusal"), (str, True)),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), (int, True)),
    "cost": ((int, float), False),
}
"""What a column of a reply has, and whether it may be null."""
COLUMNS = (*REPLY_COLUMNS, "request", "sha256", "asked_at")
INSERT = f"INSERT OR IGNORE INTO replies ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


class Imported(NamedTuple):
    """How many lines of an export were new, already there, and there with another reply, which was kept."""

    added: int
    present: int
    conflicting: int


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Ledger:
    """The ledger in the file `path`; it is made if there is none.

    `read_only`: nothing is written, and the file must be there. Raises SvdlensError, and leaves the file as it is,
    if it cannot be read or written, is damaged, is no ledger, or has another schema.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self.path = Path(path)
        # One object, so that who has it can ask for it once more.
        self.lock = FileLock(self.path.with_name(f"{self.path.name}.lock"))
        check_file(self.path, read_only)
        # Who only reads still has to undo what a killed process had half-written, if possible.
        mode = "rwc" if not read_only else "rw" if is_writable(self.path) else "ro"
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        with explained(self.path):
            # Used from several threads, one after the other.
            self.connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with explained(self.path):
                self.open(read_only)
        except BaseException:
            self.connection.close()
            raise

    def open(self, read_only: bool) -> None:
        self.connection.execute(f"PRAGMA query_only = {int(read_only)}")
        if not read_only and not self.value("SELECT count(*) FROM sqlite_master"):
            self.connection.executescript(SCHEMA)
        if self.value("PRAGMA application_id") != APPLICATION_ID:
            raise SvdlensError(
                f"{self.path} is an SQLite database, but no ledger of replies. Correct labellers.llm.ledger."
            )
        version = self.value("PRAGMA user_version")
        if version != VERSION:
            raise SvdlensError(
                f"the ledger {self.path} has schema {version}, and this version of svdlens knows schema {VERSION}. "
                f"Use the version of svdlens that wrote it, or export it with that one and import it into a new file."
            )
        # What is asked and paid for must be sure to find its place.
        if not read_only and (problem := self.value("PRAGMA quick_check(1)")) != "ok":
            raise SvdlensError(damaged(self.path, problem))

    def value(self, sql: str) -> Any:
        return self.connection.execute(sql).fetchone()[0]

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def find(self, keys: Iterable[str]) -> dict[str, Reply]:
        """The replies that are there, by key. Raises SvdlensError if one of them is not what was written."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Reply] = {}
        with explained(self.path):
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                sql = (
                    f"SELECT {', '.join(REPLY_COLUMNS)}, sha256 FROM replies WHERE key IN ({','.join('?' * len(some))})"
                )
                for *values, sha256 in self.connection.execute(sql, some):
                    reply = Reply(*values)
                    if reply.sha256 != sha256:
                        raise SvdlensError(damaged(self.path, f"the reply {reply.key} is not what was written"))
                    found[reply.key] = reply
        return found

    def add(self, request: Request, reply: Reply) -> None:
        """Keep a reply; it is on the disk when this returns. One that is there already stays as it is."""
        self.add_all([(request, reply)])

    def add_all(self, pairs: Sequence[tuple[Request, Reply]]) -> None:
        """Keep several, all or none."""
        now = time.time()
        with explained(self.path), self.transaction():
            self.connection.executemany(INSERT, [row_of(request, reply, now) for request, reply in pairs])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def spent(self, since: float | int) -> tuple[int, float]:
        """How many replies there are of requests since a time (seconds since 1970), and what they cost."""
        with explained(self.path):
            sql = "SELECT count(*), coalesce(sum(cost), 0.0) FROM replies WHERE asked_at >= ?"
            return self.connection.execute(sql, [since]).fetchone()

    def export(self, path: Path) -> int:
        """Write all of it as JSON lines, sorted by key; returns how many."""
        n = 0
        sql = f"SELECT {', '.join(COLUMNS)} FROM replies ORDER BY key"
        with atomic_path(path) as temporary, temporary.open("w", encoding="ascii") as file, explained(self.path):
            for n, row in enumerate(self.connection.execute(sql), start=1):  # noqa: B007
                line = dict(zip(COLUMNS, row, strict=True))
                if Reply(*row[: len(REPLY_COLUMNS)]).sha256 != line["sha256"]:
                    raise SvdlensError(damaged(self.path, f"the reply {line['key']} is not what was written"))
                file.write(canonical(line | {"request": json.loads(line["request"])}) + "\n")
        return n

    def import_(self, path: Path) -> Imported:
        """Add the lines of an export, all or none. A reply that is there already is kept, also if the line has another.

        Raises SvdlensError if a line is damaged: its key is not the hash of its request, or its sha256 not that of its
        reply.
        """
        added = present = conflicting = 0
        with self.exclusive(), explained(self.path), self.transaction():
            for number, line in lines_of(path):
                row, reply = row_from(line, f"{path}, line {number}")
                there = self.find([reply.key]).get(reply.key)
                if there is None:
                    self.connection.execute(INSERT, row)
                    added += 1
                elif there == reply:
                    present += 1
                else:
                    conflicting += 1
        if conflicting:
            log.warning("%s: %d replies differ from those of %s, which were kept", path, conflicting, self.path)
        return Imported(added, present, conflicting)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """No other process asks for this ledger meanwhile; waits for who does, and the log says for whom. Blocks can be
        nested."""
        path = Path(self.lock.lock_file)
        try:
            try:
                self.lock.acquire(timeout=0)
            except Timeout:
                holder = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
                log.warning("waiting for %s, which is using the ledger %s", holder, self.path)
                self.lock.acquire()
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        except OSError as error:
            raise SvdlensError(
                f"cannot lock the ledger {self.path}: {error.strerror or error} ({path}). Make its directory writable, "
                f"or set labellers.llm.ledger to a file elsewhere."
            ) from error
        try:
            yield
        finally:
            self.lock.release()


def row_of(request: Request, reply: Reply, asked_at: float) -> tuple[Any, ...]:
    if request.key != reply.key:
        raise ValueError("a reply is kept with the request that it answers")
    return (*(getattr(reply, name) for name in REPLY_COLUMNS), request.json, reply.sha256, asked_at)


def row_from(line: str, where: str) -> tuple[tuple[Any, ...], Reply]:
    """The row of a line of an export. Raises SvdlensError if the line is not what was exported."""
    try:
        values = json.loads(line)
        check_types(values)
        reply = Reply(**{name: values[name] for name in REPLY_COLUMNS})
        asked = values["request"]
        request = Request(tuple(asked["messages"]), asked["model"], asked["sampling"])
        if canonical(asked) != request.json or request.key != reply.key:
            raise ValueError("its key is not the hash of its request")
        if reply.sha256 != values["sha256"]:
            raise ValueError("its sha256 is not that of its reply")
        asked_at = float(values["asked_at"])
        if not math.isfinite(asked_at):
            raise ValueError(f"asked_at is {asked_at}")
        return row_of(request, reply, asked_at), reply
    except KeyError as error:
        problem = f"it has no {error}"
    except (ValueError, TypeError, RecursionError) as error:
        problem = str(error)
    raise SvdlensError(
        f"{where} is no line of an exported ledger, or was edited or damaged ({problem}). Nothing was imported: export "
        f"it again."
    )


def check_types(values: Mapping[str, Any]) -> None:
    """Raises ValueError for a value that is no reply's. The file that it comes from has been through other hands."""
    for name in REPLY_COLUMNS:
        value = values[name]
        kind, optional = TYPES[name]
        if isinstance(value, bool) or not (isinstance(value, kind) or (optional and value is None)):
            raise ValueError(f"{name} is {value!r}")
        if isinstance(value, str):
            value.encode()  # JSON can have halves of pairs of surrogates


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise SvdlensError(f"cannot read {path} ({error}). Name a file that `make ledger-export` wrote.") from error


def is_writable(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)


def check_file(path: Path, read_only: bool) -> None:
    """Raises SvdlensError for what SQLite would say too late, or in riddles."""
    if path.is_dir():
        raise SvdlensError(f"the ledger {path} is a directory. Set labellers.llm.ledger to a file.")
    if read_only:
        if not path.exists():
            raise SvdlensError(
                f"there is no ledger {path}. Correct labellers.llm.ledger, or import an exported ledger."
            )
        if not os.access(path, os.R_OK):
            raise SvdlensError(f"the ledger {path} cannot be read. Change its permissions.")
    else:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SvdlensError(
                f"cannot make the directory of the ledger {path} ({error.strerror}). Correct labellers.llm.ledger."
            ) from error
        for one in (path.parent, path):
            if one.exists() and not is_writable(one):
                raise SvdlensError(
                    f"the ledger {path} cannot be written: {one} is read-only. Change its permissions, set "
                    f"labellers.llm.ledger to a file elsewhere, or set `replay: true`, which asks for nothing."
                )
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise SvdlensError(
                    f"{path} is no SQLite database, or its beginning is damaged. Correct labellers.llm.ledger; or, if "
                    f"it was a ledger: {WAYS_OUT.format(path=path)}"
                )


WAYS_OUT = (
    "move it away and import its export into a new one (make ledger-import), or recover what can be read: "
    "sqlite3 {path} .recover | sqlite3 recovered.sqlite"
)


def damaged(path: Path, problem: str) -> str:
    problem = " ".join(problem.split())  # SQLite's has line breaks
    return f"the ledger {path} is damaged ({problem}); it was left as it is. To repair it, {WAYS_OUT.format(path=path)}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors as a SvdlensError that says what to do."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise  # a defect of svdlens, which no user can put right
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        text = {
            sqlite3.SQLITE_BUSY: f"another program has the ledger {path} locked. Close it, and run again.",
            sqlite3.SQLITE_READONLY: f"the ledger {path} cannot be written ({error}). Change the permissions of the "
            f"file and its directory, or set labellers.llm.ledger to a file elsewhere.",
            sqlite3.SQLITE_CANTOPEN: f"the ledger {path} cannot be opened ({error}). Check that the file and its "
            f"directory can be read and written.",
            sqlite3.SQLITE_FULL: f"the disk of the ledger {path} is full. Free some space, and run again: what it "
            f"holds is kept.",
            sqlite3.SQLITE_IOERR: f"the ledger {path} cannot be read or written ({error}). Check its disk, or set "
            f"labellers.llm.ledger to a file elsewhere.",
        }.get(code)
        raise SvdlensError(text or damaged(path, str(error))) from error
