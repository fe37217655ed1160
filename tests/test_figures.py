"""The figures: the csv holds exactly what is drawn, two draws give the same bytes, and hostile tokens stay text."""

import hashlib
import importlib
import math
import warnings
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.collections import LineCollection
from statsmodels.stats.proportion import proportion_confint

from svdlens.errors import SvdlensError
from svdlens.figures import style
from svdlens.figures.fraction_by_block import draw_fraction_by_block, fraction_by_block_data
from svdlens.figures.fraction_by_model import draw_fraction_by_model, fraction_by_model_data
from svdlens.figures.spectra import NULL_SPACE, draw_spectra, spectra_data
from svdlens.figures.style import save_figure
from svdlens.figures.token_table import LONGEST_TOKEN, draw_token_table, shown_token, token_table_data
from svdlens.tables import with_metadata

SETTINGS = ["raw", "fold", "write", "unembed", "fold_write", "fold_unembed", "write_unembed", "tl_default", "post2022"]
DEPTHS = {"tiny-2l": 2, "small-4l": 4, "medium_6l": 6}
MATRICES = ["mlp_out", "ov", "mlp_in"]
HOSTILE = [
    "$x^2$", "\n", "\x00", "\x07", "<script>", " مرحبا", "🔥", "火山", "a" * 300, '"', "'", "\\xe2", " fire", "     ",
    "$", "\\frac{1}{2}", "null", "nan", "", "\r\n", "=1+1", "\u202egnp", "e\u0301", "a,b", "\ufffd", "\U0010ffff",
]  # fmt: skip


def tokens_frame(words=HOSTILE, matrix="ov", layers=2, heads=2, directions=4, k=26, largest=1.1, seed=0):
    """A table of tokens as project_directions writes it: both sides of OV, one side of an MLP matrix."""
    generator = np.random.default_rng(seed)
    sides = {"ov": ["read", "write"], "mlp_in": ["read"], "mlp_out": ["write"]}[matrix]
    rows = []
    for layer in range(layers):
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
                                "scores": scores.astype("float32"),
                            }
                        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["head"] = frame["head"].astype("Int16")
    return frame.astype({"matrix": "category", "layer": "int16", "index": "int16", "sign": "int8"})


def spectra_frame(matrix="ov", layers=4, heads=3, rank=16, seed=0):
    """A table of spectra whose last two values are numerical null space."""
    generator = np.random.default_rng(seed)
    rows = []
    for layer in range(layers):
        for head in range(heads) if matrix == "ov" else [None]:
            values = np.sort(np.exp(-np.linspace(0, 3, rank) + 0.1 * generator.normal(size=rank)) * (layer + 1))[::-1]
            values[-2:] = values[0] * 1e-9, 0.0
            rows += [
                {"matrix": matrix, "layer": layer, "head": head, "index": index, "value": value}
                for index, value in enumerate(values)
            ]
    frame = pd.DataFrame(rows)
    frame["head"] = frame["head"].astype("Int16")
    return frame.astype({"matrix": "category", "layer": "int16", "index": "int16"})


def fractions_frame(depths=None, settings=SETTINGS[:1], labellers=("minilm",), controls=True, seed=0):
    """A table of fractions with everything that the figures must leave aside beside what they show."""
    generator = np.random.default_rng(seed)
    rows = []
    for model, depth in ({"tiny-2l": 2} if depths is None else depths).items():
        for place, setting in enumerate(settings):
            for matrix in MATRICES:
                for labeller in labellers:
                    for side, kind, unit, readout in [
                        ("all", "all", "row", "W_U"),
                        ("write", "all", "row", "W_U"),
                        ("all", "semantic", "row", "W_U"),
                        ("all", "all", "either", "W_U"),
                        ("all", "all", "row", "W_E"),
                    ]:
                        for layer in [None, *range(depth)]:
                            n = 120
                            share = 0.35 + 0.3 * (layer or 0) / depth + 0.01 * place
                            k = int(generator.binomial(n, share))
                            low, high = proportion_confint(k, n, method="wilson")
                            rows.append(
                                {
                                    "model": model, "setting": setting, "matrix": matrix, "side": side,
                                    "readout": readout, "labeller": labeller, "rule": "interpretable", "kind": kind,
                                    "unit": unit, "group": "all" if layer is None else "layer", "layer": layer,
                                    "head": None, "index": None, "n": n, "k": k, "fraction": k / n, "low": low,
                                    "high": high,
                                    "control_fraction": 0.2 + 0.02 * generator.normal() if controls else math.nan,
                                }
                            )  # fmt: skip
    frame = pd.DataFrame(rows)
    keys = dict.fromkeys(("layer", "head", "index"), "Int16")
    return frame.astype({**keys, **dict.fromkeys(("matrix", "readout", "labeller", "rule"), "category")})


def mixed_frame():
    """A model of three settings read through W_U first, and one of one setting read through W_E alone."""
    three = fractions_frame({"three": 4}, SETTINGS[:3])
    one = fractions_frame({"own": 3}, SETTINGS[1:2])
    return pd.concat([three, one[one["readout"] == "W_E"]], ignore_index=True)


def token_data(frame=None, **choice):
    """token_table_data with a choice that fits tokens_frame()."""
    fitting = {"model": "m", "setting": "raw", "matrix": "ov", "layer": 1, "head": 0, "readout": "W_U", "tokens": 26}
    return token_table_data(tokens_frame() if frame is None else frame, **{**fitting, **choice})


def block_figure(**frame):
    data = fraction_by_block_data(fractions_frame(**frame), labeller_networks={"own"})
    return data, draw_fraction_by_block(data, controls=1000)


def model_figure(**frame):
    data = fraction_by_model_data(fractions_frame(**frame), labeller_networks={"own"})
    return data, draw_fraction_by_model(data, controls=1000)


def spectra_figure(matrix="ov"):
    data = spectra_data(spectra_frame(matrix), model="m", setting="raw", matrix=matrix)
    return data, draw_spectra(data, rotary=False)


def token_figure(**choice):
    data = token_data(**choice)
    return data, draw_token_table(data, rotary=False)


FIGURES = {
    "token_table": token_figure,
    "spectra": spectra_figure,
    "fraction_by_block": block_figure,
    "fraction_by_model": model_figure,
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
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["sign +", "sign −"]
    for axes, sign in zip(figure.axes, (1, -1), strict=True):
        panel = data[data["sign"] == sign]
        drawn = {tuple(int(place) for place in text.get_position()): text.get_text() for text in axes.texts}
        expected = {(row.rank - 1, row.index): shown_token(row.token) for row in panel.itertuples(index=False)}
        assert drawn == expected
        shades = axes.images[0].get_array()
        assert np.array_equal(shades.ravel(), panel["shade"])


@pytest.mark.parametrize("matrix", ["ov", "mlp_in"])
def test_every_drawn_singular_value_is_in_the_csv(matrix):
    data, figure = spectra_figure(matrix)
    (lines,) = [found for found in figure.axes[0].collections if isinstance(found, LineCollection)]
    drawn = np.concatenate(lines.get_segments())
    assert np.array_equal(drawn, data[["index", "value"]].to_numpy(float))
    assert len(lines.get_segments()) == (12 if matrix == "ov" else 4)
    low, high = figure.axes[0].get_ylim()
    assert low <= data["value"].min() and data["value"].max() <= high


def test_values_of_the_null_space_are_not_drawn():
    data, _ = spectra_figure()
    assert data.groupby(["layer", "head"])["index"].max().eq(13).all()
    assert (data["value"] >= NULL_SPACE * data.groupby(["layer", "head"])["value"].transform("max")).all()


@pytest.mark.parametrize(("depths", "count"), [(None, 1), (DEPTHS, 3)])
def test_every_drawn_fraction_by_block_is_in_the_csv(depths, count):
    settings = SETTINGS[:count]
    data, figure = block_figure(depths=depths, settings=settings)
    models = list(depths or ["tiny-2l"])
    assert len(figure.axes) == 3 * len(models)
    for place, axes in enumerate(figure.axes):
        matrix = ["ov", "mlp_in", "mlp_out"][place // len(models)]
        panel = data[(data["model"] == models[place % len(models)]) & (data["matrix"] == matrix)]
        for number, setting in enumerate(settings):
            rows = panel[panel["setting"] == setting].sort_values("layer")
            solid, dashed = axes.lines[2 * number : 2 * number + 2]
            assert np.array_equal(solid.get_xdata(), rows["layer"])
            assert np.array_equal(solid.get_ydata(), rows["fraction"])
            assert np.array_equal(dashed.get_ydata(), rows["control_fraction"])
            assert dashed.is_dashed() and not solid.is_dashed()
            corners = axes.collections[number].get_paths()[0].vertices[:, 1]
            assert set(rows["low"]) | set(rows["high"]) == set(corners)
        assert axes.get_ylim() == (0, 1)


@pytest.mark.parametrize(("depths", "count"), [(None, 1), (DEPTHS, 9)])
def test_every_drawn_fraction_by_model_is_in_the_csv(depths, count):
    data, figure = model_figure(depths=depths, settings=SETTINGS[:count])
    places = []
    for axes, matrix in zip(figure.axes, ["ov", "mlp_in", "mlp_out"], strict=True):
        for number, setting in enumerate(SETTINGS[:count]):
            rows = data[(data["matrix"] == matrix) & (data["setting"] == setting)]
            points, controls = axes.lines[2 * number : 2 * number + 2]
            assert np.array_equal(points.get_ydata(), rows["fraction"])
            assert np.array_equal(controls.get_ydata(), rows["control_fraction"])
            assert controls.get_markerfacecolor() == "white"
            bars = np.array(axes.containers[number].lines[2][0].get_segments())
            assert np.allclose(bars[:, :, 1], rows[["low", "high"]], rtol=0, atol=1e-15)
            if axes is figure.axes[0]:
                places += [*points.get_xdata(), *controls.get_xdata()]
    # No two points of a panel share a place.
    assert len(set(np.round(places, 6))) == len(places)


@pytest.mark.parametrize("make", [block_figure, model_figure])
def test_intervals_contain_the_fraction_and_other_series_stay_out(make):
    data, _ = make(depths=DEPTHS, settings=SETTINGS)
    assert (data["low"] <= data["fraction"]).all() and (data["fraction"] <= data["high"]).all()
    assert len(data) == 9 * 3 * (12 if make is block_figure else 3)
    assert np.allclose(data["fraction"], data["k"] / data["n"])


def test_fractions_of_zero_one_and_nothing_are_drawn(tmp_path):
    frame = fractions_frame()
    frame.loc[frame["matrix"] == "ov", ["fraction", "low", "high"]] = 0.0, 1e-18, 0.1
    frame.loc[frame["matrix"] == "mlp_in", ["fraction", "low", "high"]] = 1.0, 0.9, 1 - 1e-16
    frame.loc[frame["matrix"] == "mlp_out", ["n", "k", "fraction", "low", "high"]] = 0, 0, np.nan, np.nan, np.nan
    for choose, draw in (
        (fraction_by_block_data, draw_fraction_by_block),
        (fraction_by_model_data, draw_fraction_by_model),
    ):
        data = choose(frame, labeller_networks=set())
        save(draw(data, controls=1000), data, tmp_path)
        assert pd.read_csv(tmp_path / "figure.csv")["fraction"].isna().sum() == data["fraction"].isna().sum() > 0


# Models that differ in settings and read-outs


def drawn_lines(axes):
    return [line for line in axes.lines if len(line.get_xdata())]


@pytest.mark.parametrize("choose", [fraction_by_block_data, fraction_by_model_data])
def test_the_first_readout_of_each_model_is_drawn(choose):
    frame = fractions_frame({"both": 2, "other": 3})
    data = choose(frame, labeller_networks=set())
    assert set(data["readout"]) == {"W_U"} and len(data) == len(data.drop_duplicates(["model", "matrix", *layer(data)]))
    # The order of the table decides.
    turned = pd.concat([frame[frame["readout"] == "W_E"], frame[frame["readout"] == "W_U"]])
    assert set(choose(turned, labeller_networks=set())["readout"]) == {"W_E"}
    assert dict(choose(mixed_frame(), labeller_networks=set())[["model", "readout"]].values) == {
        "three": "W_U",
        "own": "W_E",
    }


def layer(data):
    return ["layer"] if "layer" in data else []


def test_a_model_without_a_setting_has_nothing_drawn_for_it():
    data = fraction_by_block_data(mixed_frame(), labeller_networks=set())
    figure = draw_fraction_by_block(data, controls=1000)
    # Fractions and controls of each setting that the model has.
    assert [len(drawn_lines(axes)) for axes in figure.axes] == [6, 2] * 3

    data = fraction_by_model_data(mixed_frame(), labeller_networks=set())
    figure = draw_fraction_by_model(data, controls=1000)
    for axes in figure.axes:
        points = [float(x) for line in axes.lines[::2] for x in line.get_xdata()]
        # The settings of a model stand around its place, whichever and however many they are.
        assert np.allclose([np.mean(points[:2] + points[3:]), points[2]], [0, 1])
        assert len(points) == 4


@pytest.mark.parametrize("make", ["block", "model"])
def test_the_labellers_own_network_and_another_readout_are_pointed_out(make, tmp_path):
    choose, draw = {
        "block": (fraction_by_block_data, draw_fraction_by_block),
        "model": (fraction_by_model_data, draw_fraction_by_model),
    }[make]
    data = choose(mixed_frame(), labeller_networks={"own"})
    figure = draw(data, controls=1000)
    text = texts_of(figure)
    assert "own * read through W_E" in text
    assert "through the unembedding (W_U) where nothing else is said" in text
    assert "no independent evidence" in text and "both nulls" in text
    _, _, csv = save(figure, data, tmp_path)
    assert dict(pd.read_csv(csv)[["model", "labeller_network"]].values) == {"three": False, "own": True}

    plain = texts_of(draw(choose(fractions_frame(), labeller_networks={"own"}), controls=1000))
    assert "*" not in plain and "independent" not in plain and "where nothing else" not in plain


@pytest.mark.parametrize(("matrix", "rotary"), [("qk", True), ("qk", False), ("ov", True)])
def test_captions_of_qk_say_what_rotary_positions_leave_out(matrix, rotary):
    tokens = token_data(tokens_frame().assign(matrix=matrix), matrix=matrix, side="write")
    spectra = spectra_data(spectra_frame().assign(matrix=matrix), model="m", setting="raw", matrix=matrix)
    for figure in (draw_token_table(tokens, rotary=rotary), draw_spectra(spectra, rotary=rotary)):
        assert ("content term at relative position 0" in texts_of(figure)) == (matrix == "qk" and rotary)


# Choices and captions


def test_the_side_is_that_of_the_residual_stream_unless_named():
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


@pytest.mark.parametrize("name", FIGURES)
def test_captions_take_every_name_from_the_data(name):
    _, figure = FIGURES[name]()
    text = texts_of(figure)
    assert "GPT" not in text
    for expected in {
        "token_table": ["m, setting raw", "layer 1", "head 0", "W_U"],
        "spectra": ["m, setting raw", "millionth", "head"],
        "fraction_by_block": ["tiny-2l", "raw", "W_U", "minilm", "Dashed: 1,000 random unit directions"],
        "fraction_by_model": ["tiny-2l", "raw", "W_U", "minilm", "Open: 1,000 random unit directions"],
    }[name]:
        assert expected in text


def test_a_labeller_without_controls_is_drawn_and_does_not_promise_them(tmp_path):
    for data, figure in (block_figure(controls=False), model_figure(controls=False)):
        assert "random" not in texts_of(figure)
        save(figure, data, tmp_path)


def test_ticks_of_blocks_are_whole_numbers():
    for depths in ({"one": 1}, DEPTHS):
        _, figure = block_figure(depths=depths)
        for axes in figure.axes:
            assert all(float(tick).is_integer() for tick in axes.get_xticks())


# Errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: token_data(layer=9), r"no row has layer 9 among the rows with matrix 'ov'. Choose from 0, 1\."),
        (lambda: token_data(head=None), r"no row has head \(none\).*Choose from 0, 1\."),
        (lambda: token_data(readout="W_E"), r"no row has readout 'W_E'.*Choose from 'W_U'\."),
        (lambda: spectra_data(spectra_frame("mlp_in"), model="m", setting="raw", matrix="mlpin"), r"mean 'mlp_in'"),
        (lambda: spectra_data(spectra_frame()[:0], model="m", setting="raw", matrix="ov"), r"table is empty"),
        (
            lambda: fraction_by_model_data(fractions_frame(), labeller_networks=set(), labeller="llm"),
            r"Choose from 'minilm'",
        ),
        (
            lambda: fraction_by_model_data(fractions_frame(labellers=("minilm", "npmi")), labeller_networks=set()),
            r"shows one labeller, but the table holds 'minilm', 'npmi'",
        ),
    ],
)  # fmt: skip
def test_an_empty_selection_says_what_was_asked_and_what_there_is(make, message):
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
def test_two_draws_give_the_same_bytes(name, tmp_path):
    digests = []
    for turn in ("first", "second"):
        data, figure = token_figure(directions=2, tokens=13) if name == "token_table" else FIGURES[name]()
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in save(figure, data, tmp_path / turn)])
    assert digests[0] == digests[1]
    assert b"CreationDate" not in (tmp_path / "first/figure.pdf").read_bytes()


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


def test_the_numbers_in_the_csv_are_those_of_the_table(tmp_path):
    data, figure = model_figure(depths=DEPTHS, settings=SETTINGS[:2])
    _, _, csv = save(figure, data, tmp_path)
    back = pd.read_csv(csv, keep_default_na=False)
    assert list(back.columns) == list(data.columns)
    for column in data.columns:
        assert list(back[column]) == list(data[column])


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
        ("abcdefghijkl", "abcdefghijkl"),
        ("abcdefghijklm", "abcdefghijk…"),
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
    styles = style.setting_styles(settings)
    assert len({(tuple(look["color"]), look["marker"]) for look in styles.values()}) == len(settings)


# The scripts


def write(frame, path):
    path.parent.mkdir(parents=True)
    facts = {"sources": {"b/raw/ov.minilm.parquet": {"model": "b", "labeller_network": True}}}
    pq.write_table(with_metadata(pa.Table.from_pandas(frame), facts), path)
    return str(path)


@pytest.mark.parametrize("name", FIGURES)
def test_the_scripts_write_three_files(name, tmp_path):
    inside = tmp_path / "model=m/setting=raw"
    inputs = {
        "token_table": lambda: {"tokens": write(tokens_frame(), inside / "ov.parquet")},
        "spectra": lambda: {"spectra": write(spectra_frame(), inside / "ov.parquet")},
    }.get(
        name,
        lambda: {
            "fractions": write(fractions_frame({"a": 2, "b": 4}, SETTINGS[:2]), tmp_path / "in/fractions.parquet")
        },
    )
    smk = SimpleNamespace(
        input=SimpleNamespace(**inputs()),
        output=SimpleNamespace(**{suffix: str(tmp_path / f"out/{name}.{suffix}") for suffix in ("pdf", "png", "csv")}),
        wildcards=SimpleNamespace(model="m", setting="raw", matrix="ov"),
        params=SimpleNamespace(
            layer=1, head=0, side=None, readout="W_U", rotary=False, directions=3, tokens=5,
            labeller="minilm", labelling_rule=None, controls=1000,
        ),
        log="",
    )  # fmt: skip
    importlib.import_module(f"plot_{name}").main(smk)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}.csv", f"{name}.pdf", f"{name}.png"]
    rows = pd.read_csv(smk.output.csv)
    assert len(rows) == {"token_table": 30, "spectra": 168, "fraction_by_block": 36, "fraction_by_model": 12}[name]
    if name.startswith("fraction"):
        assert list(rows["labeller_network"]) == list(rows["model"] == "b")
    if name == "token_table":
        smk.params.layer = 7
        with pytest.raises(SvdlensError, match=r"layer 7 .*Choose from 0, 1\."):
            importlib.import_module("plot_token_table").main(smk)
