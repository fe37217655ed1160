"""A hash of the code that a rule's results depend on, so that Snakemake reruns what an edit changes, and nothing else.

Snakemake itself watches a script, not what it imports. The hash of a script covers every library module that it
imports, directly or not. Left out is what changes no result: docstrings, comments, the texts of exceptions, of log
lines and of progress bars, and the modules UNHASHED; when one of these does change results, raise HELPERS_VERSION by
hand.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ASKING = tuple(f"svdlens.labels.llm.{name}" for name in ("asking", "client", "wire", "ledger", "requesting"))
"""Modules that send requests and keep replies: one that is there stays what it was."""
UNHASHED = ("svdlens.errors", "svdlens.artefacts.atomic_files", "svdlens.artefacts.version", "svdlens.runtime", *ASKING)
"""Modules and folders that move files, report and start jobs; the number of the version."""
HELPERS_VERSION = 1
"""Raised by hand when a change of UNHASHED changes results."""
SAYS = {"log", "logger", "logging"}
"""Names whose methods only tell something."""

COMMENT = re.compile(rb"^[ \t]*(#.*)?\n", re.MULTILINE)
Span = tuple[int, int]
"""First and last byte of a piece of source, the last excluded."""


@dataclass(frozen=True)
class Module:
    """What a module computes, as a digest, and the modules of the library that it names in imports."""

    digest: bytes
    imports: frozenset[str]


class CodeHashes:
    """Hashes of the scripts in `scripts`, whose library is the folder `package` in it; each file is read once."""

    def __init__(self, scripts: Path, package: str = "svdlens") -> None:
        self.scripts, self.package = scripts, package
        self.modules: dict[str, Module | None] = {}

    def __call__(self, script: str, *modules: str) -> str:
        """Hash of scripts/{script}.py, and of `modules` that it imports by name at run time (a labeller, a figure)."""
        start = read_module(self.scripts / f"{script}.py", self.package)
        pending, needed = [*start.imports, *modules], dict[str, bytes]()
        while pending:
            name = pending.pop()
            if name in needed or is_unhashed(name):
                continue
            module = self.module(name)
            if module is not None:
                needed[name] = module.digest
                pending.extend(module.imports)
        digest = hashlib.sha256(b"%d" % HELPERS_VERSION)
        for name in sorted(needed):
            digest.update(name.encode() + b"\0" + needed[name])
        return digest.hexdigest()[:16]

    def module(self, name: str) -> Module | None:
        """The module of this name; None where it is a name inside of a module."""
        if name not in self.modules:
            base = self.scripts.joinpath(*name.split("."))
            path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
            self.modules[name] = read_module(path, self.package) if path.exists() else None
        return self.modules[name]


def is_unhashed(name: str) -> bool:
    return any(name == helper or name.startswith(f"{helper}.") for helper in UNHASHED)


def read_module(path: Path, package: str) -> Module:
    """What a module computes and imports. Raises SyntaxError where it is no Python, or imports by dots alone."""
    source = path.read_bytes()
    tree = ast.parse(source, str(path))
    starts = line_starts(source)
    silent, imports = [], set[str]()
    for statement in statements(tree.body):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            raise SyntaxError(
                f"{path}, line {statement.lineno}: relative import. Write `from {package}...`, which a hash follows."
            )
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports.update(imported_modules(statement, package))
        elif changes_nothing(statement):
            silent.append(span(statement, starts))
    if b"progress(" in source:
        silent += [span(text, starts) for text in progress_texts(tree)]
    return Module(hashlib.sha256(without(source, silent)).digest(), frozenset(imports))


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, with those inside of others."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, name, ()))
        for inner in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from statements(inner.body)


def imported_modules(statement: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    if isinstance(statement, ast.Import):
        names = [alias.name for alias in statement.names]
    else:
        # `from svdlens.figures import style` may name a module, or something in one.
        module = statement.module or ""
        names = [module, *(f"{module}.{alias.name}" for alias in statement.names)]
    return [name for name in names if name.split(".")[0] == package]


def changes_nothing(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, raises an exception, or logs."""
    if isinstance(statement, ast.Raise):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return isinstance(value.func.value, ast.Name) and value.func.value.id in SAYS
    return False


def progress_texts(tree: ast.Module) -> list[ast.expr]:
    """The texts in calls of runtime.progress.progress."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "progress"]
    return [argument for call in named for argument in call.args if isinstance(argument, ast.Constant | ast.JoinedStr)]


def line_starts(source: bytes) -> list[int]:
    """The place of the first byte of each line."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def span(node: ast.stmt | ast.expr, starts: list[int]) -> Span:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def without(source: bytes, spans: list[Span]) -> bytes:
    """The source without these pieces, and without comments and empty lines where no text could be taken for one."""
    kept, at = [], 0
    for first, last in sorted(spans):
        kept.append(source[at:first])
        at = max(at, last)
    text = b"".join([*kept, source[at:]])
    return text if b'"""' in text or b"'''" in text else COMMENT.sub(b"", text)
