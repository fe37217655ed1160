"""Draw a figure: all its files over the sweep, so that imports are paid once.

input: the tables of the figure, by name (svdlens/figures/registry.py)
output: pdf, png, csv (the numbers that are drawn), one of each for each file
params: figure (its name), subjects (for each file what it is of), further ones by name (FigureEntry.options)
"""

from importlib import import_module

from svdlens.figures.registry import FIGURES
from svdlens.figures.style import save_figure
from svdlens.runtime.script import run


def main(smk):
    module = import_module(FIGURES[smk.params.figure].module)
    drawn = module.draw_figures(dict(smk.input.items()), smk.params.subjects, dict(smk.params.items()))
    files = zip(smk.output.pdf, smk.output.png, smk.output.csv, strict=True)
    for (data, figure), (pdf, png, csv) in zip(drawn, files, strict=True):
        save_figure(figure, data, pdf, png, csv)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
