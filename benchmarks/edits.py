"""What edits do in a model of a finished sweep (docs/edits.md); minutes, on one thread.

    python benchmarks/edits.py concepts [RESULTS] [--model NAME] [--setting NAME]
    python benchmarks/edits.py matrix [RESULTS] [--model NAME] [--setting NAME]
    python benchmarks/edits.py heads [RESULTS] [--model NAME] [--setting NAME] [--query NAME]
    python benchmarks/edits.py induction [RESULTS] [--model NAME] [--setting NAME]
    python benchmarks/edits.py ioi [RESULTS] [--model NAME] [--setting NAME]

RESULTS is the results directory of the sweep (of `make run`). Tables are printed, and written beside as
RESULTS/benchmarks/edits_{concepts,matrix,heads,induction,ioi}.csv. Many directions removed together: knockouts.py.

concepts: ten concepts by a rule. The semantic labels that most OV lists of the write side have; of equal numbers the
first in the alphabet. Of each, of the CANDIDATES directions with the highest score the one with the largest slope
(first_order) of the mean log-probability of its own list's targets is removed; cue prompts of the slope are those of
all candidates' targets together, those of the effect the places of the text at which one of its own comes next.

matrix: what removing the direction of each concept (the file of `concepts`) does to the targets of every other, on the
other's cue prompts.

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
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent))

from finished_sweep import EPS, SEED, Sweep, add_sweep_arguments, prepare_torch, write_and_print

from svdlens.edit.choice import chosen_directions
from svdlens.edit.effect import TargetSet, measure_effect, prepare
from svdlens.edit.heads import heads_in_order, one_by_one, others_of_layers
from svdlens.edit.passes import Passes, Text, padded
from svdlens.edit.prompt_sets import NAMES, CueSet, indirect_object_cues, induction_cues
from svdlens.edit.prompts import Cue, list_targets, text_cues
from svdlens.edit.updates import Update, first_order
from svdlens.edit.vectors import edited_matrices, other_directions, random_updates, updates_of
from svdlens.evaluation.edit_summary import interval, resampling_weights, summarize
from svdlens.models.load import count_of, module_of
from svdlens.spec.edits import DIRECTION, OTHER, RANDOM
from svdlens.sweep import paths

N_CONCEPTS, CANDIDATES = 10, 12
HEADS, SENTENCES, FILLER_RANK = 30, 64, 5000
"""Heads that are removed, prompts with an indirect object, and the frequency rank of what repeated sequences are of."""


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
    text = Text(sweep.model, sweep.windows, first)
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


def indirect_objects(sweep: Sweep, names: Sequence[str] = NAMES) -> pd.DataFrame:
    """A row for each concept: the difference of logits as the model is, and its change."""
    cues = indirect_object_cues(sweep.model, sweep.directory, SENTENCES, SEED, names)
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


MEASURES = {"concepts": concepts, "matrix": specificity, "heads": heads}
MEASURES |= {"induction": induction, "ioi": indirect_objects}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(MEASURES))
    add_sweep_arguments(parser)
    parser.add_argument("--query", help="of the trace, whose heads are removed")
    given = parser.parse_args()
    prepare_torch()
    table = MEASURES[given.what](Sweep(given.results, given.model, given.setting, given.query))
    write_and_print(table, given.results / f"benchmarks/edits_{given.what}.csv")


if __name__ == "__main__":
    main()
