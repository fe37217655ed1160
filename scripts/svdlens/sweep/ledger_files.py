"""`make ledger-export` and `make ledger-import`: the replies of a language model as JSON lines."""

import sys
from pathlib import Path

from svdlens.errors import SvdlensError
from svdlens.labels.registry import LABELLERS
from svdlens.sweep.config_files import configuration
from svdlens.sweep.named_files import expand_home
from svdlens.sweep.plan import Sweep

PROJECT = Path(__file__).parents[3]


def ledgers(config_files: list[str]) -> list[Path]:
    """The ledgers of config.yaml of the project with `config_files` over it."""
    config = configuration(map(Path, config_files), PROJECT)
    expand_home(config)
    sweep = Sweep(config)
    return [Path(sweep.labeller_config(name)["ledger"]) for name, entry in LABELLERS.items() if entry.asks]


def main(action: str, file: str, config_files: list[str]) -> None:
    """`action` is export or import, `file` the JSON lines."""
    from svdlens.labels.llm.ledger import Ledger, lines_of, row_from

    for path in ledgers(config_files):
        if action == "export":
            with Ledger(path, read_only=True) as ledger:
                try:
                    n = ledger.export(Path(file))
                except OSError as error:
                    raise SvdlensError(
                        f"cannot write {file} ({error.strerror}). Name a file in a directory that you can write: make "
                        "ledger-export FILE=replies.jsonl"
                    ) from error
                print(f"{n:,} replies of {path} are in {file}.")
        else:
            if not path.exists():
                for number, line in lines_of(Path(file)):  # an empty ledger would pass for one to replay
                    row_from(line, f"{file}, line {number}")
            with Ledger(path) as ledger:
                done = ledger.import_(Path(file))
            print(f"{path} has {done.added:,} replies more. {done.present:,} of {file} were there before.")
            if done.conflicting:
                print(f"{done.conflicting:,} differ from those that were there, which were kept.")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
