"""How a script of scripts/ becomes a job: log file, one clear message for what the user can put right."""

import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from svdlens.artefacts.atomic_files import obstacle, run_is_over, write_failure
from svdlens.errors import SvdlensError
from svdlens.runtime.checksums import check_inputs, remove_records, write_records
from svdlens.runtime.running import end_with_run

USER_IS_OFFLINE = "HF_HUB_OFFLINE" in os.environ
"""Whether that is the user's own wish; `run` sets it for nearly every job."""
MORE_MEMORY = (
    "Run again with fewer jobs at a time (--resources mem_mb=...), or lift the limit on memory, if there is one "
    "(ulimit -v, --set-resources RULE:mem_mb=...): what is finished is kept."
)
START_UP = "start-up: %.2f s of processor time"
"""What each log says first: what Python and the imports of a script took, before its work."""


def run(
    main: Callable[[Any], None], smk: Any, *, pandas: bool = True, network: bool = False, checksums: bool = True
) -> None:
    """Run `main(smk)` as a job of the workflow. `smk` has the attributes of Snakemake's script object.

    `pandas`: whether the job uses it. pyarrow imports it before it makes its first array, and in many a job that takes
    longer than all the rest.

    `network`: whether the job may use it, where HF_HUB_OFFLINE of the user allows that.

    `checksums`: whether inputs are checked against those that were kept when they were made, and those of the outputs
    are kept (runtime/checksums.py).

    What the libraries log goes to smk.log. A SvdlensError becomes one message on the terminal and in the log and
    exit status 1, and so does an input file that is damaged; anything else is a defect of svdlens and keeps its
    traceback.
    """
    if not network:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Bars of the libraries flash up for milliseconds; ours are shown where there is something to wait for.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    log = str(smk.log) or os.devnull
    line = "%(levelname)s %(name)s: %(message)s"
    try:
        logging.basicConfig(filename=log, filemode="w", level=logging.INFO, format=line)
    except OSError as error:
        reason = write_failure(error) or obstacle(Path(log)) or error.strerror
        fail(log, f"cannot write {log}: {reason}; then run again, what is finished is kept.")
    logging.captureWarnings(True)
    logging.getLogger(__name__).info(START_UP, time.process_time())
    if not pandas:
        sys.meta_path.insert(0, WithoutPandas())
    try:
        if checksums:
            check_inputs(smk.input)
            remove_records(smk.output)
        main(smk)
        if checksums:
            write_records(smk.output)
    except SvdlensError as error:
        if run_is_over():
            end_with_run()
        fail(log, str(error))
    except OSError as error:
        reason = write_failure(error)
        if reason is None or error.filename is None:
            explain(error, smk, log)
            raise
        fail(log, f"cannot write {error.filename}: {reason}; then run again, what is finished is kept.")
    except BaseException as error:  # panics of libraries written in Rust are no Exception
        if is_out_of_memory(error):
            fail(log, f"{smk.rule} has not got the memory that it needs: {first_line(error)}. {MORE_MEMORY}")
        if isinstance(error, Exception):
            explain(error, smk, log)
        raise
    # What is alive now goes with the process. To look through it for cycles first takes longer than many a job.
    gc.freeze()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, of Python, numpy, Arrow (all MemoryError), torch, on a CPU or a GPU, of a thread's
    stack, or in safetensors, which panics where Python gives it no bytes."""
    if type(error).__name__ == "PanicException":
        return "pointer is null" in str(error)
    return isinstance(error, MemoryError) or any(
        isinstance(error, RuntimeError) and sign in str(error)
        for sign in ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "start new thread")
    )


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")


class WithoutPandas(Loader):
    """Where Python looks for modules: here it finds a pandas that cannot be imported. pyarrow goes on without, and who
    only asks whether there is one, as transformers does, gets an answer."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == "pandas" else None

    def create_module(self, spec: ModuleSpec) -> None:
        raise ModuleNotFoundError("this job was started as one that does not use pandas (runtime/script.py)")

    def exec_module(self, module: ModuleType) -> None:
        """Never called; Python wants it to be there."""


def explain(error: Exception, smk: Any, log: str) -> None:
    """Say which job an error that nobody expected has stopped; of a damaged input, say so in its place."""
    for path in smk.input:
        if problem := damage(Path(path)):
            # Only what the workflow has made is to be deleted: other inputs are a user's, or part of the project.
            made = Path(path).parts[0] == "results"
            way_out = "Delete it and run again: it will be made again" if made else "Put a sound copy in its place"
            fail(log, f"{path} is cut short or damaged ({problem}). {way_out}.")
    wildcards = ", ".join(f"{name}={value}" for name, value in smk.wildcards.items())
    print(
        f"\nsvdlens: {smk.rule} ({wildcards or 'of the whole sweep'}) stopped unexpectedly: {error!r}", file=sys.stderr
    )


def damage(path: Path) -> str | None:
    """What is wrong with a parquet or safetensors file that cannot be read; None of any other file."""
    try:
        if path.suffix == ".parquet" and path.is_file():
            import pyarrow.parquet as pq

            pq.ParquetFile(path).read()
        elif path.suffix == ".safetensors" and path.is_file():
            from safetensors import safe_open

            with safe_open(path, framework="numpy"):
                pass
    except Exception as error:
        return str(error).splitlines()[0]
    return None


def fail(log: str, message: str) -> None:
    """Stop the job with a message that says all. Some loggers show the whole log, so no traceback goes into it."""
    print(f"\nsvdlens: {message}\n", file=sys.stderr)
    # On a full disk there is no room for the log either.
    with suppress(OSError), Path(log).open("a", encoding="utf-8") as file:
        file.write(f"svdlens: {message}\n")
    sys.exit(1)
