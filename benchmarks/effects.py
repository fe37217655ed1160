"""How well first-order and direct effects tell what scaling a direction really does: the table of docs/effects.md.

    make ablations                      of smollm2-135m in the setting raw, after `make run` (an hour)
    python benchmarks/effects.py --model wordnet-6layer --setting tl_default --tokens 1024

Of a stratified sample of directions each is scaled by 1 + eps, one at a time, and the loss and the log-probability of
its own tokens, those of the positive sign, are computed again (path: total). Every one is removed, eps = -1; the
smaller eps are of the first --smaller.

Prints Spearman's rank correlation of the exact change with eps times the slope, with a 95 % bootstrap interval over
directions, and the median error in medians of the exact change; writes results/benchmarks/effects_sample.csv.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.artefacts.atomic_files import write_text  # noqa: E402
from svdlens.artefacts.table_schemas import read_metadata  # noqa: E402
from svdlens.edit.updates import Update  # noqa: E402
from svdlens.effects.ablation import agreement_rows, exact_effects, metrics_of, stratified_sample  # noqa: E402
from svdlens.effects.effects_table import effect_columns, effect_windows, own_tokens, updates_of_svd  # noqa: E402
from svdlens.effects.slopes import measure_effects  # noqa: E402
from svdlens.models.load import load_model  # noqa: E402
from svdlens.models.token_windows import read_text  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.spec.matrix_kinds import SCALED  # noqa: E402
from svdlens.spec.settings import setting_from_names, svd_key  # noqa: E402
from svdlens.sweep import paths  # noqa: E402

TEXT = PROJECT / "resources/text/wordnet_definitions.txt"
EPS = (-0.1, -0.25, -0.5, -1.0)
METRICS = ("loss", "own tokens")


def main(options: argparse.Namespace) -> None:
    directory = Path(paths.PROVENANCE.format(model=options.model)).parent
    files = {matrix: Path(paths.TOKENS.format(matrix=matrix, **vars(options))) for matrix in SCALED}
    files = {matrix: path for matrix, path in files.items() if path.exists()}
    if not files:
        sys.exit(f"there are no token lists of {options.model} in {options.setting}; make them with: snakemake tokens")
    model = load_model(directory, options.model)
    windows = effect_windows(read_text(options.text), model, directory, options.tokens)
    tables, updates, own = [], {}, {}
    for matrix, path in files.items():
        setting = setting_from_names(options.setting, read_metadata(path)["setting"])
        svd = load_file(paths.SVD.format(model=options.model, matrix=matrix, **svd_key(setting, matrix)))
        lists = pd.read_parquet(path, partitioning=None)
        updates[matrix] = updates_of_svd(model, matrix, setting, svd)
        n, k = len(updates[matrix]), len(updates[matrix][0].write)
        loss, effects = measure_effects(model, windows, updates[matrix], None, options.threads)
        columns = effect_columns(model, matrix, svd, updates[matrix], effects, lists)
        tables.append(pd.DataFrame(columns).assign(update=np.repeat(np.arange(n), 2 * k)))
        if tables[-1]["direct_effect"].notna().any():
            own[matrix] = own_tokens(lists, n, k)[:, 0]  # of the positive signs
    table = pd.concat(tables, ignore_index=True)
    sample = stratified_sample(table, options.size, options.seed).sample(frac=1.0, random_state=options.seed)
    print(f"{options.model}, {options.setting}: {windows.numel()} tokens, loss {loss:.3f} nats per token")
    print(f"{len(sample)} of {len(table) // 2} directions, the smaller eps of {options.smaller} of them\n")
    rows = sample.to_dict("records")
    target_sets = [
        [own[row["matrix"]][row["update"], row["index"]].tolist()] if row["matrix"] in own else [] for row in rows
    ]
    loss, *own_before = metrics_of(model, windows, [one for sets in target_sets for one in sets], options.threads)
    results = []
    for number, (row, sets) in enumerate(zip(rows, target_sets, strict=True)):
        matrix, index = row["matrix"], row["index"]
        before = np.array([loss, *(own_before.pop(0) for _ in sets)])
        eps = EPS if number < options.smaller else EPS[-1:]
        update = one_direction(updates[matrix][row["update"]], index)
        for one, changes in zip(
            eps, exact_effects(model, windows, update, eps, sets, before, options.threads), strict=True
        ):
            slopes = [row["first_order"], row["direct_effect"]][: len(changes)]
            for metric, slope, change in zip(METRICS, slopes, changes, strict=False):
                results.append((matrix, row["layer"], row["head"], index, metric, one, one * slope, change))
        print(f"\r{number + 1} of {len(sample)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    names = ["matrix", "layer", "head", "index", "metric", "eps", "predicted", "exact"]
    found = pd.DataFrame(results, columns=names)
    target = Path("results/benchmarks/effects_sample.csv")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, found.to_csv(index=False))
    print(f"{markdown_table(shown(found, options.seed))}\n{target}")


def one_direction(update: Update, index: int) -> Update:
    own = slice(index, index + 1)
    return replace(update, read=update.read[own], write=update.write[own], eps=torch.ones(1))


def shown(found: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rank correlations and errors as text."""
    pieces = []
    for metric, rows in found.groupby("metric"):
        table = agreement_rows(rows, seed)
        interval = [f"{row.spearman:.2f} ({row.low:.2f} to {row.high:.2f})" for row in table.itertuples()]
        texts = {
            "effect on": metric,
            "eps": table["eps"].map("{:g}".format),
            "matrix": table["matrix"],
            "n": table["n"],
        }
        texts |= {"rank correlation": interval, "median error": table["error"].map("{:.2f}".format)}
        pieces.append(pd.DataFrame(texts))
    return pd.concat(pieces, ignore_index=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--setting", default="raw")
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--smaller", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    main(parser.parse_args())
