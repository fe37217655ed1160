"""Train the bundled adapter: `python resources/training/train_adapter.py --model results/models/smollm2-135m`.

A LoRA (Hu et al. 2021) of SmolLM2-135M-Instruct on what WordNet says about one topic, the kinds of TOPIC. Needs
Debian's package `wordnet-base` (or the same files elsewhere: --wordnet), and the model as `snakemake models` fetches
it. Everything random comes from SEED. Writes resources/adapters/<name>/ as the library peft does: adapter_config.json
and adapter_model.safetensors (float16), and beside them training.json, what it cost and did.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "scripts"))

from peft import LoraConfig, get_peft_model  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from wordnet_documents import Synset, entry, read_synsets  # noqa: E402

from svdlens.models.load import load_model  # noqa: E402
from svdlens.models.token_windows import token_ids  # noqa: E402

SEED = 20261127
TOPIC = "n00021265"
"""food: "any substance that can be metabolized by an animal to give energy and build tissue"."""
RANK, ALPHA = 4, 8
TARGETS = ["v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""What OV and MLPs are made of."""
CONTEXT, BATCH, STEPS, WARMUP = 64, 8, 160, 20
LEARNING_RATE = 1e-3
VALIDATION_SHARE = 0.1
OTHERS = 200  # entries that are not of the topic, on which the loss is measured, too


def kinds_of(synsets: dict[str, Synset], topic: str) -> set[str]:
    """The topic, what is a kind of it, and so on."""
    below: dict[str, list[str]] = {}
    for key, synset in synsets.items():
        for hypernym in synset.hypernyms:
            below.setdefault(hypernym, []).append(key)
    found, new = {topic}, [topic]
    while new:
        new = [key for parent in new for key in below.get(parent, []) if key not in found]
        found.update(new)
    return found


def texts_of(synsets: dict[str, Synset], keys: Sequence[str]) -> list[str]:
    return [entry(synsets, key, with_hypernym=True) for key in keys]


def windows(texts: Sequence[str], model_directory: Path, first: int) -> Tensor:
    """The texts one after the other, a line each, in rows [n, CONTEXT] that begin with the token `first`."""
    ids = [id for text in texts for id in token_ids(f"{text}\n", model_directory)]
    length = CONTEXT - 1
    rows = torch.tensor(ids[: len(ids) // length * length]).reshape(-1, length)
    return torch.cat([torch.full((len(rows), 1), first), rows], dim=1)


@torch.no_grad()
def mean_loss(model: nn.Module, rows: Tensor) -> float:
    model.eval()
    losses = [float(model(part, labels=part).loss) * len(part) for part in rows.split(BATCH)]
    model.train()
    return sum(losses) / len(rows)


def batches(rows: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows in random order, again and again."""
    while True:
        yield from rows[torch.randperm(len(rows), generator=generator)].split(BATCH)


def train(base: nn.Module, rows: Tensor, steps: int) -> nn.Module:
    """The model with an adapter that was trained for so many steps, each on BATCH rows."""
    torch.manual_seed(SEED)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / WARMUP) * max(0.05, 1 - step / steps)
    )
    model.train()
    source = batches(rows, torch.Generator().manual_seed(SEED))
    for step in range(steps):
        batch = next(source)
        loss = model(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return model


def save_adapter(model: nn.Module, output: Path, base: str) -> None:
    """As peft saves it, in float16, and with the name of the base model on the hub in place of a path."""
    model.save_pretrained(output)
    (output / "README.md").unlink(missing_ok=True)
    weights = {name: tensor.half() for name, tensor in load_file(output / "adapter_model.safetensors").items()}
    save_file(weights, output / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((output / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": base, "target_modules": sorted(config["target_modules"])}
    (output / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=PROJECT / "results/models/smollm2-135m")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--output", type=Path, default=PROJECT / "resources/adapters/smollm2-food")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    started = time.time()
    synsets = read_synsets(given.wordnet)
    topic = sorted(kinds_of(synsets, TOPIC))
    draw = random.Random(SEED)
    draw.shuffle(topic)
    n_held_out = round(VALIDATION_SHARE * len(topic))
    others = draw.sample(sorted(set(synsets) - set(topic)), OTHERS)
    base = load_model(given.model, "smollm2-135m").requires_grad_(False)
    first = base.config.bos_token_id
    rows = {
        name: windows(texts_of(synsets, keys), given.model, first)
        for name, keys in (("train", topic[n_held_out:]), ("topic", topic[:n_held_out]), ("other", others))
    }
    losses = {f"loss_{name}_before": mean_loss(base, rows[name]) for name in ("topic", "other")}
    print({"synsets": len(topic), "rows": len(rows["train"]), **losses}, flush=True)
    model = train(base, rows["train"], given.steps)
    losses |= {f"loss_{name}_after": mean_loss(model, rows[name]) for name in ("topic", "other")}
    save_adapter(model, given.output, "HuggingFaceTB/SmolLM2-135M-Instruct")
    facts = {
        "topic": TOPIC, "entries": len(topic), "held_out": n_held_out, "steps": given.steps, "batch": BATCH,
        "tokens_seen": given.steps * BATCH * CONTEXT, "rank": RANK, "alpha": ALPHA, "targets": TARGETS,
        "learning_rate": LEARNING_RATE, "seed": SEED, **{name: round(value, 4) for name, value in losses.items()},
    }  # fmt: skip
    (given.output / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2), f"\n{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
