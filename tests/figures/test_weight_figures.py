"""The figures of tokens and spectra: the csv holds exactly what is drawn, and hostile tokens stay text."""

import hashlib
import importlib
import math
import warnings
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from statsmodels.stats.proportion import proportion_confint

from svdlens.errors import SvdlensError
from svdlens.figures.near_degenerate import draw_near_degenerate, near_degenerate_data
from svdlens.figures.random_table import draw_random_table, random_table_data
from svdlens.figures.spectra import NULL_SPACE, draw_spectra, spectra_data
from svdlens.figures.spectrum_growth import draw_spectrum_growth, spectrum_growth_data
from svdlens.figures.style import save_figure, setting_styles
from svdlens.figures.token_table import (
    LONGEST_TOKEN,
    Cells,
    draw_token_table,
    shown_token,
    token_table_caption,
    token_table_data,
)
from svdlens.svd.spectrum_fits import fit_exponential, fit_power_law
from workflow import Files

HOSTILE = [
    "$x^2$", "\n", "\x00", "\x07", "<script>", " مرحبا", "🔥", "火山", "a" * 300, '"', "'", "\\xe2", " fire", "     ",
    "$", "\\frac{1}{2}", "null", "nan", "", "\r\n", "=1+1", "\u202egnp", "e\u0301", "a,b", "\ufffd", "\U0010ffff",
]  # fmt: skip


def tokens_frame(words=HOSTILE, matrix="ov", layers=2, heads=2, directions=7, k=26, largest=1.1, seed=0):
    """A table of tokens as project_directions writes it: both sides of OV, one side of an MLP matrix."""
    generator = np.random.default_rng(seed)
    sides = {"ov": ["read", "write"], "mlp_in": ["read"], "mlp_out": ["write"], "gaussian": ["all"]}[matrix]
    rows = []
    for layer in range(layers) if matrix != "gaussian" else [None]:
        for head in range(heads) if matrix == "ov" else [None]:
            for index in range(directions):
                for side in sides:
                    for sign in (1, -1):
                        ids = generator.permutation(max(k, len(words)))[:k].astype("int32")
                        scores = np.sort(generator.uniform(0.2, 1, k))[::-1] * largest
                        rows.append(
                            {
                                "matrix": matrix, "layer": layer, "head": head, "index": index, "side": side,
                                "sign": sign, "readout": "W_U", "token_ids": ids,
                                "tokens": [words[token % len(words)] for token in ids],
                                "scores": scores.astype("float32"), "null_space": False,
                            }
                        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["matrix"] = frame["matrix"].replace("gaussian", "ov")
    return frame.astype({"head": "Int32", "layer": "Int32", "matrix": "category", "index": "int32", "sign": "int32"})


def spectra_frame(matrix="ov", layers=4, heads=3, rank=16, seed=0):
    """A table of spectra whose last two values are numerical null space; stability is known of the first 10."""
    generator = np.random.default_rng(seed)
    rows = []
    for layer in range(layers):
        for head in range(heads) if matrix == "ov" else [None]:
            values = np.sort(np.exp(-np.linspace(0, 3, rank) + 0.1 * generator.normal(size=rank)) * (layer + 1))[::-1]
            values[-2:] = values[0] * 1e-9, 0.0
            stability = np.where(np.arange(rank) < min(10, rank - 2), generator.beta(3, 0.5, rank), np.nan)
            rows += [
                {
                    "matrix": matrix,
                    "layer": layer,
                    "head": head,
                    "index": index,
                    "value": value,
                    "stability_noise": noise,
                }
                for index, (value, noise) in enumerate(zip(values, stability, strict=True))
            ]
    keys = {"matrix": "category", "layer": "int32", "index": "int32", "head": "Int32"}
    return pd.DataFrame(rows).astype(keys)


def sweep_frame(models=("a", "b"), settings=("raw", "fold"), matrices=("mlp_out", "ov")):
    """The spectra of a sweep."""
    parts = [
        spectra_frame(matrix, layers=2 + place, seed=place).assign(model=model, setting=setting)
        for place, model in enumerate(models)
        for setting in settings
        for matrix in matrices
    ]
    return pd.concat(parts, ignore_index=True).astype({"model": "category", "setting": "category"})


def token_data(frame=None, **choice):
    """token_table_data with a choice that fits tokens_frame()."""
    fitting = {"model": "m", "setting": "raw", "matrix": "ov", "layer": 1, "head": 0, "readout": "W_U", "tokens": 26}
    return token_table_data(tokens_frame() if frame is None else frame, **{**fitting, **choice})


def token_figure(**choice):
    data = token_data(**choice)
    return data, draw_token_table(data, rotary=False)


def random_figure(frame=None):
    frame = tokens_frame(matrix="gaussian") if frame is None else frame
    choice = {"model": "m", "setting": "raw", "matrix": "ov", "readout": "W_U", "directions": 6, "tokens": 5}
    data = random_table_data(frame, **choice)
    return data, draw_random_table(data)


def spectra_figure(matrix="ov", **frame):
    data = spectra_data(spectra_frame(matrix, **frame), model="m", setting="raw", matrix=matrix)
    return data, draw_spectra(data, rotary=False)


def growth_figure(frame=None):
    data = spectrum_growth_data(sweep_frame() if frame is None else frame, setting="raw")
    return data, draw_spectrum_growth(data)


def near_degenerate_figure(frame=None, directions=10):
    data = near_degenerate_data(sweep_frame() if frame is None else frame)
    return data, draw_near_degenerate(data, noise=0.01, directions=directions)


FIGURES = {
    "token_table": lambda: token_figure(directions=2, tokens=13),
    "random_table": random_figure,
    "spectra": spectra_figure,
    "spectrum_growth": growth_figure,
    "near_degenerate": near_degenerate_figure,
}


def save(figure, data, directory):
    paths = [directory / f"figure.{suffix}" for suffix in ("pdf", "png", "csv")]
    save_figure(figure, data, *paths)
    return paths


def texts_of(figure):
    return " ".join(
        text.get_text().replace("\n", " ") for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    )


# The csv is the figure


def test_every_drawn_cell_of_the_token_table_is_in_the_csv():
    data, figure = token_figure()
    (axes,) = figure.axes
    # Cells lie on a grid: strips of five directions below each other, sign + left, sign − right.
    meshes = [artist for artist in axes.collections if isinstance(artist, QuadMesh)]
    assert len(meshes) == 4
    for place, mesh in enumerate(meshes):
        sign, strip = (1, -1)[place % 2], place // 2
        panel = data[(data["sign"] == sign) & (data["index"] // 5 == strip)]
        corners = mesh.get_coordinates()
        rows, columns = corners.shape[0] - 1, corners.shape[1] - 1
        assert columns == min(5, 7 - 5 * strip)
        expected = np.full((rows, columns), np.nan)
        shown = {}
        for cell in panel.itertuples(index=False):
            row, column = cell.rank - 1, cell.index - 5 * strip
            expected[row, column] = cell.shade
            middle = corners[row : row + 2, column : column + 2].mean(axis=(0, 1))
            shown[tuple(np.round(middle, 6))] = shown_token(cell.token)
        assert np.array_equal(mesh.get_array(), expected, equal_nan=True)
        cells = [artist for artist in axes.get_children() if isinstance(artist, Cells)]
        texts = {
            tuple(np.round(place, 6)): text
            for one in cells
            for place, text in zip(one.positions, one.texts, strict=True)
        }
        assert {position: texts[position] for position in shown} == shown
    assert {"sign +", "sign −"} <= {text.get_text() for text in axes.texts}


@pytest.mark.parametrize("matrix", ["ov", "mlp_in"])
def test_every_drawn_singular_value_is_in_the_csv(matrix):
    data, figure = spectra_figure(matrix)
    values, mean, fits = (data[data["series"] == series] for series in ("value", "mean", "fit"))
    logarithmic, linear, goodness, _ = figure.axes
    for axes in (logarithmic, linear):
        (lines,) = [found for found in axes.collections if isinstance(found, LineCollection)]
        assert np.array_equal(np.concatenate(lines.get_segments()), values[["index", "value"]].to_numpy(float))
        assert len(lines.get_segments()) == (12 if matrix == "ov" else 4)
        drawn = [line.get_ydata() for line in axes.lines]
        assert all(map(np.array_equal, drawn, (mean["exponential"], mean["power_law"], mean["value"])))
        low, high = axes.get_ylim()
        assert low <= values["value"].min() and values["value"].max() <= high
    assert (logarithmic.get_yscale(), linear.get_yscale()) == ("log", "linear")
    single = fits[fits["layer"].notna()]
    assert len(single) == (12 if matrix == "ov" else 4)
    drawn = [line.get_ydata() for line in goodness.lines]
    assert all(map(np.array_equal, drawn, (single["exponential_r2"], single["power_law_r2"])))


def test_values_mean_and_laws_are_those_of_the_table():
    frame = spectra_frame()
    data, _ = spectra_figure()
    values = data[data["series"] == "value"]
    assert values.groupby(["layer", "head"])["index"].max().eq(13).all()
    assert (values["value"] >= NULL_SPACE * values.groupby(["layer", "head"])["value"].transform("max")).all()
    kept = frame[frame["index"] < 14]
    mean = np.exp(np.log(kept["value"]).groupby(kept["index"]).mean())
    assert np.allclose(data.loc[data["series"] == "mean", "value"], mean)
    fits = data[data["series"] == "fit"]
    for row in fits.itertuples(index=False):
        one = mean if pd.isna(row.layer) else kept[(kept["layer"] == row.layer) & (kept["head"] == row.head)]["value"]
        for x, rate, r2 in (
            (np.arange(14), row.exponential_rate, row.exponential_r2),
            (np.log(np.arange(1, 15)), row.power_law_exponent, row.power_law_r2),
        ):
            slope, _ = np.polyfit(x, np.log(one), 1)
            assert math.isclose(rate, -slope, rel_tol=1e-9)
            assert math.isclose(r2, np.corrcoef(x, np.log(one))[0, 1] ** 2, rel_tol=1e-9)


def test_laws_are_found_where_they_hold_and_not_where_nothing_can_be_said():
    index = np.arange(40)
    exponential, power_law = 3 * np.exp(-0.2 * index), 5 * (index + 1.0) ** -0.7
    assert np.allclose(fit_exponential(exponential)[:2], (0.2, 1)) and fit_power_law(exponential).r2 < 0.95
    assert np.allclose(fit_power_law(power_law)[:2], (0.7, 1)) and fit_exponential(power_law).r2 < 0.95
    assert np.allclose(fit_power_law(power_law).fitted, power_law)
    assert math.isnan(fit_exponential(np.array([2.0, 1.0])).rate)
    flat = fit_exponential(np.full(5, 0.3))
    assert flat.rate == pytest.approx(0) and math.isnan(flat.r2)


def test_growth_is_that_of_the_table():
    frame = sweep_frame()
    data, figure = growth_figure(frame)
    rows = frame[frame["setting"] == "raw"]
    for one in data.itertuples(index=False):
        here = rows[(rows["model"] == one.model) & (rows["matrix"] == one.matrix) & (rows["layer"] == one.layer)]
        heads = [group["value"].to_numpy() for _, group in here.groupby("head", dropna=False)]
        numbers = [head.max() if one.quantity == "largest" else (head**2).sum() for head in heads]
        assert one.n == len(heads) == (3 if one.matrix == "ov" else 1)
        assert np.allclose((one.mean, one.low, one.high), (np.mean(numbers), min(numbers), max(numbers)))
    assert len(data) == 2 * 2 * (2 + 3)
    for axes, (quantity, matrix) in zip(
        figure.axes, [(q, m) for q in ("largest", "sum_of_squares") for m in ("ov", "mlp_out")], strict=True
    ):
        panel = data[(data["quantity"] == quantity) & (data["matrix"] == matrix)]
        assert [line.get_ydata().tolist() for line in axes.lines] == [
            panel.loc[panel["model"] == model, "mean"].tolist() for model in ("a", "b")
        ]
        assert len(axes.collections) == (2 if matrix == "ov" else 0)


def test_undetermined_are_those_that_the_table_says():
    frame = sweep_frame()
    frame.loc[0, "stability_noise"] = 0.9  # determined, if only just
    data, figure = near_degenerate_figure(frame)
    for one in data.itertuples(index=False):
        keys = [one.model, one.setting, one.matrix, one.layer]
        here = frame[(frame[["model", "setting", "matrix", "layer"]].astype(object) == keys).all(axis=1)]
        known = [stability for stability in here["stability_noise"] if not np.isnan(stability)]
        assert (one.n, one.k) == (len(known), sum(stability < 0.9 for stability in known))
        assert one.n == (10 if one.matrix == "mlp_out" else 30) and 0 < one.k < one.n
        assert np.allclose((one.low, one.high), proportion_confint(one.k, one.n, method="wilson"))
    assert len(data) == 2 * 2 * (2 + 3)
    places = [(matrix, model) for matrix in ("ov", "mlp_out") for model in ("a", "b")]
    for axes, (matrix, model) in zip(figure.axes, places, strict=True):
        panel = data[(data["model"] == model) & (data["matrix"] == matrix)]
        assert [line.get_ydata().tolist() for line in axes.lines] == [
            panel.loc[panel["setting"] == setting, "fraction"].tolist() for setting in ("raw", "fold")
        ]


# Choices and captions


def test_the_side_is_the_one_that_decides_the_sign_unless_named():
    assert set(token_data()["side"]) == {"write"}
    assert set(token_data(side="read")["side"]) == {"read"}
    mlp = tokens_frame(matrix="mlp_in")
    data = token_data(mlp, matrix="mlp_in", head=None)
    assert set(data["side"]) == {"read"} and data["head"].isna().all()
    assert "head" not in draw_token_table(data, rotary=False).texts[0].get_text()


def test_shade_is_cut_like_the_original_or_scaled_to_the_largest():
    cut = token_data(tokens_frame(largest=1.4))
    assert np.array_equal(cut["shade"], cut["score"].clip(0, 1)) and (cut["shade"] == 1).any()
    assert "cut to 0..1" in texts_of(draw_token_table(cut, rotary=False))
    scaled = token_data(tokens_frame(largest=30.0))
    assert scaled["shade"].max() == 1 and np.allclose(scaled["shade"], scaled["score"] / scaled["score"].max())
    assert "largest of this figure" in texts_of(draw_token_table(scaled, rotary=False))
    assert (token_data(tokens_frame(largest=-1.0))["shade"] == 0).all()


def test_directions_and_tokens_limit_the_table():
    data = token_data(directions=3, tokens=5)
    assert sorted(set(data["index"])) == [0, 1, 2] and data["rank"].max() == 5 and len(data) == 3 * 2 * 5
    assert data.groupby(["index", "sign"])["score"].apply(lambda scores: scores.is_monotonic_decreasing).all()


def test_random_directions_have_neither_layer_nor_head():
    data, figure = random_figure()
    assert len(data) == 6 * 2 * 5
    assert data[["layer", "head"]].isna().all(axis=None) and set(data["side"]) == {"all"}
    assert "singular vectors of a Gaussian matrix" in texts_of(figure)


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e7])
def test_spectra_stay_within_the_figure_whatever_their_numbers(scale):
    frame = spectra_frame()
    falling = frame["value"] * scale * np.exp(-0.6 * frame["index"])
    data = spectra_data(frame.assign(value=falling), model="m", setting="raw", matrix="ov")
    figure = draw_spectra(data, rotary=False)
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_tightbbox()
        # Hanging over by a point is what edges of panels do.
        assert figure.bbox.padded(2).fully_containsx(box.x0) and figure.bbox.padded(2).fully_containsx(box.x1)


def test_the_caption_of_a_token_table_names_null_space():
    frame = tokens_frame()
    data = token_data(frame.assign(null_space=frame["index"].isin([1, 2])), directions=3)
    assert set(data.loc[data["null_space"], "index"]) == {1, 2}
    assert "Null space, whose lists say nothing: 1, 2." in token_table_caption(data)
    assert "Null space" not in token_table_caption(token_data(frame, directions=3))


@pytest.mark.parametrize("name", FIGURES)
def test_captions_take_every_name_from_the_data(name):
    _, figure = FIGURES[name]()
    text = texts_of(figure)
    assert "GPT" not in text
    for expected in {
        "token_table": ["m, setting raw", "layer 1", "head 0", "W_U"],
        "random_table": ["m, setting raw", "W_U"],
        "spectra": ["m, setting raw", "millionth", "head", "R²"],
        "spectrum_growth": ["setting raw", "a", "b", "largest head"],
        "near_degenerate": ["raw", "fold", "10 leading", "0.01", "below 0.9", "Wilson"],
    }[name]:
        assert expected in text


@pytest.mark.parametrize(("matrix", "rotary"), [("qk", True), ("qk", False), ("ov", True)])
def test_captions_of_qk_say_what_rotary_positions_leave_out(matrix, rotary):
    tokens = token_data(tokens_frame().assign(matrix=matrix), matrix=matrix, side="write")
    spectra = spectra_data(spectra_frame().assign(matrix=matrix), model="m", setting="raw", matrix=matrix)
    for figure in (draw_token_table(tokens, rotary=rotary), draw_spectra(spectra, rotary=rotary)):
        assert ("content term at relative position 0" in texts_of(figure)) == (matrix == "qk" and rotary)


# Little or nothing to draw


def test_the_smallest_sweep_is_drawn():
    one = sweep_frame(models=["only"], settings=["raw"], matrices=["ov"])
    one = one[(one["layer"] == 0) & (one["head"] == 0)]
    for data, figure in (
        spectra_figure(layers=1, heads=1),
        spectra_figure(layers=1, heads=1, rank=4),
        growth_figure(one),
        near_degenerate_figure(one),
        token_figure(directions=1, tokens=1),
    ):
        figure.draw_without_rendering()
        assert len(data) > 0 and "nothing to draw" not in texts_of(figure).lower()


def test_nothing_to_draw_is_said():
    zeros, sweep_of_zeros = spectra_frame().assign(value=0.0), sweep_frame().assign(value=0.0, stability_noise=np.nan)
    spectra = [spectra_data(rows, model="m", setting="raw", matrix="ov") for rows in (zeros, zeros[:0])]
    found = [
        *((data, draw_spectra(data, rotary=False)) for data in spectra),
        growth_figure(sweep_of_zeros),
        growth_figure(sweep_of_zeros[:0]),
        near_degenerate_figure(sweep_of_zeros),
        near_degenerate_figure(sweep_of_zeros[:0]),
        random_figure(tokens_frame(matrix="gaussian")[:0]),
    ]
    empty = token_data(tokens_frame()[:0])
    for data, figure in [*found, (empty, draw_token_table(empty, rotary=False))]:
        assert data.empty or (data["mean"] == 0).all()
        assert "nothing to draw" in texts_of(figure).lower()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: token_data(layer=9), r"no row has layer 9 among the rows with matrix 'ov'. Choose from 0, 1\."),
        (lambda: token_data(head=None), r"no row has head \(none\).*Choose from 0, 1\."),
        (lambda: token_data(readout="W_E"), r"no row has readout 'W_E'.*Choose from 'W_U'\."),
        (lambda: spectra_data(spectra_frame("mlp_in"), model="m", setting="raw", matrix="mlpin"), r"mean 'mlp_in'"),
    ],
)
def test_a_choice_that_is_not_there_says_what_there_is(make, message):
    with pytest.raises(SvdlensError, match=message):
        make()


def test_nothing_is_written_when_saving_fails(tmp_path, monkeypatch):
    data, figure = spectra_figure()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(SvdlensError, match="disk is full"):
        save(figure, data, tmp_path)
    assert list(tmp_path.iterdir()) == []


# Bytes and text


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.slow
def test_two_draws_give_the_same_bytes_and_the_numbers_of_the_data(name, tmp_path):
    digests = []
    for turn in ("first", "second"):
        data, figure = FIGURES[name]()
        paths = save(figure, data, tmp_path / turn)
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    assert digests[0] == digests[1]
    assert b"CreationDate" not in paths[0].read_bytes()
    if name.endswith("table"):  # of tokens, below
        return
    back = pd.read_csv(paths[2])
    assert list(back.columns) == list(data.columns)
    for column in data.columns:
        here, there = data[column].astype(object).where(data[column].notna()), back[column].astype(object)
        assert all(one == other or (pd.isna(one) and pd.isna(other)) for one, other in zip(here, there, strict=True))


def test_hostile_tokens_are_drawn_without_complaint_and_reach_the_csv_whole(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data, figure = token_figure(directions=1)
        _, _, csv = save(figure, data, tmp_path)
    back = pd.read_csv(csv, keep_default_na=False)
    assert list(back["token"]) == list(data["token"])
    assert set(back["token"]) == set(HOSTILE)
    for column in ("shade", "score"):
        assert np.array_equal(back[column].astype("float32"), data[column])


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" fire", "␣fire"),
        ("\n", "\\n"),
        ("\x00", "\\x00"),
        ("\x07", "\\x07"),
        ("$x^2$", "$x^2$"),
        ("\\xe2", "\\xe2"),
        ("火", "\\u706b"),
        ("مر", "مر"),
        ("\u202e", "\\u202e"),
        ("", ""),
        ("abcdefghij", "abcdefghij"),
        ("abcdefghijk", "abcdefghi…"),
        ("火山火", "\\u706b…"),
    ],
)
def test_shown_tokens(token, shown):
    assert shown_token(token) == shown
    assert len(shown) <= LONGEST_TOKEN


def test_a_user_matplotlibrc_changes_nothing(tmp_path):
    data, figure = token_figure(directions=1, tokens=6)
    plain = [path.read_bytes() for path in save(figure, data, tmp_path / "plain")]
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "savefig.dpi": 10, "axes.grid": True}):
        data, figure = token_figure(directions=1, tokens=6)
        assert [path.read_bytes() for path in save(figure, data, tmp_path / "own")] == plain


def test_settings_differ_in_colour_or_marker_however_many():
    settings = [f"setting {number}" for number in range(40)]
    styles = setting_styles(settings)
    assert len({(look["color"], look["marker"]) for look in styles.values()}) == len(settings)


# The script


def write(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)
    return str(path)


def script(figure, tmp_path, subjects, inputs, **options):
    """Run the script with one file for each of `subjects`; what it wrote."""
    output = {
        suffix: [str(tmp_path / f"out/{figure}_{number}.{suffix}") for number in range(len(subjects))]
        for suffix in ("pdf", "png", "csv")
    }
    params = Files(options | {"figure": figure, "subjects": subjects})
    smk = SimpleNamespace(input=Files(inputs), output=Files(output), params=params, log="")
    importlib.import_module("plot_figure").main(smk)
    return [pd.read_csv(path) for path in output["csv"]]


@pytest.mark.slow
def test_the_script_writes_three_files_for_each_subject(tmp_path):
    inside = tmp_path / "model=m/setting=raw"
    tokens, spectra = write(tokens_frame(), inside / "tokens.parquet"), write(spectra_frame(), inside / "ov.parquet")
    gaussian = write(tokens_frame(matrix="gaussian"), inside / "ov.gaussian.parquet")
    sweep = write(sweep_frame(), tmp_path / "spectra.parquet")
    place = {"model": "m", "setting": "raw", "matrix": "ov"}
    tables = [place | {"layer": layer, "head": 0, "readout": "W_U", "directions": 3} for layer in (0, 1)]
    settings = [{"setting": "raw"}, {"setting": "fold"}]
    jobs = {
        "token_table": (tables, {"tokens": [tokens] * 2}, {"n_tokens": 5, "rotary": []}, [30, 30]),
        "random_table": ([place | {"readout": "W_U"}], {"tokens": [gaussian]}, {"n_tokens": 5}, [7 * 2 * 5]),
        "spectra": ([place], {"spectra": [spectra]}, {"rotary": ["m"]}, [12 * 14 + 14 + 13]),
        "spectrum_growth": (settings, {"spectra": sweep}, {}, [20, 20]),
        "near_degenerate": ([{}], {"spectra": sweep}, {"weight_noise": 0.01, "directions": None}, [20]),
    }
    for figure, (subjects, inputs, options, counts) in jobs.items():
        written = script(figure, tmp_path, subjects, inputs, **options)
        assert [len(rows) for rows in written] == counts, figure
    assert len(list((tmp_path / "out").iterdir())) == 3 * 7

    # A table of a layer that is not there costs no other one; its picture says why it is empty.
    wrong = [tables[0], tables[0] | {"layer": 7}, tables[1], tables[0] | {"head": 9}]
    given = {"tokens": [tokens] * 4}
    written = script("token_table", tmp_path / "wrong", wrong, given, n_tokens=5, rotary=[])
    assert [len(rows) for rows in written] == [30, 0, 30, 0]
    assert list(written[1].columns) == list(written[0].columns)
    drawn = importlib.import_module("svdlens.figures.token_table").draw_figures(
        given, wrong, {"n_tokens": 5, "rotary": []}
    )
    said = [texts_of(figure) for _, figure in drawn]
    assert "no row has layer 7" in said[1] and "Choose from 0, 1." in said[1]
    assert "no row has head 9" in said[3]
