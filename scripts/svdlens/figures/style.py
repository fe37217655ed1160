"""What the figures share: the look, plain names for matrices and sides, and one way to save."""

import csv as csv_format
import logging
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from svdlens.artefacts.atomic_files import atomic_path
from svdlens.spec.matrix_kinds import MATRIX_KINDS, SIDES
from svdlens.spec.readouts import READOUTS

SIDE_NAMES = {side: f"{side} side" for side in SIDES}
# seaborn's palette `colorblind`, which takes a second to import; the yellow comes last, it is faint on white.
COLOURS = (
    "#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC", "#CA9161", "#FBAFE4", "#949494", "#56B4E9", "#ECE133",
)  # fmt: skip
# Beside the colour every setting has its marker, so that no reader depends on the colour. All can be drawn open.
MARKERS = "osD^v<>hp*d8H"

LOOK = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "0.4",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    # Names of models and settings come from the user and tokens from a vocabulary: a `$` in them is a `$`.
    "text.parse_math": False,
    "pdf.fonttype": 42,  # text in the pdf stays text: it can be searched and edited
    "savefig.dpi": 150,
}
# Sizes in points, everything else in inches.
TITLE_SIZE, CAPTION_SIZE = 11, 8
TITLE_LINE, LEGEND_LINE, CAPTION_LINE = 0.2, 0.175, 0.155
TITLE_CHARACTERS_PER_INCH, CAPTION_CHARACTERS_PER_INCH = 10, 15
LEGEND_MARK, LEGEND_CHARACTER = 0.62, 0.073
EDGE = 0.1


@contextmanager
def look() -> Iterator[None]:
    """The look of every figure. It starts from matplotlib's defaults, whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", LOOK]):
        yield


def save_figure(figure: Figure, data: pd.DataFrame, pdf: Path, png: Path, csv: Path) -> None:
    """Write the figure as `pdf` and `png` and the plotted numbers as `csv`: all three or none; then empty the figure.

    The same figure and data give the same bytes. Text in the csv is quoted and otherwise untouched, so tokens such
    as `null` are best read back with `pandas.read_csv(csv, keep_default_na=False, na_values={"score": [""]})`.
    Raises SvdlensError when a file cannot be written.
    """
    # The writer of fonts reports every table of every font.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    # The files get their names when all three are complete.
    with look(), atomic_path(pdf) as pdf_file, atomic_path(png) as png_file, atomic_path(csv) as csv_file:
        if figure.get_layout_engine() is not None:
            # The panels are laid out once, so that both pictures have them in the same places.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            # The solver of the layout leaves the last digits to chance, and the files promise the same bytes.
            for axes in figure.axes:
                axes.set_position(Bbox.from_bounds(*(round(length, 4) for length in axes.get_position().bounds)))
        figure.savefig(
            pdf_file, format="pdf", metadata={"Creator": "svdlens", "Producer": "matplotlib", "CreationDate": None}
        )
        figure.savefig(png_file, format="png", metadata={"Software": "svdlens"})
        data.to_csv(csv_file, index=False, lineterminator="\n", quoting=csv_format.QUOTE_NONNUMERIC)
    figure.clear()


def matrix_name(matrix: str) -> str:
    """A kind of matrix as figures name it."""
    return MATRIX_KINDS[matrix].title


def tick_name(matrix: str) -> str:
    """A kind of matrix under a tick, a word a line: four of them stand side by side in a third of the page."""
    return matrix_name(matrix).removeprefix("attention ").replace(" ", "\n")


def readout_name(readout: str) -> str:
    """A read-out as captions name it."""
    return READOUTS[readout].title


def content_term(matrix: str, rotary: bool) -> str:
    """What a caption must say of QK where positions are rotary: W_Q W_K^T is only part of what a head computes."""
    if matrix != "qk" or not rotary:
        return ""
    return " Positions are rotary, and W_Q W_K^T is the content term at relative position 0."


def ordered_matrices(matrices: Iterable[str]) -> list[str]:
    """The matrices that occur, in the order of MATRIX_KINDS."""
    present = set(matrices)
    return [matrix for matrix in MATRIX_KINDS if matrix in present]


def setting_styles(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each setting, by its number in `settings`."""
    return {
        setting: {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        for number, setting in enumerate(settings)
    }


def whole_number_ticks(axis: Axis, most: int = 8, last: float | None = None) -> None:
    """Ticks of a counting axis (layers, indices): whole numbers only, and with `last` none beyond it."""
    axis.set_major_locator(MaxNLocator(nbins=most, integer=True, min_n_ticks=1))
    if last is not None:
        axis.set_ticks([tick for tick in axis.get_majorticklocs() if 0 <= tick <= last])


def readable_logarithms(axis: Axis) -> None:
    """Ticks of a logarithmic axis with numbers on it, however little it spans: powers of ten alone might be none."""
    low, high = axis.get_view_interval()
    if high / low < 4:
        axis.set_major_locator(MaxNLocator(nbins=4))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend with these labels fit into `width` inches, no more than its lines need."""
    for columns in range(len(labels), 1, -1):
        lines = math.ceil(len(labels) / columns)
        # matplotlib fills one column after the other.
        longest = [max(map(len, labels[start : start + lines])) for start in range(0, len(labels), lines)]
        if sum(LEGEND_MARK + LEGEND_CHARACTER * length for length in longest) <= width:
            return len(longest)
    return 1


def wrapped_evenly(text: str, most: int) -> list[str]:
    """`text` in as few lines of at most `most` characters as it takes, none much shorter than the others."""
    wrap = partial(textwrap.wrap, text, break_on_hyphens=False)
    fewest, longest_word = len(wrap(most)), max(map(len, text.split()), default=1)
    return next(lines for width in range(min(longest_word, most), most + 1) if len(lines := wrap(width)) <= fewest)


def frame_figure(figure: Figure, title: str, caption: str, handles: Sequence[Artist] = ()) -> float:
    """Put the title and the legend of `handles` above the panels and the caption below them.

    The figure grows by the space that these take; a constrained layout keeps the panels between them. Returns the
    height of the strip below the panels in inches.
    """
    width = figure.get_figwidth()
    title_lines = wrapped_evenly(title, int(width * TITLE_CHARACTERS_PER_INCH))
    caption_lines = textwrap.wrap(caption, int(width * CAPTION_CHARACTERS_PER_INCH))
    # All of these are inches: the strips keep their size in a figure of any size.
    columns = legend_columns([str(handle.get_label()) for handle in handles], width - 2 * EDGE)
    legend_height = LEGEND_LINE * math.ceil(len(handles) / columns) + (0.1 if handles else 0)
    title_height = EDGE + TITLE_LINE * len(title_lines)
    above = title_height + legend_height + EDGE
    below = EDGE + CAPTION_LINE * len(caption_lines) + EDGE
    height = figure.get_figheight() + above + below
    figure.set_figheight(height)
    left = EDGE / width
    figure.text(left, 1 - EDGE / height, "\n".join(title_lines), va="top", fontsize=TITLE_SIZE)
    figure.text(
        left, EDGE / height, "\n".join(caption_lines), va="bottom", fontsize=CAPTION_SIZE, color="0.3", linespacing=1.35
    )
    if handles:
        legend = figure.legend(
            handles=handles, ncols=columns, loc="upper left", bbox_to_anchor=(left, 1 - title_height / height),
            borderaxespad=0, borderpad=0.2,
        )  # fmt: skip
        legend.set_in_layout(False)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, below / height, 1, 1 - (above + below) / height))
    return below
