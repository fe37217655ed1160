"""Rule export_directions: directions of one matrix on one side for SAEDashboard, and for a spreadsheet."""

from pathlib import Path

import pandas as pd
from safetensors import safe_open

from svdlens.artefacts.atomic_files import write_text
from svdlens.artefacts.provenance import model_on_hub
from svdlens.export.saedashboard import choose_rows, spreadsheet, to_json, vector_set
from svdlens.runtime.script import run
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names


def main(smk):
    model, setting = smk.wildcards.model, smk.wildcards.setting
    matrix, layer, head, side = smk.params.exported
    tokens, labels = (pd.read_parquet(path, partitioning=None) for path in (smk.input.tokens, smk.input.labels))
    rows = choose_rows(tokens, labels, layer, head, side, smk.params.directions)
    with safe_open(smk.input.vectors, framework="numpy") as file:
        stored = {name: file.get_tensor(name) for name in ("layers", "heads") if name in file.keys()}  # noqa: SIM118
        wanted = {"layers": layer} if head is None else {"layers": layer, "heads": head}
        place = tuple(list(stored[name]).index(n) if name in stored else n for name, n in wanted.items())
        vectors = file.get_slice(MATRIX_KINDS[matrix].sides[side].array)[place]
        # Only singular vectors have a singular value each.
        values = file.get_slice("values")[place] if "values" in file.keys() else None  # noqa: SIM118
    chosen = {"matrix": matrix, "side": side, "layer": layer, "head": head}
    known_as, revision = model_on_hub(Path(smk.input.provenance))
    facts = {"model": model, "revision": revision, "setting": setting, "basis": smk.params.basis}
    switches = setting_from_names(setting, smk.params.switches)
    described = {"facts": facts, "shared_norm": smk.params.shared_norm}
    exported = vector_set(rows, vectors, model=known_as or model, setting=switches, **described, **chosen)
    write_text(Path(smk.output.json), to_json(exported))
    write_text(Path(smk.output.csv), spreadsheet(rows, {"model": model, "setting": setting, **chosen}, values))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
