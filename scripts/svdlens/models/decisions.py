"""What svdlens decides in reading a model where its files say two things, or leave one open."""

from pathlib import Path

from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import complete_config
from svdlens.models.safetensors_files import read_json, read_tensors, same_values
from svdlens.models.tokenizer_files import load_tokenizer
from svdlens.spec.architectures import ARCHITECTURES

NAMED = 5  # ids or names in a sentence


def decisions(directory: Path, architecture: str) -> list[str]:
    """A sentence for each decision, for the log and provenance.json; none of a model that leaves nothing open.

    directory: of a model that check_model_directory has found sound.
    """
    layout, where = LAYOUTS[architecture], directory.name
    config = complete_config(read_json(directory / "config.json", where), architecture, where)
    tensors = read_tensors(directory, layout.present_name, where)
    embedding = next(iter(layout.tensors))
    said = []
    for name in layout.unembedding:
        tied = config.get("tie_word_embeddings") and name in tensors
        if tied and not same_values(tensors[name], tensors[embedding]):
            said.append(
                f"config.json says that the unembedding is the embedding (tie_word_embeddings), but {name} and "
                f"{embedding} differ: {name} is read as W_U, as transformers reads it."
            )
    heads = [name for name in layout.heads if name in tensors]
    if heads:
        what, are = ("1 tensor", "is") if len(heads) == 1 else (f"{len(heads)} tensors", "are")
        said.append(f"{what} of heads on top of the model {are} not read: {listed(heads)}.")
    return said + token_decisions(directory, config[layout.keys["d_vocab"]], ARCHITECTURES[architecture].readouts[0])


def token_decisions(directory: Path, rows: int, readout: str) -> list[str]:
    """The same of the tokenizer. rows: of the embedding; readout: what to call it."""
    tokenizer, ids = load_tokenizer(directory, directory.name)
    last, known = max(ids), set(ids)
    said = []
    if rows - 1 == last + 1:
        said.append(f"the last of the {rows} rows of {readout} has no token: it is taken for padding and cut off.")
    elif rows - 1 > last:
        said.append(
            f"the last {rows - 1 - last} of the {rows} rows of {readout} have no token: they are taken for padding and "
            f"cut off."
        )
    without = sorted(set(range(last)) - known)
    if without:
        what = "1 id has no token, and its" if len(without) == 1 else f"{len(without)} ids have no token, and their"
        said.append(f"{what} text is empty: {listed(without)}.")
    left_out = sorted(token for token, id in tokenizer.get_vocab().items() if id not in known)
    if left_out:
        what = "1 special token has" if len(left_out) == 1 else f"{len(left_out)} special tokens have"
        said.append(f"{what} neither an id in a file nor a row: {listed(left_out)}.")
    return said


def listed(items: list[str] | list[int]) -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(str(item) for item in items[:NAMED]) + more
