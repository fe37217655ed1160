"""What a job asks a scheduler for: memory and time that grow with its input, and with each attempt.

Snakemake calls what these functions return with the input of the job, once it is there, and the number of the attempt:
1, and after a failure one more, where the profile allows retries.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

Resource = Callable[[Any, Any, int], int]


def model_mb(paths: Any) -> float:
    """The MB of the models among the input: provenance.json stands for all files of its directory."""
    models = [Path(path).parent for path in paths if Path(path).name == "provenance.json"]
    return sum(file.stat().st_size for model in models for file in model.iterdir() if file.is_file()) / 1e6


def memory(least_mb: float, times_input: float = 0, times_model: float = 0) -> Resource:
    """`mem_mb` of a rule: `least_mb`, and so many times the size of its input files and of its models, all of that
    times the attempt."""

    def mem_mb(wildcards: Any, input: Any, attempt: int) -> int:
        return math.ceil(attempt * (least_mb + times_input * input.size_mb + times_model * model_mb(input)))

    return mem_mb


def minutes(least: float, per_gb: float = 0, per_model_gb: float = 0) -> Resource:
    """`runtime` of a rule in minutes: `least`, and so many for each GB of its input files and of its models, all of
    that times the attempt."""

    def runtime(wildcards: Any, input: Any, attempt: int) -> int:
        return math.ceil(attempt * (least + per_gb * input.size_mb / 1000 + per_model_gb * model_mb(input) / 1000))

    return runtime
