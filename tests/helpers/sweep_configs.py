"""Configurations of sweeps, as they are after all checks, for pure functions of them."""

from typing import Any

from svdlens.sweep.plan import Sweep

CONFIG: dict[str, Any] = {
    "models": {
        "own": {"path": "own", "token_tables": [{"matrix": "ov", "layer": 0, "head": 1}, {"matrix": "qk", "layer": 0}]},
        "encoder": {"path": "encoder", "architecture": "bert", "settings": ["raw"], "readouts": ["W_E"]},
        "rotary": {"path": "rotary", "architecture": "llama", "matrices": ["qk"]},
        "gpt2-medium": {
            "path": "medium",
            "token_tables": [
                {"matrix": "ov", "layer": 22, "head": 10},
                {"matrix": "mlp_in", "layer": 22, "directions": 50},
            ],
        },
    },
    "settings": {"raw": [], "post2022": ["read_gain"]},
    "sweep": {
        "models": ["own", "encoder"],
        "settings": ["raw", "post2022"],
        "matrices": ["ov", "mlp_in"],
        "readouts": ["W_U"],
        "labellers": ["coherence"],
    },
    "labellers": {"coherence": {"level": 0.05}, "published": {"models": ["gpt2-small", "gpt2-medium"]}},
    "directions": 64,
    "tokens": 50,
    "cluster_tolerance": 0.01,
    "stability": True,
    "weight_noise": 0.01,
    "controls": ["random_unit", "rotated", "gaussian"],
    "basis": "svd",
    "random_directions": 1000,
    "rotated_directions": 4000,
    "seed": 0,
    "trace": {
        "queries": {},
        "best_list": False,
        "vectors": ["pinv_W_U", "W_E"],
        "random_queries": 200,
        "level": 0.05,
        "cosine": 0.15,
        "iterative": False,
    },
    "examples": {"tokens": 100000, "windows": 10, "around": 10, "length": 128},
    "prompts": {},
    "on_prompt": {"drawn": 15, "pairs": 1000, "heads": []},
    "figures": {"select": "all", "token_table_directions": 15, "token_table_tokens": 20},
}


def sweep_with(**changes: Any) -> Sweep:
    """The sweep of CONFIG with other values; mappings among them are merged with what CONFIG has."""
    merged = {key: CONFIG[key] | value if isinstance(value, dict) else value for key, value in changes.items()}
    return Sweep(CONFIG | merged)
