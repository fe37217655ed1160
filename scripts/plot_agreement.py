"""Draw how far labellers agree, a figure for each setting.

input: agreement (table of agreement of the sweep)    output: pdf, png, csv (one for each setting)
params: settings, labellers (of the sweep)
"""

import pandas as pd

from svdlens.figures.agreement import agreement_data, draw_agreement
from svdlens.figures.panels import save_each
from svdlens.runtime.script import run


def main(smk):
    data = agreement_data(pd.read_parquet(smk.input.agreement))
    save_each(data, "setting", smk.params.settings, draw_agreement, smk.output, labellers=smk.params.labellers)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
