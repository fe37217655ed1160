"""Layouts of encoders."""

from svdlens.models.layouts.layout import KEYS, CheckpointLayout, sizes

BERT = CheckpointLayout(
    keys=KEYS,
    prefix="bert.",
    layers="encoder.layer",
    tensors={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
        "embeddings.LayerNorm.weight": ("hidden_size",),
        "embeddings.LayerNorm.bias": ("hidden_size",),
    },
    layer_tensors={
        "attention.self.query.weight": ("hidden_size", "hidden_size"),
        "attention.self.query.bias": ("hidden_size",),
        "attention.self.key.weight": ("hidden_size", "hidden_size"),
        "attention.self.key.bias": ("hidden_size",),
        "attention.self.value.weight": ("hidden_size", "hidden_size"),
        "attention.self.value.bias": ("hidden_size",),
        "attention.output.dense.weight": ("hidden_size", "hidden_size"),
        "attention.output.dense.bias": ("hidden_size",),
        "attention.output.LayerNorm.weight": ("hidden_size",),
        "attention.output.LayerNorm.bias": ("hidden_size",),
        "intermediate.dense.weight": ("intermediate_size", "hidden_size"),
        "intermediate.dense.bias": ("intermediate_size",),
        "output.dense.weight": ("hidden_size", "intermediate_size"),
        "output.dense.bias": ("hidden_size",),
        "output.LayerNorm.weight": ("hidden_size",),
        "output.LayerNorm.bias": ("hidden_size",),
    },
    optional={
        "pooler.dense.weight": ("hidden_size", "hidden_size"),
        "pooler.dense.bias": ("hidden_size",),
    },
    defaults={
        **sizes(layers=12, width=768, heads=12, tokens=30522, mlp=3072),
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    },
    heads={
        "cls.predictions.bias": ("vocab_size",),
        "cls.predictions.transform.dense.weight": ("hidden_size", "hidden_size"),
        "cls.predictions.transform.dense.bias": ("hidden_size",),
        "cls.predictions.transform.LayerNorm.weight": ("hidden_size",),
        "cls.predictions.transform.LayerNorm.bias": ("hidden_size",),
        "cls.predictions.decoder.weight": ("vocab_size", "hidden_size"),
        "cls.predictions.decoder.bias": ("vocab_size",),
        "cls.seq_relationship.weight": ("2", "hidden_size"),
        "cls.seq_relationship.bias": ("2",),
    },
    old_endings={"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"},
    buffers=r"embeddings\.(position_ids|token_type_ids)",
)
