"""The figures: what each is called, what it shows, from which tables it is drawn, and what its files are of.

A new figure is a module figures/{name}.py, a caption rules/report/{name}.rst and an entry here (docs/architecture.md).
The module has one function that the job calls,

    draw_figures(inputs, subjects, options) -> (data, Figure) for each of `subjects`

inputs: the paths of `inputs`, by name; one path, or a list in the order of the subjects or of the sweep
    (figures/files.py, figure_inputs). subjects: for each of its files what it is of, by `scope`, such as
    {"setting": "raw"}. options: what else it asks of the configuration, by the names in `options`. data: just the
    numbers that are drawn, which become the csv.

Rules, documentation and report read this table. Imports nothing heavy: the Snakefile reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from svdlens.spec.controls import RANDOM_UNIT, ROTATED
from svdlens.sweep import paths

SPECTRA, LABELS, CONTROL_LABELS, FRACTIONS, AGREEMENT, BENCHMARKS = (
    f"results/tables/{table}.parquet"
    for table in ("spectra", "labels", "control_labels", "fractions", "agreement", "benchmarks")
)
LABELLED = ("places", "layers", "labeller", "criterion", "n_controls")
"""The options of every figure of labels."""


@dataclass(frozen=True)
class FigureEntry:
    """One figure.

    name: in paths, in the configuration (figures.select), of its rule plot_{name}, its module and its caption. shows:
    what it shows, for the documentation. category: where it stands in the report. scope: what it has a file of, a key
    of SCOPES in figures/files.py. inputs: its tables by name, as paths or as patterns of wildcards. options: what it
    asks of the configuration, as figure_options in figures/files.py calls it. labeller: the only one whose labels it
    draws, whether that is in the sweep or not; None for figures.labeller, or for none. control: one that the figure
    cannot do without. compares: what it needs at least two of, a key of COMPARED in figures/files.py. stability:
    whether it shows the stability of vectors. on_request: whether it is drawn only where it is asked for by name, since
    its tables are no part of everything. mem_mb, runtime: what its job needs, in MB and minutes.
    """

    name: str
    shows: str
    category: str
    scope: str
    inputs: Mapping[str, str]
    options: tuple[str, ...] = ()
    labeller: str | None = None
    control: str | None = None
    compares: str | None = None
    stability: bool = False
    on_request: bool = False
    mem_mb: int = 2000
    runtime: int = 10

    @property
    def module(self) -> str:
        """The module that draws it."""
        return f"svdlens.figures.{self.name}"

    @property
    def caption(self) -> str:
        """Its caption in the report, relative to rules/."""
        return f"report/{self.name}.rst"


FIGURES = {
    figure.name: figure
    for figure in (
        FigureEntry(
            name="token_table",
            shows="the leading directions of a matrix as tokens, both signs side by side; of the matrices in "
            "models.NAME.token_tables",
            category="Token tables",
            scope="token_table",
            inputs={"tokens": paths.TOKENS},
            options=("n_tokens", "rotary"),
            runtime=30,
        ),
        FigureEntry(
            name="interpretable_table",
            shows="the same of one matrix of each kind, that with the largest share of interpretable lists on the side "
            "shown",
            category="Token tables",
            scope="labelled_kind",
            inputs={"fractions": FRACTIONS, "tokens": paths.TOKENS},
            options=("labeller", "criterion", "n_directions", "n_tokens", "rotary"),
            runtime=30,
        ),
        FigureEntry(
            name="random_table",
            shows="singular vectors of a Gaussian matrix as tokens, the control of the post",
            category="Token tables",
            scope="one_matrix",
            inputs={"tokens": paths.CONTROLS.replace("{control}", "gaussian")},
            options=("n_tokens",),
            control="gaussian",
        ),
        FigureEntry(
            name="spectra",
            shows="singular values of each layer or head, with an exponential and a power law fitted to them",
            category="Spectra",
            scope="place",
            inputs={"spectra": paths.SPECTRA},
            options=("rotary",),
            runtime=30,
        ),
        FigureEntry(
            name="spectrum_growth",
            shows="largest singular value and sum of squares by layer, all models",
            category="Spectra",
            scope="setting",
            inputs={"spectra": SPECTRA},
            compares="layers",
        ),
        FigureEntry(
            name="near_degenerate",
            shows="share of directions that noise on the weights leaves undetermined, because singular values are too "
            "close to tell their vectors apart",
            category="Spectra",
            scope="sweep",
            inputs={"spectra": SPECTRA},
            options=("weight_noise", "directions"),
            stability=True,
            compares="layers",
        ),
        FigureEntry(
            name="fraction_by_layer",
            shows="fraction interpretable by layer, a panel for each model, random directions in grey",
            category="Fraction interpretable",
            scope="setting",
            inputs={"fractions": FRACTIONS},
            options=LABELLED,
            compares="layers",
        ),
        FigureEntry(
            name="fraction_by_depth",
            shows="fraction interpretable of all models on one axis, by layer and by relative depth",
            category="Fraction interpretable",
            scope="setting",
            inputs={"fractions": FRACTIONS},
            options=LABELLED,
            compares="layers",
        ),
        FigureEntry(
            name="fraction_by_index",
            shows="fraction interpretable by index of the direction, largest singular value first",
            category="Fraction interpretable",
            scope="setting",
            inputs={"fractions": FRACTIONS},
            options=LABELLED,
        ),
        FigureEntry(
            name="fraction_by_model",
            shows="fraction interpretable by model, all settings",
            category="Fraction interpretable",
            scope="sweep",
            inputs={"fractions": FRACTIONS},
            options=LABELLED,
        ),
        FigureEntry(
            name="fraction_by_matrix",
            shows="fraction interpretable by kind of matrix, all settings",
            category="Fraction interpretable",
            scope="sweep",
            inputs={"fractions": FRACTIONS},
            options=LABELLED,
        ),
        FigureEntry(
            name="fraction_published",
            shows="what the labels that Millidge & Black published say, by layer and by the criteria P, V and B; needs "
            "no model",
            category="Fraction interpretable",
            scope="sweep",
            inputs={"labels": paths.LABELS.replace("{labeller}", "published")},
            options=("published",),
            labeller="published",
        ),
        FigureEntry(
            name="read_write",
            shows="fraction interpretable on the read and on the write side of OV",
            category="Fraction interpretable",
            scope="setting",
            inputs={"fractions": FRACTIONS},
            options=LABELLED,
            compares="sides",
        ),
        FigureEntry(
            name="kinds_by_layer",
            shows="semantic, grammatical, orthographic and other lists by layer, beside those of random directions",
            category="Kinds of lists",
            scope="setting",
            inputs={"labels": LABELS, "control_labels": CONTROL_LABELS},
            options=LABELLED,
            mem_mb=6000,
            runtime=20,
            compares="layers",
        ),
        FigureEntry(
            name="readouts",
            shows="fraction interpretable and kinds of lists through each read-out, beside random directions; where a "
            "model has several",
            category="Kinds of lists",
            scope="setting",
            inputs={"fractions": FRACTIONS},
            options=LABELLED,
            compares="read-outs",
        ),
        FigureEntry(
            name="frequency_directions",
            shows="how often the first direction of a matrix lists frequent, rare or glitch tokens",
            category="Kinds of lists",
            scope="setting",
            inputs={"labels": LABELS, "control_labels": CONTROL_LABELS},
            options=LABELLED,
            mem_mb=6000,
            runtime=20,
        ),
        FigureEntry(
            name="controls",
            shows="the directions of the sweep beside the controls",
            category="Controls",
            scope="setting",
            inputs={"labels": LABELS, "control_labels": CONTROL_LABELS},
            options=(*LABELLED, "controls", "basis", "n_rotated"),
            mem_mb=6000,
            runtime=20,
        ),
        FigureEntry(
            name="basis",
            shows="singular directions beside other bases of the same subspaces and random directions, by side of the "
            "matrix, in all layers and in the last third of them",
            category="Controls",
            scope="setting",
            inputs={"labels": LABELS, "control_labels": CONTROL_LABELS},
            options=(*LABELLED, "basis", "n_rotated"),
            control=ROTATED,
            mem_mb=6000,
            runtime=20,
            compares="layers",
        ),
        FigureEntry(
            name="topic_lists",
            shows="how many tokens of the lists of a model belong to its topic, beside its base model and controls; of "
            "models with models.NAME.topic",
            category="Controls",
            scope="topic",
            inputs={
                "tokens": paths.TOKENS,
                RANDOM_UNIT: paths.CONTROLS.replace("{control}", RANDOM_UNIT),
                ROTATED: paths.CONTROLS.replace("{control}", ROTATED),
            },
            options=("places", "topics"),
            control=ROTATED,
            runtime=20,
        ),
        FigureEntry(
            name="antipodal",
            shows="how often both signs of a direction are interpretable, one or none, against independence",
            category="Controls",
            scope="setting",
            inputs={"labels": LABELS, "control_labels": CONTROL_LABELS},
            options=LABELLED,
            mem_mb=6000,
            runtime=20,
        ),
        FigureEntry(
            name="settings_effect",
            shows="what each switch of a setting does to the fraction interpretable and to the token lists",
            category="Settings",
            scope="model",
            inputs={"fractions": FRACTIONS, "tokens": paths.TOKENS},
            options=(*LABELLED, "switches"),
            compares="settings",
            mem_mb=4000,
            runtime=30,
        ),
        FigureEntry(
            name="trace_table",
            shows="the directions that a query of words lies along, the nearest first, with tokens and labels; where "
            "there are queries",
            category="Trace",
            scope="trace",
            inputs={"directions": paths.TRACE},
            options=("level", "n_random"),
        ),
        FigureEntry(
            name="trace_heads",
            shows="how far a query lies along the directions of each head, and of each matrix of an MLP",
            category="Trace",
            scope="trace",
            inputs={"matrices": paths.TRACE_MATRICES},
            options=("level", "n_random"),
        ),
        FigureEntry(
            name="edit_effect",
            shows="what an edit does to the log-probability of its tokens, beside controls: the bar plot of the post; "
            "for each of `edits`",
            category="Edits",
            scope="edit",
            inputs={"effect": paths.EDIT_EFFECT, "summary": paths.EDIT_SUMMARY, "directions": paths.EDIT_DIRECTIONS},
        ),
        FigureEntry(
            name="edit_spectrum",
            shows="the edited matrix decomposed again, its directions matched with those before",
            category="Edits",
            scope="edit",
            inputs={"spectrum": paths.EDIT_SPECTRUM, "directions": paths.EDIT_DIRECTIONS},
        ),
        FigureEntry(
            name="edit_dose",
            shows="what an edit does by eps, to its tokens and to the perplexity of a neutral text",
            category="Edits",
            scope="edit",
            inputs={"dose": paths.EDIT_DOSE, "directions": paths.EDIT_DIRECTIONS},
        ),
        FigureEntry(
            name="effects",
            shows="how much scaling a direction changes what the model predicts, of interpretable directions beside "
            "all others, by layer, index and head; on request",
            category="Effects and cards",
            scope="effect",
            inputs={"effects": paths.EFFECTS, "labels": paths.LABELS},
            options=("labeller", "criterion"),
            on_request=True,
        ),
        FigureEntry(
            name="cards",
            shows="what OV directions read and write, those that copy most and those that copy least; on request",
            category="Effects and cards",
            scope="card",
            inputs={"cards": paths.CARDS},
            options=("labeller",),
            on_request=True,
        ),
        FigureEntry(
            name="agreement",
            shows="how far labellers agree on which lists are interpretable",
            category="Labellers",
            scope="setting",
            inputs={"agreement": AGREEMENT},
            options=("labellers",),
            compares="labellers",
        ),
        FigureEntry(
            name="benchmarks",
            shows="where the time goes: seconds of all jobs of each rule, and the memory of the largest; on request",
            category="Cost",
            scope="sweep",
            inputs={"benchmarks": BENCHMARKS},
            on_request=True,
        ),
    )
}
"""By name, in the order in which they are listed."""
