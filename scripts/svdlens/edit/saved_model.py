"""Updates written into the weights of a model, which transformers and TransformerLens then load."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from svdlens.artefacts.atomic_files import check_run
from svdlens.edit.updates import Update, active, updates_by_module
from svdlens.errors import SvdlensError
from svdlens.models.load import module_of, weight_of
from svdlens.models.tokenizer_files import tokenizer_files


def edit_weights(model: nn.Module, updates: Sequence[Update]) -> None:
    """Add the updates to the weights of `model` (load_model), in float64, rounded once.

    Raises SvdlensError where an update needs a bias that the module does not have, and where a weight is then too large
    for float32.
    """
    for (layer, weight), found in updates_by_module(active(updates)).items():
        module: Any = module_of(model, weight, layer)
        view = weight_of(module)
        total = view.double()
        for update in found:
            total[update.rows] += update.matrix()
            bias = update.bias()
            if bias is not None:
                if module.bias is None:
                    raise SvdlensError(
                        f"{weight} of layer {layer} has no bias to take what the bias of the norm before it gives "
                        "along the edited directions; the setting has that norm in its matrices. Save an edit in a "
                        "setting without read_gain, such as raw."
                    )
                module.bias.copy_(module.bias.double() + bias)
        view.copy_(total)
        if not view.isfinite().all():
            eps = max(float(update.eps.abs().max()) for update in found)
            raise SvdlensError(
                f"with eps of size {eps:g} {weight} of layer {layer} has numbers that float32 cannot hold. Take an eps "
                "nearer to 0."
            )


def save_model(model: nn.Module, source: Path, target: Path) -> None:
    """Write the model and the tokenizer of `source`, the directory that it was loaded from, as a directory `target`
    that is there whole or not at all.

    Raises OSError if it cannot be written, and SvdlensError in a job that has outlived its run.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Always of the same name, so that what a killed job has left does not stay.
    made = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(made, ignore_errors=True)
    try:
        pretrained: Any = model
        pretrained.save_pretrained(made)
        for name in tokenizer_files({path.name for path in source.iterdir()}):
            shutil.copyfile(source / name, made / name)
        for file in made.iterdir():
            file.chmod(0o666 & ~umask())  # safetensors makes files that only their owner can read
        check_run()
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def umask() -> int:
    """What new files must not allow."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
