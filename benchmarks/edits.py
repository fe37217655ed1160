"""What edits do in a model of a finished sweep (docs/edits.md); minutes, on one thread.

    python benchmarks/edits.py concepts [RESULTS] [--model NAME] [--setting NAME]
    python benchmarks/edits.py matrix [RESULTS] [--model NAME] [--setting NAME]
    python benchmarks/edits.py knockout [RESULTS] [--model NAME] [--setting NAME] [--picture FILE.png]
    python benchmarks/edits.py heads [RESULTS] [--model NAME] [--setting NAME] [--query NAME]
    python benchmarks/edits.py induction [RESULTS] [--model NAME] [--setting NAME]
    python benchmarks/edits.py ioi [RESULTS] [--model NAME] [--setting NAME]

RESULTS is the results directory of the sweep (of `make run`). Tables are printed, and written beside as
RESULTS/benchmarks/edits_{concepts,matrix,knockout,heads,induction,ioi}.csv.

concepts: ten concepts by a rule. The semantic labels that most OV lists of the write side have; of equal numbers the
first in the alphabet. Of each, of the CANDIDATES directions with the highest score the one with the largest slope
(first_order) of the mean log-probability of its own list's targets is removed; cue prompts of the slope are those of
all candidates' targets together, those of the effect the places of the text at which one of its own comes next.

matrix: what removing the direction of each concept (the file of `concepts`) does to the targets of every other, on the
other's cue prompts.

knockout: of all OV directions of a layer, those removed of which the list of one sign at least is interpretable; all
others; as many random ones as are interpretable; random ones with as much energy (sum of squared singular values); and
beside it what attention writes replaced by zero, or by its mean over the text. In every STEP-th layer alone, and in all
layers up to it.

heads: the HEADS heads that a query of the trace (the first, if not given) lies along most, removed one by one; beside
them, for each another head of its layer, drawn at random. The concept is the list of the query's nearest direction.
Measured are its tokens and those matched with them on cue prompts, repeated sequences with and without a token of the
concept, and the text. The setting has to be one in which the query is traced (of `make run` raw).

induction: what removing the direction of each concept (the file of `concepts`) does to the repetition of a sequence
with a token of the concept in it, and of the same with a token of like frequency in its place.

ioi: what each of these removals does to the logit of the indirect object over that of the subject; the prompts are
written to RESULTS/benchmarks/indirect_objects.jsonl, as `prompts` of an edit takes them.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.edit.choice import chosen_directions  # noqa: E402
from svdlens.edit.effect import TargetSet, measure_effect, prepare  # noqa: E402
from svdlens.edit.heads import heads_in_order, one_by_one, others_of_layers  # noqa: E402
from svdlens.edit.passes import Passes, Text, padded  # noqa: E402
from svdlens.edit.prompt_sets import CueSet, indirect_object_cues, induction_cues  # noqa: E402
from svdlens.edit.prompts import Cue, list_targets, matched_tokens, text_cues  # noqa: E402
from svdlens.edit.updates import Update, direction_update, first_order  # noqa: E402
from svdlens.edit.vectors import (  # noqa: E402
    edited_matrices,
    other_directions,
    random_updates,
    stored_vectors,
    updates_of,
)
from svdlens.evaluation.edit_summary import interval, resampling_weights, summarize  # noqa: E402
from svdlens.models.load import count_of, load_model, module_of  # noqa: E402
from svdlens.models.token_table import read_token_texts  # noqa: E402
from svdlens.models.token_windows import read_text, token_ids, token_windows  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.spec.edits import DIRECTION, OTHER, RANDOM  # noqa: E402
from svdlens.spec.settings import setting_from_names, svd_key  # noqa: E402
from svdlens.sweep import paths  # noqa: E402
from svdlens.sweep.config_files import configuration  # noqa: E402

TEXT = PROJECT / "resources/text/wordnet_definitions.txt"
N_CONCEPTS, CANDIDATES, EPS, SEED = 10, 12, -1.0, 0
TOKENS, WINDOW, STEP = 512, 128, 3
HEADS, SENTENCES, FILLER_RANK = 30, 64, 5000
"""Heads that are removed, prompts with an indirect object, and the frequency rank of what repeated sequences are of."""


class Sweep:
    """Model, tables and vectors of OV in a finished sweep."""

    def __init__(self, results: Path, name: str, setting: str, query: str | None = None) -> None:
        self.results, self.name, self.query = results, name, query
        switches = configuration([], PROJECT)["settings"][setting]
        self.setting = setting_from_names(setting, switches)
        self.directory = results / "models" / name
        self.model = load_model(self.directory, name)
        self.place = place = {"model": name, "setting": setting, "matrix": "ov"}
        self.svd = self.path(paths.SVD.format(**place, **svd_key(self.setting, "ov")))
        labels = pd.read_parquet(self.path(paths.LABELS.format(**place, labeller="coherence")), partitioning=None)
        self.labels = labels[labels["readout"] == labels["readout"].iloc[0]]
        self.tokens = pd.read_parquet(self.path(paths.TOKENS.format(**place)), partitioning=None)
        self.spectra = pd.read_parquet(self.path(paths.SPECTRA.format(**place)), partitioning=None)
        vocabulary = results / "vocabulary" / name
        self.texts = read_token_texts(vocabulary / "tokens.parquet")
        self.features = pd.read_parquet(vocabulary / "features.parquet", columns=["log_rank", "is_word"])
        self.ids = token_ids(read_text(TEXT), self.directory)

    def path(self, path: str) -> str:
        return str(self.results / Path(path).relative_to("results"))

    def table(self, pattern: str, **place: str) -> pd.DataFrame:
        return pd.read_parquet(self.path(pattern.format(**self.place | place)), partitioning=None)

    def matched(self, targets: Sequence[int], without: Sequence[int] = ()) -> dict[int, int]:
        """For each target a token of like frequency."""
        features = self.features["log_rank"].to_numpy(), self.features["is_word"].to_numpy()
        return matched_tokens(targets, *features, without, SEED)

    def removed_concepts(self) -> Iterator[tuple[str, list[Update], list[int]]]:
        """Of each row of the file of `concepts` its name, the updates that remove its direction, and its targets."""
        found = pd.read_csv(self.results / "benchmarks/edits_concepts.csv")
        for row in found.to_dict("records"):
            entry = {"matrix": "ov"} | {key: int(row[key]) for key in ("layer", "head", "index", "sign")}
            chosen = chosen_directions([entry], False, self.spectra, self.tokens, self.labels)
            updates = updates_of(self.model, self.setting, edited_matrices(chosen, {"ov": self.svd}), EPS)
            yield row["concept"], updates, list_targets([chosen["token_ids"].iloc[0]])


def concepts(sweep: Sweep) -> pd.DataFrame:
    """A row for each concept."""
    labels = sweep.labels
    rows = labels[(labels["side"] == "write") & labels["interpretable"].eq(True) & (labels["kind"] == "semantic")]
    counts = rows.groupby("label")["score"].size().reset_index(name="n")
    chosen = counts.sort_values(["n", "label"], ascending=[False, True]).head(N_CONCEPTS)
    return pd.DataFrame([concept(sweep, rows[rows["label"] == label]) for label in chosen["label"]])


def concept(sweep: Sweep, rows: pd.DataFrame) -> dict[str, Any]:
    """The direction of a concept with the largest slope, removed."""
    candidates = rows.sort_values("score", ascending=False, kind="stable").head(CANDIDATES)
    entries = [
        {"matrix": "ov"} | {key: int(row[key]) for key in ("layer", "head", "index", "sign")}
        for row in candidates.to_dict("records")
    ]
    chosen = [chosen_directions([one], False, sweep.spectra, sweep.tokens, sweep.labels) for one in entries]
    own = [list_targets([one["token_ids"].iloc[0]]) for one in chosen]
    slopes = slopes_of(sweep, chosen, own)
    best = int(np.argmax(np.abs(slopes)))
    matrices = edited_matrices(chosen[best], {"ov": sweep.svd})
    updates = updates_of(sweep.model, sweep.setting, matrices, EPS)
    cues = text_cues(sweep.ids, own[best], sweep.texts, sweep.model)
    listed = {int(t) for name in ("token_ids", "antipode_token_ids") for t in chosen[best][name].iloc[0]}
    targets = TargetSet("concept", cues, sweep.matched(own[best], sorted(listed)))
    others = [
        updates_of(sweep.model, sweep.setting, matrices, EPS, which) for which in other_directions(matrices, SEED)
    ]
    edits = {DIRECTION: [updates], OTHER: others, RANDOM: random_updates(updates, SEED)}
    prepared = prepare(sweep.model, [targets], matrices[0].layer)
    effect = pd.DataFrame(measure_effect(prepared, edits, "total", sweep.texts))
    summary = {row["control"]: row for row in summarize(effect, SEED)}
    found = {"concept": rows["label"].iloc[0], "lists": len(rows), **entries[best], "slope": slopes[best]}
    found |= {name: summary[OTHER][name] for name in ("change", "low", "high")}
    for control, row in summary.items():
        wanted = ("control_change", "excess", "excess_low", "excess_high", "standardized", "p_value")
        found |= {f"{control} {name}": row[name] for name in wanted}
    print(found["concept"], len(rows), entries[best], round(found["change"], 3), file=sys.stderr, flush=True)
    return found


def specificity(sweep: Sweep) -> pd.DataFrame:
    """A row for each concept whose direction is removed, and a column for the change of the targets of each."""
    removed, passes = list(sweep.removed_concepts()), []
    names = [concept for concept, _, _ in removed]
    for _, _, own in removed:
        ids, lengths = padded([cue.ids for cue in text_cues(sweep.ids, own, sweep.texts, sweep.model)])
        one = Passes(sweep.model, ids, min(updates[0].layer for _, updates, _ in removed))
        passes.append((one, lengths, own, one.next_tokens(lengths)))
    rows = []
    for concept, updates, _ in removed:
        changes = [float((one.next_tokens(n, updates) - was)[:, own].mean()) for one, n, own, was in passes]
        rows.append({"removed": concept} | dict(zip(names, changes, strict=True)))
    return pd.DataFrame(rows)


def heads(sweep: Sweep) -> pd.DataFrame:
    """A row for each number of heads removed, in the order of the trace and of others of their layers."""
    trace = sweep.table(paths.TRACE)
    query = sweep.query or str(trace["query"].iloc[0])
    order = heads_in_order(sweep.table(paths.TRACE_MATRICES), query)
    nearest = trace[trace["query"] == query].sort_values("rank").iloc[0]
    lists = sweep.table(paths.TOKENS, matrix=str(nearest["matrix"]))
    for key in ("layer", "index", "side", "sign", *(["head"] if pd.notna(nearest["head"]) else [])):
        lists = lists[lists[key] == nearest[key]]
    own = list_targets([lists["token_ids"].iloc[0]])
    matched = sweep.matched(own)
    chosen = list(order)[:HEADS]
    orders = {"trace": chosen, "others": others_of_layers(chosen, count_of(sweep.model, "n_heads"), SEED)}
    first = min(layer for layer, _ in chosen)
    text = Text(sweep.model, token_windows(read_text(TEXT), sweep.model, sweep.directory, WINDOW, TOKENS), first)
    ids, lengths = padded([cue.ids for cue in text_cues(sweep.ids, own, sweep.texts, sweep.model)])
    passes = Passes(sweep.model, ids, first)
    inside, outside = (CueSet(sweep.model, cues, first) for cues in repeated(sweep, own, matched))

    def mean_of(tokens: Sequence[int]) -> Callable[[Sequence[Update]], float]:
        return lambda updates: float(passes.next_tokens(lengths, updates)[:, list(tokens)].mean())

    measures = {"concept": mean_of(own), "matched": mean_of([matched[token] for token in own])}
    measures |= {name: lambda updates, one=one: float(one.measure(updates).mean())
                 for name, one in (("repeated inside", inside), ("repeated outside", outside))}  # fmt: skip
    measures["perplexity"] = text.perplexity
    tables = [pd.DataFrame(one_by_one(sweep.model, some, measures)).assign(order=name) for name, some in orders.items()]
    table = pd.concat(tables, ignore_index=True)
    scores = [order.get((layer, head)) for layer, head in zip(table["layer"], table["head"], strict=True)]
    return table.assign(query=query, score=scores)


def repeated(sweep: Sweep, own: Sequence[int], matched: dict[int, int]) -> tuple[list[Cue], list[Cue]]:
    """Repeated sequences of frequent words, with a token of a concept and without."""
    frequent = sweep.features["is_word"] & (sweep.features["log_rank"] <= np.log(FILLER_RANK))
    return induction_cues(own, matched, np.flatnonzero(frequent), sweep.texts, sweep.model, SEED)


def mean_and_interval(name: str, values: np.ndarray) -> dict[str, float]:
    low, high = interval(resampling_weights(len(values), SEED) @ values)
    return {name: float(values.mean()), f"{name} low": low, f"{name} high": high}


def induction(sweep: Sweep) -> pd.DataFrame:
    """A row for each concept: log-probability of the repeated token as the model is, its change, inside and outside the
    concept, and the difference of the two changes."""
    rows = []
    for concept, updates, own in sweep.removed_concepts():
        row, changes = {"removed": concept}, []
        for name, cues in zip(("inside", "outside"), repeated(sweep, own, sweep.matched(own)), strict=True):
            one = CueSet(sweep.model, cues, updates[0].layer)
            before = one.measure().numpy()
            changes.append(one.measure(updates).numpy() - before)
            row |= {f"{name} before": float(before.mean())} | mean_and_interval(name, changes[-1])
        rows.append(row | mean_and_interval("difference", changes[0] - changes[1]))
    return pd.DataFrame(rows)


def indirect_objects(sweep: Sweep) -> pd.DataFrame:
    """A row for each concept: the difference of logits as the model is, and its change."""
    cues = indirect_object_cues(sweep.model, sweep.directory, SENTENCES, SEED)
    lines = [json.dumps({"prompt": cue.text, "targets": cue.words[:1]}) for cue in cues]
    (sweep.results / "benchmarks/indirect_objects.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    removed = list(sweep.removed_concepts())
    one = CueSet(sweep.model, cues, min(updates[0].layer for _, updates, _ in removed))
    before = one.measure().numpy()
    as_it_is = {"before": float(before.mean()), "indirect object likelier": float((before > 0).mean())}
    return pd.DataFrame(
        [
            {"removed": concept} | as_it_is | mean_and_interval("change", one.measure(updates).numpy() - before)
            for concept, updates, _ in removed
        ]
    )


def slopes_of(sweep: Sweep, chosen: Sequence[pd.DataFrame], own: Sequence[Sequence[int]]) -> list[float]:
    """d mean log-probability of its own targets / d eps of each candidate, from one forward pass and for each a
    backward pass down to its layer."""
    cues = text_cues(sweep.ids, sorted({token for tokens in own for token in tokens}), sweep.texts, sweep.model)
    ids, lengths = padded([cue.ids for cue in cues])
    updates = [
        updates_of(sweep.model, sweep.setting, edited_matrices(one, {"ov": sweep.svd}), 1.0)[0] for one in chosen
    ]
    modules = {update.layer: module_of(sweep.model, update.weight, update.layer) for update in updates}
    outputs: dict[int, torch.Tensor] = {}
    handles = []
    for layer, module in modules.items():
        module.weight.requires_grad_(True)
        handles.append(module.register_forward_hook(lambda m, i, o, layer=layer: outputs.update({layer: o})))
    with torch.enable_grad():
        logits = sweep.model(ids, use_cache=False).logits[torch.arange(len(ids)), lengths - 1].double()
        metrics = [torch.log_softmax(logits, dim=-1)[:, list(tokens)].mean() for tokens in own]
    slopes = []
    for update, metric in zip(updates, metrics, strict=True):
        wanted = (modules[update.layer].weight, outputs[update.layer])
        weight, output = torch.autograd.grad(metric, wanted, retain_graph=True)
        linear = isinstance(modules[update.layer], torch.nn.Linear)
        slopes.append(float(first_order(update, weight.T if linear else weight, output.sum(dim=(0, 1)))[0]))
    for module in modules.values():
        module.weight.requires_grad_(False)
    for handle in handles:
        handle.remove()
    return slopes


def knockout(sweep: Sweep) -> pd.DataFrame:
    """Perplexity by layer, cumulative or not, and by what is removed."""
    model, random = sweep.model, np.random.default_rng(SEED)
    interpretable = sweep.labels[(sweep.labels["side"] == "write") & sweep.labels["interpretable"].eq(True)]
    marked = interpretable.groupby(["layer", "head"])["index"].agg(set).to_dict()
    windows = token_windows(read_text(TEXT), model, sweep.directory, WINDOW, TOKENS)
    n_layers, n_heads = count_of(model, "n_layer"), count_of(model, "n_heads")
    removed = [removals(sweep, layer, n_heads, marked, random) for layer in range(n_layers)]
    whole_text = Text(model, windows, 0)
    means = mean_outputs(model, windows, n_layers)
    whole = whole_text.perplexity()
    rows = []

    def add(layer: int, cumulative: bool, what: str, measured: Callable[[], float], share: float) -> None:
        row = {"layer": layer, "cumulative": cumulative, "removed": what, "perplexity": measured(), "share": share}
        rows.append(row | {"before": whole})
        print(row, file=sys.stderr, flush=True)

    for layer in range(STEP - 1, n_layers, STEP):
        for cumulative in (False, True):
            layers = range(layer + 1) if cumulative else [layer]
            text = whole_text if cumulative else Text(model, windows, layer)
            for what in removed[layer]:
                updates = [update for number in layers for update in removed[number][what][0]]
                share = float(np.mean([removed[number][what][1] for number in layers]))
                add(layer, cumulative, what, lambda text=text, updates=updates: text.perplexity(updates), share)
            for what, outputs in (("zero ablation", [torch.zeros(())] * n_layers), ("mean ablation", means)):
                with replaced(model, {number: outputs[number] for number in layers}):
                    add(layer, cumulative, what, text.perplexity, 1.0)
    return pd.DataFrame(rows)


def removals(
    sweep: Sweep, layer: int, n_heads: int, marked: dict[Any, set[int]], random: np.random.Generator
) -> dict[str, tuple[list[Update], float]]:
    """By name the updates that remove a choice of a layer's OV directions, and the share of these among all."""
    stored = [stored_vectors(sweep.svd, "ov", layer, head) for head in range(n_heads)]
    pairs = [(head, index) for head, (vectors, _) in enumerate(stored) for index in range(len(vectors))]
    energy = np.array([stored[head][1][index] ** 2 for head, index in pairs])
    on = np.array([index in marked.get((layer, head), ()) for head, index in pairs])
    order = random.permutation(len(pairs))
    as_many = order[: on.sum()]
    reached = np.cumsum(energy[order]) <= energy[on].sum()
    choices = {
        "interpretable": np.flatnonzero(on),
        "not interpretable": np.flatnonzero(~on),
        "random, as many": as_many,
        "random, as much energy": order[reached],
    }
    found = {}
    for name, chosen in choices.items():
        by_head: dict[int, list[int]] = {}
        for head, index in (pairs[number] for number in chosen):
            by_head.setdefault(head, []).append(index)
        updates = [
            direction_update(sweep.model, "ov", sweep.setting, layer, head, stored[head][0][indices], EPS)
            for head, indices in sorted(by_head.items())
        ]
        found[name] = (updates, len(chosen) / len(pairs))
    return found


def mean_outputs(model: Any, windows: torch.Tensor, n_layers: int) -> list[torch.Tensor]:
    """What attention of each layer writes, mean over the positions of a text."""
    means: dict[int, torch.Tensor] = {}
    modules = [module_of(model, "attn.W_O", layer) for layer in range(n_layers)]
    handles = [
        module.register_forward_hook(lambda m, i, o, layer=layer: means.update({layer: o.mean(dim=(0, 1))}))
        for layer, module in enumerate(modules)
    ]
    Passes(model, windows, 0).run([])
    for handle in handles:
        handle.remove()
    return [means[layer] for layer in range(n_layers)]


@contextmanager
def replaced(model: Any, outputs: dict[int, torch.Tensor]) -> Iterator[None]:
    """Within this block attention of these layers writes the same at each position."""
    handles = [
        module_of(model, "attn.W_O", layer).register_forward_hook(lambda m, i, o, new=new: new.expand_as(o))
        for layer, new in outputs.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def draw(table: pd.DataFrame, picture: Path, sweep: Sweep) -> None:
    """The curves as a picture."""
    from matplotlib.lines import Line2D

    from svdlens.figures.panels import panel_figure
    from svdlens.figures.style import COLOURS, look, readable_logarithms

    names = list(dict.fromkeys(table["removed"]))
    styles = {name: {"color": COLOURS[i], "marker": "osD^v<"[i]} for i, name in enumerate(names)}

    def panel(cumulative: bool) -> Callable[[Any], None]:
        def draw_panel(axes: Any) -> None:
            rows = table[table["cumulative"] == cumulative]
            for name in names:
                one = rows[rows["removed"] == name]
                axes.plot(one["layer"], one["perplexity"], ms=3, lw=1.1, **styles[name])
            axes.axhline(table["before"].iloc[0], color="0.4", lw=0.8, ls=":")
            axes.set_yscale("log")
            readable_logarithms(axes.yaxis)
            axes.set_ylabel("perplexity")

        return draw_panel

    figure = panel_figure(
        f"{sweep.name}: OV directions removed",
        f"Perplexity of {TOKENS} tokens of WordNet's definitions; dotted, of the model as it is. Left: in one layer. "
        "Right: in all layers up to this one. Interpretable: the list of one sign at least; as many, or with as "
        "much energy, at random beside them; and what attention writes replaced by zero or its mean over the text.",
        [("one layer", panel(False)), ("all layers up to", panel(True))],
        columns=2, share_y=False, xlabel="layer", height=2.6,
        handles=[Line2D([], [], ms=3.5, lw=1.1, label=name, **styles[name]) for name in names],
    )  # fmt: skip
    with look():
        figure.savefig(picture)


MEASURES = {"concepts": concepts, "matrix": specificity, "knockout": knockout}
MEASURES |= {"heads": heads, "induction": induction, "ioi": indirect_objects}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(MEASURES))
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--setting", default="tl_rmsnorm")
    parser.add_argument("--query", help="of the trace, whose heads are removed")
    parser.add_argument("--picture", type=Path, help="where the curves of knockout are drawn")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # which directions are not unique
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sweep = Sweep(given.results, given.model, given.setting, given.query)
    table = MEASURES[given.what](sweep)
    table.to_csv(given.results / f"benchmarks/edits_{given.what}.csv", index=False)
    if given.picture is not None and given.what == "knockout":
        draw(table, given.picture, sweep)
    shown = table.map(lambda cell: f"{cell:.3g}" if isinstance(cell, float) else str(cell))
    print(markdown_table(shown))


if __name__ == "__main__":
    main()
