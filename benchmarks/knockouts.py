"""Everything interpretable removed, or everything else, in a model of a finished sweep (docs/edits.md).

    python benchmarks/knockouts.py [RESULTS] [--model NAME] [--setting NAME] [--matrices ov mlp_out] [--step 3]
                                   [--tokens 512] [--seed 0] [--picture FILE.png]

RESULTS is the results directory of the sweep (of `make run`). --matrices: ov (if not given), mlp_out or both; what is
removed of both is chosen in each by itself. The table is printed, and written to
RESULTS/benchmarks/knockouts_{matrices}.csv.

Perplexity of the first --tokens of the text, with these directions removed in every --step-th layer alone, and in all
layers up to it: those of which the list of one sign at least is interpretable; all others; of either as many at random,
and at random with as much energy (sum of squared singular values), out of all that are stored; all that are stored; and
beside it what attention or the MLP writes replaced by zero, or by its mean over the text.

share: of the directions that are stored and no null space, the leading ones of each matrix. energy: of all directions
of the matrices, stored or not. smollm2-135m has 160 measurements by default, on one thread a quarter of an hour.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from finished_sweep import EPS, Sweep, add_sweep_arguments, prepare_torch, write_and_print

from svdlens.edit.knockouts import (
    CHOICES,
    INTERPRETABLE,
    KEPT,
    OTHERS,
    choices,
    mean_outputs,
    replaced,
    with_controls,
    zeros_like,
)
from svdlens.edit.passes import Text
from svdlens.edit.updates import EDITED, Update, direction_update
from svdlens.edit.vectors import stored_vectors
from svdlens.figures.style import matrix_name
from svdlens.models.load import count_of
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.svd.null_space import null_space

WRITES = ("ov", "mlp_out")
ZERO, MEAN = "replaced by zero", "replaced by its mean"


@dataclass(frozen=True)
class Removal:
    """updates: what removes a choice of directions. n, energy: how many they are, and the sum of their squared singular
    values; of_n: of so many that are stored; of_energy: of so much in all."""

    updates: list[Update]
    n: int
    energy: float
    of_n: int
    of_energy: float


def removals(
    sweep: Sweep, matrix: str, layer: int, marked: set[Any], random: np.random.Generator
) -> dict[str, Removal]:
    """By each of CHOICES what removes it of one kind of matrix in a layer. marked: layer, head (-1 where there is none)
    and index of the interpretable directions."""
    heads = range(count_of(sweep.model, "n_heads")) if MATRIX_KINDS[matrix].per_head else [None]
    stored = {head: stored_vectors(sweep.svd_of(matrix), matrix, layer, head) for head in heads}
    pairs = [
        (head, int(index))
        for head, (vectors, values) in stored.items()
        for index in np.flatnonzero(~null_space(values)[: len(vectors)])
    ]
    energy = np.array([stored[head][1][index] ** 2 for head, index in pairs])
    on = np.array([(layer, -1 if head is None else head, index) in marked for head, index in pairs])
    of_energy = float(sum((values**2).sum() for _, values in stored.values()))
    found = {}
    for name, chosen in choices(energy, on, random).items():
        by_head: dict[int | None, list[int]] = {}
        for number in sorted(chosen):
            head, index = pairs[number]
            by_head.setdefault(head, []).append(index)
        updates = [
            direction_update(sweep.model, matrix, sweep.setting, layer, head, stored[head][0][indices], EPS)
            for head, indices in by_head.items()
        ]
        found[name] = Removal(updates, len(chosen), float(energy[chosen].sum()), len(pairs), of_energy)
    return found


def interpretable_directions(labels: pd.DataFrame) -> set[tuple[int, int, int]]:
    """Layer, head (-1 where there is none) and index of the directions that write an interpretable list."""
    rows = labels[(labels["side"] == "write") & labels["interpretable"].eq(True)]
    return set(
        zip(rows["layer"].astype(int), rows["head"].fillna(-1).astype(int), rows["index"].astype(int), strict=True)
    )


def knockouts(sweep: Sweep, matrices: Sequence[str], step: int, seed: int) -> pd.DataFrame:
    """A row for each layer, alone and with all before it, and each of what is removed."""
    return pd.DataFrame(knockout_rows(sweep, matrices, step, seed))


def knockout_rows(sweep: Sweep, matrices: Sequence[str], step: int, seed: int) -> Iterator[dict[str, Any]]:
    model, random, n_layers = sweep.model, np.random.default_rng(seed), count_of(sweep.model, "n_layer")
    marked = {matrix: interpretable_directions(sweep.labels_of(matrix)) for matrix in matrices}
    removed = [
        [removals(sweep, matrix, layer, marked[matrix], random) for matrix in matrices] for layer in range(n_layers)
    ]
    means = mean_outputs(model, sweep.windows, [(layer, EDITED[one]) for layer in range(n_layers) for one in matrices])
    whole_text = Text(model, sweep.windows, 0)
    before = whole_text.perplexity()
    for layer in range(step - 1, n_layers, step):
        for cumulative in (False, True):
            layers = range(layer + 1) if cumulative else range(layer, layer + 1)
            text = whole_text if cumulative else Text(model, sweep.windows, layer)
            place = {"matrices": " ".join(matrices), "layer": layer, "cumulative": cumulative, "before": before}
            for name in CHOICES:
                parts = [part[name] for number in layers for part in removed[number]]
                perplexity = text.perplexity([update for part in parts for update in part.updates])
                share = sum(part.n for part in parts) / sum(part.of_n for part in parts)
                energy = sum(part.energy for part in parts) / sum(part.of_energy for part in parts)
                yield place | {"removed": name, "perplexity": perplexity, "share": share, "energy": energy}
            own = {key: mean for key, mean in means.items() if key[0] in layers}
            for name, outputs in ((ZERO, zeros_like(own)), (MEAN, own)):
                with replaced(model, outputs):
                    yield place | {"removed": name, "perplexity": text.perplexity(), "share": None, "energy": None}
            print(f"layer {layer}, {'all up to it' if cumulative else 'alone'}", file=sys.stderr, flush=True)


def draw(table: pd.DataFrame, picture: Path, sweep: Sweep, matrices: Sequence[str]) -> None:
    """The curves as a picture."""
    from matplotlib.lines import Line2D

    from svdlens.figures.panels import panel_figure
    from svdlens.figures.style import COLOURS, look, readable_logarithms, whole_number_ticks

    ways = ({"marker": "o"}, {"ls": (0, (3, 2)), "marker": "s"}, {"ls": (0, (1, 1.2)), "marker": "D"})
    styles: dict[str, dict[str, Any]] = {}
    for chosen, colour in ((INTERPRETABLE, COLOURS[0]), (OTHERS, COLOURS[3])):
        styles |= {name: {"color": colour, **way} for name, way in zip(with_controls(chosen), ways, strict=True)}
    styles[KEPT] = {"color": "0.25", "marker": "v"}
    styles |= {ZERO: {"color": COLOURS[2], "marker": "^"}, MEAN: {"color": COLOURS[4], "marker": "<"}}

    def panel(cumulative: bool) -> Callable[[Any], None]:
        def draw_panel(axes: Any) -> None:
            rows = table[table["cumulative"] == cumulative]
            for name, style in styles.items():
                one = rows[rows["removed"] == name]
                axes.plot(one["layer"], one["perplexity"], ms=3, lw=1.1, **style)
            axes.axhline(table["before"].iloc[0], color="0.4", lw=0.8, ls=":")
            axes.set_yscale("log")
            readable_logarithms(axes.yaxis)
            whole_number_ticks(axes.xaxis)
            axes.set_ylabel("perplexity")

        return draw_panel

    # The random choices in the colours of what they stand beside.
    names = (INTERPRETABLE, OTHERS, KEPT, ZERO, MEAN)
    handles = [Line2D([], [], ms=3.5, lw=1.1, label=name, **styles[name]) for name in names]
    for way, name in zip(ways[1:], ("as many, at random", "as much energy, at random"), strict=True):
        handles.append(Line2D([], [], ms=3.5, lw=1.1, label=name, color="0.4", **way))

    title = f"{sweep.name}, {sweep.place['setting']}: directions of {' and '.join(map(matrix_name, matrices))} removed"
    held = table.loc[table["removed"] == KEPT, "energy"].iloc[-1]  # of all layers that are removed in the end
    figure = panel_figure(
        title,
        f"Perplexity of {sweep.windows.numel():,} tokens of WordNet's definitions; dotted, of the model as it is. "
        "Left: removed in one layer. Right: in all layers up to this one. Interpretable: the list of one sign at "
        "least. At random, drawn once: in the colour of what they are as many as. Directions are those that are "
        f"stored, with {100 * held:.0f} % of the energy of the matrices. Replaced: what the module writes, by zero or "
        "by its mean over the text.",
        [("one layer", panel(False)), ("all layers up to", panel(True))],
        columns=2, share_y=False, xlabel="layer", height=2.8,
        handles=handles,
    )  # fmt: skip
    with look():
        figure.savefig(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sweep_arguments(parser)
    parser.add_argument("--matrices", nargs="+", choices=WRITES, default=["ov"])
    parser.add_argument("--step", type=int, default=3, help="every so many layers")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0, help="of what is removed at random")
    parser.add_argument("--picture", type=Path, help="where the curves are drawn")
    given = parser.parse_args()
    prepare_torch()
    sweep = Sweep(given.results, given.model, given.setting, tokens=given.tokens)
    table = knockouts(sweep, given.matrices, given.step, given.seed)
    if given.picture is not None:
        draw(table, given.picture, sweep, given.matrices)
    write_and_print(table, given.results / f"benchmarks/knockouts_{'_'.join(given.matrices)}.csv")


if __name__ == "__main__":
    main()
