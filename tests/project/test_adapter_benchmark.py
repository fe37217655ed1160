"""The script that measures an adapter of a large model: tried on a small one."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/adapter.py"


def test_it_measures_every_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tmp_path, "--tiny"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = [
        "extracted",
        *(f"{name} {what}" for what in ("decomposed", "read") for name in ("ov", "mlp_in", "mlp_out")),
    ]
    assert [line[:18].strip() for line in done.stdout.splitlines()] == [*steps, "all"]
    assert list(tmp_path.iterdir()) == []
