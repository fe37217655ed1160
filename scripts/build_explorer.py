"""Rule build_explorer: results/explorer, a page to look around in that opens from disk."""

from pathlib import Path

from svdlens.explorer.build import Source, build_explorer
from svdlens.runtime.script import run


def main(smk):
    places = [tuple(place) for place in smk.params.places]
    labels, random_labels = {place: {} for place in places}, {place: {} for place in places}
    for path, (*place, labeller) in zip(smk.input.labels, smk.params.labelled, strict=True):
        labels[tuple(place)][labeller] = Path(path)
    for path, (*place, labeller) in zip(smk.input.random_labels, smk.params.random_labelled, strict=True):
        random_labels[tuple(place)][labeller] = Path(path)
    examples = {tuple(place): Path(path) for place, path, _ in smk.params.examples}
    effects = {tuple(place): Path(path) for place, path, _ in smk.params.effects}
    files = zip(places, smk.input.tokens, smk.input.spectra, smk.input.random, strict=True)
    sources = [
        Source(
            model=place[0],
            setting=place[1],
            tokens=Path(tokens),
            spectra=Path(spectra),
            random=Path(random),
            labels=labels[place],
            random_labels=random_labels[place],
            examples=examples.get(place),
            effects=effects.get(place),
        )
        for place, tokens, spectra, random in files
    ]
    static = [Path(path) for path in smk.input.static]
    # Of a sweep in which no lists have two labellers there is none.
    agreement = next(map(Path, smk.input.agreement), None)
    build_explorer(sources, Path(smk.input.fractions), static, Path(smk.output.index).parent, agreement)


if __name__ == "__main__":
    run(main, snakemake, pandas=False)  # noqa: F821
