"""How the bundled models were trained, and that what is bundled is what the training script describes."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.models.checks import check_model_directory
from svdlens.models.token_texts import read_vocabulary
from tiny import make_tiny_gpt2

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "resources/training"))

import measure_models  # noqa: E402
import train_models  # noqa: E402
import train_tokenizer  # noqa: E402
import wordnet_documents  # noqa: E402

MODELS = PROJECT / "resources/models"
WORDNET = Path("/usr/share/wordnet")
needs_wordnet = pytest.mark.skipif(not WORDNET.exists(), reason="Debian's package wordnet-base is not installed")


@pytest.mark.parametrize("name", train_models.MODELS)
def test_bundled_model_is_whole(name):
    directory = MODELS / name
    check_model_directory(directory, name)
    config = json.loads((directory / "config.json").read_text())
    shape = train_models.MODELS[name]
    assert (config["n_layer"], config["n_embd"]) == (shape["layers"], shape["width"])
    counts = pd.read_parquet(directory / "token_counts.parquet")
    facts = json.loads((directory / "training.json").read_text())
    assert counts["id"].tolist() == list(range(config["vocab_size"]))
    assert counts["count"].sum() == facts["tokens"]
    # Every token was seen: one that was not would behave like a glitch token.
    assert counts["count"].min() >= 10


@pytest.mark.parametrize("name", train_models.MODELS)
def test_bundled_model_learned(name):
    facts = json.loads((MODELS / name / "training.json").read_text())
    losses = pd.read_csv(MODELS / name / "loss.csv")
    assert losses["step"].is_monotonic_increasing and losses["step"].iloc[-1] == facts["steps"]
    assert facts["validation_loss"] < 0.5 * facts["initial_validation_loss"]


def test_bundled_models_share_a_tokenizer():
    assert len({sha256_of(MODELS / name / "tokenizer.json") for name in train_models.MODELS}) == 1


def test_bundled_models_are_small():
    assert sum((MODELS / name / "model.safetensors").stat().st_size for name in train_models.MODELS) <= 30e6


def test_checkpoints_of_the_smallest_model():
    steps = sorted(int(path.name.split("_")[1]) for path in (MODELS / "wordnet-2layer/checkpoints").iterdir())
    assert tuple(steps) == train_models.CHECKPOINT_STEPS
    final = load_file(MODELS / "wordnet-2layer/model.safetensors")
    cosines = []
    for step in steps:
        tensors = load_file(MODELS / f"wordnet-2layer/checkpoints/step_{step}/model.safetensors")
        assert {name: tensor.shape for name, tensor in tensors.items()} == {
            name: tensor.shape for name, tensor in final.items()
        }
        then, now = (one["wte.weight"].astype(np.float64).ravel() for one in (tensors, final))
        cosines.append(then @ now / (np.linalg.norm(then) * np.linalg.norm(now)))
    # In the first steps of warm-up there is nothing to see yet.
    assert cosines[1:] == sorted(cosines[1:]) and cosines[-1] < 1, "the embedding turns towards its final state"


def test_step_0_is_made_from_the_seed():
    first, second = (train_models.initial_model("wordnet-2layer", 50).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_loss_and_gradients_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(600, 16, generator=generator).bfloat16().float().requires_grad_()
    unembed = torch.randn(40, 16, generator=generator).bfloat16().float().requires_grad_()
    targets = torch.randint(0, 40, (600,), generator=generator)
    ours = train_models.UnembedCrossEntropy.apply(hidden, unembed, targets)
    ours.backward()
    gradients = hidden.grad.clone(), unembed.grad.clone()
    hidden.grad = unembed.grad = None
    theirs = torch.nn.functional.cross_entropy(hidden @ unembed.T, targets)
    theirs.backward()
    # bfloat16 has 8 bits of precision.
    assert ours.item() == pytest.approx(theirs.item(), rel=2e-2)
    for mine, its in zip(gradients, (hidden.grad, unembed.grad), strict=True):
        assert float((mine - its).norm() / its.norm()) < 2e-2


@needs_wordnet
def test_wordnet_is_read_whole():
    synsets = wordnet_documents.read_synsets(WORDNET)
    assert len(synsets) == 117_659  # Fellbaum 1998, WordNet 3.0 statistics (wnstats(7WN))
    dog = next(one for one in synsets.values() if one.words[:2] == ["dog", "domestic dog"])
    assert dog.gloss.startswith("a member of the genus Canis")
    assert any(synsets[key].words[0] == "puppy" or "poodle" in synsets[key].words[0] for key in dog.members)


@needs_wordnet
def test_held_out_text_is_in_no_training_document():
    synsets = wordnet_documents.read_synsets(WORDNET)
    held_out = wordnet_documents.hold_out(synsets, 0.02, seed=1)
    assert 0.02 <= len(held_out) / len(synsets) < 0.021
    text = "".join(wordnet_documents.documents(synsets, set(synsets) - held_out, seed=2))
    entries = [wordnet_documents.entry(synsets, key, with_hypernym=False) + "\n" for key in sorted(held_out)]
    kept = {wordnet_documents.entry(synsets, key, with_hypernym=False) + "\n" for key in set(synsets) - held_out}
    assert not [entry for entry in entries if entry in text and entry not in kept]


@needs_wordnet
def test_documents_cover_everything_and_depend_on_the_seed():
    synsets = wordnet_documents.read_synsets(WORDNET)
    keep = set(sorted(synsets)[:3000])
    first, again, other = (list(wordnet_documents.documents(synsets, keep, seed)) for seed in (1, 1, 2))
    assert first == again and first != other
    text = "".join(first)
    missing = [key for key in keep if synsets[key].gloss not in text]
    assert not missing


def test_tokenizer_has_no_rare_tokens_and_loses_no_text():
    texts = [f"the cat number {n % 7} sat on the mat; some rarely {chr(97 + n % 26) * 3} words" for n in range(400)]
    tokenizer = train_tokenizer.train_tokenizer(texts, subwords=80)
    counts = train_tokenizer.count_tokens(tokenizer, texts)
    assert counts[1:].min() >= train_tokenizer.MIN_COUNT
    assert tokenizer.decode(tokenizer.encode(" the cat sat").ids) == " the cat sat"
    assert tokenizer.encode(" the cat").tokens == ["Ġthe", "Ġcat"]


def test_first_distinct_tokens():
    texts = [" cat", "Cat", "dog", "cat ", "DOG", "", " ", *(f"word {n}" for n in range(20))]
    groups = measure_models.token_groups(texts)
    assert measure_models.first_distinct(np.array([3, 4, 1, 2, 6, 0, 5]), groups).tolist() == [3, 4, 6]
    assert measure_models.first_distinct(np.arange(len(texts))[::-1], groups).tolist() == list(range(26, 11, -1))


def test_mean_cosine_is_that_of_a_loop():
    embeddings = np.random.default_rng(0).normal(1.0, 1.0, (40, 7)).astype(np.float32)
    embeddings[3] = embeddings.mean(axis=0, where=np.arange(40)[:, None] != 3)  # nothing is left of the mean itself
    vectors = measure_models.centred(embeddings)
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths[3] == 0 and np.allclose(np.delete(lengths, 3), 1)
    moved = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    moved[3] = 0
    for n in (2, 5, 15):
        cosines = [
            0.0 if 3 in (i, j) else moved[i] @ moved[j] / np.linalg.norm(moved[i]) / np.linalg.norm(moved[j])
            for i in range(n)
            for j in range(i)
        ]
        assert measure_models.mean_cosine(vectors[:n]) == pytest.approx(np.mean(cosines), abs=1e-6)
    assert np.isnan(measure_models.mean_cosine(vectors[:1]))


def test_measured_rows_are_those_of_a_dense_svd(tmp_path):
    model = make_tiny_gpt2(tmp_path, layers=2)
    texts = read_vocabulary(model)
    embeddings = measure_models.centred(np.random.default_rng(0).standard_normal((len(texts), 9)))
    rows, random = measure_models.measure_model(model, texts, embeddings)
    tensors = load_file(model / "model.safetensors")
    assert rows.groupby("matrix").size().to_dict() == {"mlp_out": 2 * 2 * 16, "ov": 2 * 2 * 2 * 8}
    assert len(random) == 2 * measure_models.RANDOM_DIRECTIONS
    for row in rows.itertuples():
        if row.matrix == "mlp_out":
            weight = tensors[f"h.{row.layer}.mlp.c_proj.weight"]
        else:
            of_head = slice(8 * row.head, 8 * row.head + 8)
            W_V = tensors[f"h.{row.layer}.attn.c_attn.weight"][:, 32:][:, of_head]
            weight = W_V @ tensors[f"h.{row.layer}.attn.c_proj.weight"][of_head]
        direction = np.linalg.svd(weight.astype(np.float64))[2][row.index]
        direction *= row.sign * np.sign(direction[np.abs(direction).argmax()])
        best, seen = [], set()
        for id in np.argsort(-tensors["wte.weight"] @ direction)[: measure_models.TOKENS_READ]:
            if texts[id].strip().lower() not in seen and len(best) < 15:
                best.append(id)
            seen.add(texts[id].strip().lower())
        assert row.tokens == " ".join(texts[id].strip() for id in best)
        cosines = embeddings[best] @ embeddings[best].T
        assert row.coherence == pytest.approx(cosines[np.tril_indices(len(best), -1)].mean())
    # Against themselves the random directions are no better, and 5 % of them are beyond their 95 % quantile.
    facts = {fact["rows"]: fact for fact in measure_models.summary("tiny", rows, random, rows)}
    first = facts["random unit directions"]
    assert first["standard_errors_above_random"] == 0 and first["beyond_random_95"] == pytest.approx(0.05, abs=0.001)
    trained, before = facts["ov, all blocks"], facts["ov, all blocks, before training"]
    assert trained["coherence"] == before["coherence"] == rows.loc[rows["matrix"] == "ov", "coherence"].mean()
