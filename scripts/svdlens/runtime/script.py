"""How a script of scripts/ becomes a job: log file, one clear message for what the user can put right."""

import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from svdlens.artefacts.atomic_files import write_failure
from svdlens.errors import SvdlensError


def run(main: Callable[[Any], None], smk: Any) -> None:
    """Run `main(smk)` as a job of the workflow. `smk` has the attributes of Snakemake's script object.

    What the libraries log goes to smk.log. A SvdlensError becomes one message on the terminal and in the log and
    exit status 1; anything else is a defect of svdlens and keeps its traceback.
    """
    # Only the fetch rules may touch the network, and they lift this themselves.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Bars of the libraries flash up for milliseconds; ours are shown where there is something to wait for.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    log = str(smk.log) or os.devnull
    logging.basicConfig(filename=log, filemode="w", level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.captureWarnings(True)
    try:
        main(smk)
    except SvdlensError as error:
        fail(log, str(error))
    except OSError as error:
        reason = write_failure(error)
        if reason is None or error.filename is None:
            raise
        fail(log, f"cannot write {error.filename}: {reason}; then run again, what is finished is kept.")
    # What is alive now goes with the process. To look through it for cycles first takes longer than many a job.
    gc.freeze()


def fail(log: str, message: str) -> None:
    print(f"\nsvdlens: {message}\n", file=sys.stderr)
    # On a full disk there is no room for the log either.
    with suppress(OSError), Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{traceback.format_exc()}\n")
    sys.exit(1)
