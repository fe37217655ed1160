"""What several people say of lists, as one table, and what the majority of them says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from svdlens.labels.manual.filled_in import Judgement, read_filled_in
from svdlens.labels.manual.lists import first_texts, list_id, list_key, read_lists
from svdlens.labels.published.answers import kind as kind_of_label


class KnownLists(NamedTuple):
    """The lists of a sweep by id: their first texts; their keys; and those that only random directions have."""

    texts: dict[str, list[str]]
    keys: dict[str, str]
    controls: set[str]


class Verdict(NamedTuple):
    """What the majority says of a list; interpretable is None where as many say yes as no, or nobody said anything."""

    interpretable: bool | None
    kind: str
    label: str | None


def known_lists(paths: Sequence[Path], tokens: int) -> KnownLists:
    """The lists in files of results/by_switches/tokens, by their first `tokens` texts."""
    texts: dict[str, list[str]] = {}
    keys: dict[str, str] = {}
    singular: set[str] = set()
    for path in paths:
        table = read_lists(path)
        for shown, control in zip(
            first_texts(table["tokens"], tokens), table["control"].cast("string").to_pylist(), strict=True
        ):
            key = list_key(shown)
            id = list_id(key)
            texts[id], keys[id] = shown, key
            if control is None:
                singular.add(id)
    return KnownLists(texts, keys, set(texts) - singular)


def judgement_columns(sheets: Mapping[str, Path], known: KnownLists) -> dict[str, list[object]]:
    """Columns of JUDGEMENTS: what each person says of each list, from the sheet of each, in the order of `sheets`.

    Raises SvdlensError for a sheet that is not as it should be (filled_in.read_filled_in).
    """
    said = [(person, one) for person, path in sheets.items() for one in read_filled_in(path, known.texts)]
    return {
        "person": [person for person, _ in said],
        "list_key": [known.keys[one.id] for _, one in said],
        "is_control": [one.id in known.controls for _, one in said],
        **{name: [getattr(one, name) for _, one in said] for name in ("interpretable", "kind", "label")},
    }


def majority(said: Sequence[Judgement]) -> Verdict:
    """What the majority of those who judged a list says of it.

    Where that is yes: the kind that most of those who say yes give (of equally many the first), from the label where
    none is given; and the label of the first of them, or if that one has none, of the first with a label.
    """
    yes = [one for one in said if one.interpretable]
    if 2 * len(yes) == len(said):
        return Verdict(None, "none", None)
    if 2 * len(yes) < len(said):
        return Verdict(False, "none", None)
    kinds = [one.kind or kind_of_label(one.label or "") for one in yes]
    kind = Counter(kinds).most_common(1)[0][0]
    in_order = sorted(zip(kinds, yes, strict=True), key=lambda pair: pair[0] != kind)
    return Verdict(True, kind, next((one.label for _, one in in_order if one.label), None))
