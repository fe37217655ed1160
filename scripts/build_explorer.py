"""Rule build_explorer: results/explorer, a page to look around in that opens from disk."""

from pathlib import Path

from svdlens.explorer.build import Source, build_explorer
from svdlens.runtime.script import run


def main(smk):
    places = [(*place, Path(path).stem) for path, place in zip(smk.input.tokens, smk.params.sweep, strict=True)]
    labels, random_labels = {place: {} for place in places}, {place: {} for place in places}
    control_files = iter(smk.input.control_labels)
    for path, (model, setting, labeller) in zip(smk.input.labels, smk.params.labelled, strict=True):
        place = (model, setting, Path(path).name.split(".")[0])
        labels[place][labeller] = Path(path)
        if labeller in smk.params.with_controls:
            random_labels[place][labeller] = Path(next(control_files))
    files = zip(places, smk.input.tokens, smk.input.spectra, smk.input.controls, strict=True)
    sources = [
        Source(
            model=place[0],
            setting=place[1],
            tokens=Path(tokens),
            spectra=Path(spectra),
            random=Path(random),
            labels=labels[place],
            random_labels=random_labels[place],
        )
        for place, tokens, spectra, random in files
    ]
    static = [Path(path) for path in smk.input.static]
    build_explorer(sources, Path(smk.input.fractions), static, Path(smk.output.index).parent)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
