"""The answers that Millidge & Black (2022) published, as labels.

GPT-3 was given the 15 tokens of a direction and asked what most of them share; a second prompt said whether the answer
is right. One sign of each direction was read, an arbitrary one. P, the answer names a meaning; V, the second prompt
says yes; B, both. A yes to "no shared semantic meaning" is a yes like any other, so that V alone finds nothing
interpretable.
"""

import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from svdlens.errors import SvdlensError
from svdlens.labels.label_kinds import kind_of_sentence
from svdlens.spec.matrix_kinds import MATRIX_KINDS

log = logging.getLogger(__name__)

LAYERS = {"gpt2-small": 12, "gpt2-medium": 24, "gpt2-large": 36}
MATRICES = ("mlp_in", "mlp_out")
TOKENS = 15
UNPARSED = -1
# Directions were read through the embedding without the final norm. It is tied, so that this is W_U of the raw model.
READOUT = "W_U"
FIELDS = ("test_string", "response", "verifier_response")

NOTHING_SHARED = re.compile(r"\bno shared\b", re.IGNORECASE)
OPENING = re.compile(r"(most of )?these words\s+", re.IGNORECASE)
RELATION = re.compile(r"((are )?related? to|have to do with|refer to|are)\s+", re.IGNORECASE)


class Answer(NamedTuple):
    """What was published of one direction.

    text: the tokens as they were shown, joined by ", ". tokens: the 15 of them, None where the text has not 15.
    labelled: whether the answer names a meaning; verified: whether the verifier agrees; None where not parsed.
    """

    layer: int
    direction: int
    text: str
    tokens: list[str] | None
    response: str
    labelled: bool | None
    verified: bool | None


def paths_of_matrix(model: str, matrix: str) -> tuple[str, str, str]:
    """Paths in the repository of the texts, of what the labeller found (P), and of what the verifier said (V)."""
    size = model.removeprefix("gpt2-")
    return (
        f"data/json_data/{size}_{matrix}_text_outputs.json",
        f"data/verifier_{matrix}_gpt2_{size}_svd_corrects_list.npy",
        f"data/verifier_{matrix}_gpt2_{size}_verifier_svd_corrects_list.npy",
    )


def published_paths(model: str) -> dict[str, str]:
    """The six files of a model: name, and path in the repository."""
    return {Path(path).name: path for matrix in MATRICES for path in paths_of_matrix(model, matrix)}


def read_answers(directory: Path, model: str, matrix: str) -> list[Answer]:
    """The answers about one kind of matrix from the files of a model, all in `directory`.

    Raises SvdlensError if one is not what was published (parse, below).
    """
    files = [directory / Path(path).name for path in paths_of_matrix(model, matrix)]
    for file in files:
        if not file.is_file():
            raise SvdlensError(f"{file} is missing. Delete {directory / 'provenance.json'} and run again to fetch it.")
    texts, labelled, verified = (file.read_bytes() for file in files)
    return parse(texts, labelled, verified, LAYERS[model], f"published answers of {model}, {matrix}")


def parse(
    texts: bytes, labelled: bytes, verified: bytes, n_layers: int | None = None, where: str = "published answers"
) -> list[Answer]:
    """The answers of one size and matrix, by layer and direction, from the content of its three files.

    `texts` is *_text_outputs.json, {layer_I: {direction_J: {test_string, response, verifier_response}}}; `labelled` is
    *_svd_corrects_list.npy and `verified` *_verifier_svd_corrects_list.npy, [n_layers, n_directions] of 1, 0 and -1
    for what was not parsed. `where` names them in messages. Raises SvdlensError if one is truncated, has another
    shape or other values, lacks a layer or direction, or needs pickle.
    """
    labelled_array = read_array(labelled, f"{where}: svd_corrects_list.npy")
    verified_array = read_array(verified, f"{where}: verifier_svd_corrects_list.npy")
    if labelled_array.shape != verified_array.shape:
        raise wrong(
            where,
            f"svd_corrects_list.npy has the shape {labelled_array.shape}, but verifier_svd_corrects_list.npy "
            f"{verified_array.shape}; both have a value for each layer and direction",
        )
    n_published, n_directions = labelled_array.shape
    if n_layers is not None and n_published != n_layers:
        raise wrong(where, f"the .npy files have {n_published} layers, and the model has {n_layers}")
    layers = children(read_json(texts, where), [f"layer_{layer}" for layer in range(n_published)], where)
    answers = []
    for layer, one in enumerate(layers):
        layer_where = f"{where}: layer_{layer}"
        directions = children(one, [f"direction_{index}" for index in range(n_directions)], layer_where)
        for direction, fields in enumerate(directions):
            at = f"{layer_where}: direction_{direction}"
            text, response, verifier = strings(fields, at)
            positive, agreed = (yes_or_no(array[layer, direction]) for array in (labelled_array, verified_array))
            answers.append(Answer(layer, direction, text, split_tokens(text), response, positive, agreed))
            say_if_at_odds(answers[-1], verifier, at)
    return answers


def read_array(content: bytes, where: str) -> Int[np.ndarray, "layers directions"]:
    """The array of a .npy file. Raises SvdlensError if it is anything but a table of -1, 0 and 1."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    # np.load has no exception of its own: a damaged header ends in whatever Python's tokenizer or memory say.
    except Exception as error:
        raise wrong(where, f"cannot be read as a .npy file without pickle ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim != 2 or array.size == 0:
        described = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise wrong(where, f"has {described}, and not a table of numbers, a row for each layer")
    known = np.isin(array, (UNPARSED, 0, 1))
    if not known.all():
        raise wrong(where, f"has the value {array[~known][0]}; values are 1, 0, and -1 for what was not parsed")
    return array.astype(np.int64)


def read_json(content: bytes, where: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        raise wrong(where, f"text_outputs.json is no JSON ({error}); it may be truncated") from error


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict. Raises ValueError if a name comes twice: Python would keep the last and say nothing."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"{max(names, key=names.count)!r} comes twice in one object")
    return dict(pairs)


def children(node: Any, names: list[str], where: str) -> list[Any]:
    """The values of a JSON object under just these names, in their order."""
    if not isinstance(node, dict):
        raise wrong(where, f"text_outputs.json has {type(node).__name__}, and no object with {names[0]}")
    for name in names:
        if name not in node:
            raise wrong(where, f"text_outputs.json has no {name}, but the .npy files have")
    for name in node:
        if name not in names:
            raise wrong(where, f"text_outputs.json has {name!r:.60}, but the .npy files end with {names[-1]}")
    return [node[name] for name in names]


def strings(node: Any, where: str) -> list[str]:
    """The three texts of a direction. Raises SvdlensError if one is missing, no text, or no Unicode."""
    if not isinstance(node, dict):
        raise wrong(where, f"text_outputs.json has {type(node).__name__}, and no object with {', '.join(FIELDS)}")
    values = []
    for name in FIELDS:
        value = node.get(name)
        if not isinstance(value, str):
            raise wrong(where, f"text_outputs.json has no text as {name}")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise wrong(where, f"text_outputs.json has half of a surrogate pair in {name}")
        values.append(value)
    return values


def wrong(where: str, what: str) -> SvdlensError:
    return SvdlensError(
        f"{where}: {what}. The file is damaged or another one: fetch it again, or compare its sha256 with that of the "
        "authors' repository."
    )


def yes_or_no(value: np.int64) -> bool | None:
    return None if value == UNPARSED else bool(value)


def split_tokens(text: str) -> list[str] | None:
    """The 15 tokens of a published list, None if the text has more or fewer.

    Tokens may have commas, but no space: those with a space inside were skipped when the lists were made. So every
    ", " stands between two tokens, and a text of another number is no list of 15.
    """
    tokens = text.split(", ")
    return tokens if len(tokens) == TOKENS else None


def say_if_at_odds(answer: Answer, verifier: str, where: str) -> None:
    """The .npy files count; texts that say something else may be a sign of mixed-up files, and are logged."""
    if answer.labelled is not None and answer.labelled != (meaning(answer.response) is not None):
        log.warning("%s: labelled is %s, but the answer is %r", where, answer.labelled, answer.response)
    if answer.verified is not None and answer.verified != verifier.strip().lower().startswith("yes"):
        log.warning("%s: verified is %s, but the verifier said %r", where, answer.verified, verifier)
    if answer.tokens is None:
        log.warning("%s: no list of %d tokens: %r", where, TOKENS, answer.text)


def meaning(response: str) -> str | None:
    """What an answer says that the words share: "states" of "most of these words are related to states."

    None where it says that nothing is shared, or nothing at all. Answers were cut after ten tokens of GPT-3 and may
    stop in the middle.
    """
    sentence = statement(response)
    if NOTHING_SHARED.search(response) or not sentence:
        return None
    relation = RELATION.match(sentence)
    return sentence[relation.end() :] if relation else sentence


def statement(response: str) -> str:
    """An answer on one line, without "most of these words" before it and the full stop after it."""
    sentence = " ".join(response.split()).rstrip(" .")
    opening = OPENING.match(sentence)
    return sentence[opening.end() :] if opening else sentence


def kind(response: str) -> str:
    """The kind of what an answer names (label_kinds.py)."""
    return kind_of_sentence(statement(response))


def label_columns(answers: Sequence[Answer], matrix: str) -> dict[str, object]:
    """Columns of the labels table for the answers about one matrix, mlp_in or mlp_out.

    `labelled` is P, `verified` V, `interpretable` B, or null where one of them is not known; then `status` is
    "unparsed". `score` is null: the number of yeses would put a list that both found meaningless above one that
    only the labeller found meaningful.
    """
    n = len(answers)
    [side] = MATRIX_KINDS[matrix].sides
    interpretable = [
        None if None in (answer.labelled, answer.verified) else answer.labelled and answer.verified
        for answer in answers
    ]
    return {
        "matrix": [matrix] * n,
        "layer": [answer.layer for answer in answers],
        "head": [None] * n,
        "index": [answer.direction for answer in answers],
        "side": [side] * n,
        "sign": [+1] * n,
        "readout": [READOUT] * n,
        "labeller": ["published"] * n,
        "label": [None if answer.labelled is None else meaning(answer.response) for answer in answers],
        "kind": [
            kind(answer.response) if both else "none" for answer, both in zip(answers, interpretable, strict=True)
        ],
        "labelled": [answer.labelled for answer in answers],
        "verified": [answer.verified for answer in answers],
        "interpretable": interpretable,
        "score": [None] * n,
        "p_value": [None] * n,
        "q_value": [None] * n,
        "p_direction": [None] * n,
        "q_direction": [None] * n,
        "evidence": pa.array([[]] * n, pa.list_(pa.string())),
        "n_concepts": [None] * n,
        # How frequent the tokens are is the tokenizer's to say, and no model is at hand here.
        "mean_log_rank": [None] * n,
        "status": ["unparsed" if both is None else "ok" for both in interpretable],
    }


def own_labels(files: Mapping[str, Path], model: str, matrix: str) -> tuple[dict[str, object], dict[str, object]]:
    """Columns of the labels table for the answers about one matrix of the model, and facts for its metadata.

    `files` has `answers`, the provenance.json of a directory that published/fetch.py made. Raises SvdlensError for
    files that are not what was published.
    """
    provenance = json.loads(files["answers"].read_text(encoding="utf-8"))
    answers = read_answers(files["answers"].parent, model, matrix)
    return label_columns(answers, matrix), published_facts(provenance)


def published_lists(answers: Sequence[Answer]) -> list[dict[str, object]]:
    """The lists that were labelled, {"id": "L3_I0", "tokens": [...]} each, for any labeller to label again.

    Lists of which the 15 tokens are not known (Answer.tokens) are left out.
    """
    return [
        {"id": f"L{answer.layer}_I{answer.direction}", "tokens": answer.tokens}
        for answer in answers
        if answer.tokens is not None
    ]


def published_facts(provenance: Mapping[str, Any]) -> dict[str, object]:
    """Metadata of a labels table from the provenance.json of the answers.

    `setting` has the switches of the preset post2022, which is how the weights were prepared. `sign` is unknown: one
    sign of each direction was read, and nobody wrote down which, so that the column says +1 throughout.
    """
    return {
        "model": provenance["model"],
        "setting": ["read_gain"],
        "preset": "post2022",
        "sign": "unknown",
        "repository": provenance["repository"],
        "commit": provenance["commit"],
        "sha256": {name: file["sha256"] for name, file in provenance["files"].items()},
        "labeller_network": False,
    }
