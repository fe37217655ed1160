"""Schemas of what directions do in forward passes over texts (activations/), as those of table_schemas.py."""

import pyarrow as pa

from svdlens.artefacts.table_schemas import CATEGORY, KEYS, ROW_KEYS

# The windows of a text in which each direction projects most (activations/), and how they fit its list.
EXAMPLES = pa.schema(
    [
        *ROW_KEYS,
        ("positions", pa.list_(pa.int32())),
        ("projections", pa.list_(pa.float32())),
        *[(name, pa.list_(pa.string())) for name in ("before", "tokens", "after")],
        *[(name, pa.float64()) for name in ("auc_at", "p_at", "auc_next", "p_next")],
    ]
)
# What the directions do on one prompt (activations/prompt.py), and the prompt without some of them (ablation.py).
PROMPTS = pa.schema(
    [
        *KEYS,
        ("side", CATEGORY),
        ("rank", pa.int32()),
        *[(name, pa.list_(pa.string())) for name in ("tokens", "next_tokens")],
        *[(name, pa.list_(pa.float32())) for name in ("firing", "effect")],
        *[(name, pa.string()) for name in ("label", "opposite_label")],
    ]
)
PROMPT_PAIRS = pa.schema(
    [
        *KEYS,
        *[(f"{side}_position", pa.int32()) for side in ("query", "key")],
        *[(f"{side}_token", pa.string()) for side in ("query", "key")],
        *[(name, pa.float64()) for name in ("share", "query_firing", "key_firing")],
        *[(f"{side}_label", pa.string()) for side in ("query", "key")],
    ]
)
ABLATIONS = pa.schema(
    [
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("near_degenerate", pa.list_(pa.int32())),
        ("way", CATEGORY),
        ("next_token", pa.string()),
        ("log_probability", pa.float64()),
        ("best_token", pa.string()),
    ]
)
