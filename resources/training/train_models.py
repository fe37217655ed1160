"""Train the bundled models: `python resources/training/train_models.py --model wordnet-2layer`.

Needs Debian's package `wordnet-base` (or the same files elsewhere: --wordnet). Everything random comes from SEED;
the tokenizer and the order of the text are the same for all models. Writes resources/models/<model>/ :
model.safetensors (float16), config.json, tokenizer files, token_counts.parquet, loss.csv and training.json.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from train_tokenizer import save_tokenizer, train_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel
from wordnet_documents import documents, hold_out, read_synsets

SEED = 20221128
CONTEXT = 128
BATCH = 16
SUBWORDS = 4000
VALIDATION_SHARE = 0.02
WARMUP_STEPS = 100
WEIGHT_DECAY = 0.5
# Steps after which the smallest model is kept as well, a factor of four apart; step 0 is the seed itself.
CHECKPOINT_STEPS = (16, 64, 256, 1024, 4096)

MODELS = {
    "wordnet-2layer": {"layers": 2, "width": 128, "learning_rate": 3e-3, "steps": 8000},
    "wordnet-4layer": {"layers": 4, "width": 192, "learning_rate": 2.5e-3, "steps": 4500},
    "wordnet-6layer": {"layers": 6, "width": 256, "learning_rate": 2e-3, "steps": 6000},
}
HEAD_WIDTH = 32


def initial_model(name: str, vocabulary: int) -> GPT2LMHeadModel:
    """The network before training (step 0): a function of SEED alone."""
    torch.manual_seed(SEED)
    shape = MODELS[name]
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=CONTEXT,
        n_embd=shape["width"],
        n_layer=shape["layers"],
        n_head=shape["width"] // HEAD_WIDTH,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    for block in model.transformer.h:
        block.mlp.act = torch.nn.GELU(approximate="tanh")  # GPT-2's own "gelu_new", in one pass over memory
    return model


class UnembedCrossEntropy(torch.autograd.Function):
    """Mean next-token loss of hidden states [n, d] against W_U^T [V, d], with both gradients in one pass.

    The [n, V] logits never exist as a whole: on a CPU, reading and writing them costs three times the arithmetic.
    """

    @staticmethod
    def forward(context, hidden, unembed, targets):
        unembed_bf16 = unembed.bfloat16()
        loss = 0.0
        hidden_gradient = torch.empty_like(hidden, dtype=torch.float32)
        unembed_gradient = torch.zeros_like(unembed)
        for rows in torch.arange(len(hidden)).split(256):
            part = hidden[rows].bfloat16()
            logits = (part @ unembed_bf16.T).float()
            log_total = logits.logsumexp(-1)
            positions = torch.arange(len(rows))
            loss += float((log_total - logits[positions, targets[rows]]).sum())
            gradient = logits.sub_(log_total[:, None]).exp_()
            gradient[positions, targets[rows]] -= 1
            gradient = gradient.bfloat16()
            hidden_gradient[rows] = (gradient @ unembed_bf16).float()
            unembed_gradient += (gradient.T @ part).float()
        context.save_for_backward(hidden_gradient / len(hidden), unembed_gradient / len(hidden))
        return torch.tensor(loss / len(hidden))

    @staticmethod
    def backward(context, loss_gradient):
        hidden_gradient, unembed_gradient = context.saved_tensors
        return loss_gradient * hidden_gradient, loss_gradient * unembed_gradient, None


def training_loss(model: GPT2LMHeadModel, batch: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.transformer(batch).last_hidden_state[:, :-1]
    hidden = hidden.reshape(-1, hidden.shape[-1])
    return UnembedCrossEntropy.apply(hidden, model.lm_head.weight, batch[:, 1:].reshape(-1))


def encode(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """All documents in one row of ids, each begun by the end-of-text token."""
    ids = [id for encoding in tokenizer.encode_batch(texts) for id in (0, *encoding.ids)]
    return np.array(ids, dtype=np.int64)


def windows(ids: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(ids[: len(ids) // CONTEXT * CONTEXT].reshape(-1, CONTEXT))


@torch.no_grad()
def mean_loss(model: GPT2LMHeadModel, batch_windows: torch.Tensor) -> float:
    model.eval()
    losses = [float(model(batch, labels=batch).loss) for batch in batch_windows.split(BATCH)]
    model.train()
    return float(np.mean(losses))


def save_model(model: GPT2LMHeadModel, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # lm_head is the embedding itself (tied), and the causal masks are no parameters.
    tensors = {
        name.removeprefix("transformer."): tensor.detach().half().contiguous().cpu()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    model.config.architectures = ["GPT2LMHeadModel"]
    (directory / "config.json").write_text(model.config.to_json_string())


def train(name: str, wordnet: Path, output: Path, threads: int, weight_decay: float, steps: int) -> None:
    torch.set_num_threads(threads)
    started = time.time()
    synsets = read_synsets(wordnet)
    held_out = hold_out(synsets, VALIDATION_SHARE, SEED)
    kept = set(synsets) - held_out
    first_pass = list(documents(synsets, kept, SEED))
    tokenizer = train_tokenizer(first_pass, SUBWORDS)
    validation = windows(encode(tokenizer, list(documents(synsets, held_out, SEED))))

    model = initial_model(name, tokenizer.get_vocab_size())
    shape = MODELS[name]
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    kept_whole = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": kept_whole, "weight_decay": 0.0}],
        lr=shape["learning_rate"],
        betas=(0.9, 0.95),
        fused=True,
    )
    step, epoch, rows = 0, 0, []
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    while step < steps:
        ids = encode(tokenizer, list(documents(synsets, kept, SEED + epoch)))
        rng = np.random.default_rng(SEED + epoch)
        data = windows(ids)[rng.permutation(len(ids) // CONTEXT)]
        for batch in data.split(BATCH):
            if step == steps:
                break
            warm = min(1.0, (step + 1) / WARMUP_STEPS)
            rate = shape["learning_rate"] * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = training_loss(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            np.add.at(counts, batch.numpy().ravel(), 1)
            step += 1
            if step % 100 == 0 or step in CHECKPOINT_STEPS:
                elapsed = time.time() - started
                rows.append(
                    {"step": step, "tokens": step * BATCH * CONTEXT, "training_loss": loss.item(), "rate": rate}
                )
                if step % 500 == 0 or step == steps:
                    rows[-1]["validation_loss"] = mean_loss(model, validation)
                print({**rows[-1], "seconds": round(elapsed)}, flush=True)
            if name == "wordnet-2layer" and step in CHECKPOINT_STEPS:
                save_model(model, output / name / "checkpoints" / f"step_{step}")
        epoch += 1

    directory = output / name
    save_model(model, directory)
    save_tokenizer(tokenizer, directory, CONTEXT)
    pd.DataFrame(rows).to_csv(directory / "loss.csv", index=False)
    table = pd.DataFrame({"id": np.arange(len(counts), dtype=np.int32), "count": counts})
    table.to_parquet(directory / "token_counts.parquet", index=False)
    facts = {
        "seed": SEED,
        "steps": steps,
        "tokens": int(counts.sum()),
        "passes_over_the_text": round(counts.sum() / len(ids), 2),
        "vocabulary": len(counts),
        "documents": len(first_pass),
        "held_out_synsets": len(held_out),
        "validation_tokens": validation.numel(),
        "validation_loss": mean_loss(model, validation),
        "initial_validation_loss": mean_loss(initial_model(name, len(counts)), validation),
        "learning_rate": shape["learning_rate"],
        "weight_decay": weight_decay,
        "batch": BATCH,
        "context": CONTEXT,
    }
    (directory / "training.json").write_text(json.dumps(facts, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, choices=MODELS)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "models")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weight-decay", type=float, default=WEIGHT_DECAY)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    steps = arguments.steps or MODELS[arguments.model]["steps"]
    train(arguments.model, arguments.wordnet, arguments.output, arguments.threads, arguments.weight_decay, steps)


if __name__ == "__main__":
    main()
