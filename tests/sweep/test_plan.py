"""What a sweep asks for, and where its files are: properties over the nine settings, and over sweeps of any choice."""

import re
from collections import Counter
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configurations import CONFIG, config_with
from svdlens.labels.registry import LABELLERS, LabellerEntry
from svdlens.spec.settings import list_key, svd_key
from svdlens.sweep import paths
from svdlens.sweep.plan import CHOSEN_ROWS, LabelledPlace, Place, Sweep

SHARED = (paths.SHARED_TOKENS, paths.SHARED_LABELS, paths.SHARED_SCORES, paths.SHARED_AGREEMENT)
NINE = list(CONFIG["sweep"]["settings"])
BUNDLED = {
    "sweep": {
        "models": ["gpt2-small", "wordnet-2layer", "all-minilm-l6-v2"],
        "settings": ["raw", "unembed", "post2022"],
        "matrices": ["ov", "mlp_in"],
    }
}


def some_of(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, unique=True)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """A sweep of GPT-2 models, one of which has choices of its own."""
    own = {
        "settings": draw(some_of(NINE)),
        "matrices": draw(some_of(["ov", "qk", "mlp_out"])),
        "readouts": draw(some_of(["W_U", "W_E", "pinv_W_E"])),
    }
    chosen = {
        "models": draw(some_of(["gpt2-small", "gpt2-medium", "wordnet-2layer"])),
        "settings": draw(some_of(NINE)),
        "matrices": draw(some_of(["ov", "mlp_in", "mlp_out"])),
        "readouts": draw(some_of(["W_U", "W_E"])),
        "labellers": draw(some_of(["coherence", "published"])),
    }
    labelled = draw(st.just({}) | st.fixed_dictionaries({"matrices": some_of(["ov", "mlp_in"])}))
    model = draw(st.sampled_from(["gpt2-small", "wordnet-2layer"]))
    changes = {"sweep": chosen, "models": {model: own}, "labellers": {"coherence": labelled}}
    return Sweep(config_with(changes))


# --- what is computed


@given(sweeps())
def test_places_are_every_model_with_its_settings_and_matrices(sweep: Sweep) -> None:
    expected = [
        Place(model, setting, matrix)
        for model in sweep.config["sweep"]["models"]
        for setting, matrix in product(
            sweep.config["models"][model].get("settings", sweep.config["sweep"]["settings"]),
            sweep.config["models"][model].get("matrices", sweep.config["sweep"]["matrices"]),
        )
    ]
    assert sweep.places == expected
    assert set(sweep.swept_settings()) == {place.setting for place in expected}
    assert max(Counter(sweep.swept_settings()).values()) == 1


def test_a_model_keeps_its_own_choices() -> None:
    sweep = Sweep(config_with(BUNDLED))
    assert sweep.models == ["gpt2-small", "wordnet-2layer", "all-minilm-l6-v2"]
    assert sweep.choice("all-minilm-l6-v2", "settings") == ["raw"]
    assert sweep.choice("all-minilm-l6-v2", "readouts") == ["W_E"]
    assert sweep.choice("gpt2-small", "readouts") == ["W_U"]
    assert len(sweep.places) == 2 * 3 * 2 + 1 * 2
    assert sweep.swept_settings() == ["raw", "unembed", "post2022"]
    assert not sweep.architecture("all-minilm-l6-v2").gains  # bert
    assert sweep.architecture("gpt2-small").gains  # gpt2, where none is named


@given(sweeps())
def test_labelled_places_are_those_that_a_labeller_can_label_and_is_to(sweep: Sweep) -> None:
    expected = []
    for place, labeller in product(sweep.places, sweep.labellers):
        config = sweep.config["labellers"][labeller]
        wanted = place.matrix in config.get("matrices", [place.matrix])
        if labeller == "published":
            wanted = place.model in config["models"] and place.setting == "post2022" and place.matrix != "ov"
            wanted &= place.matrix != "qk"
        if wanted:
            expected.append(LabelledPlace(*place, labeller))
    assert sweep.labelled_places == expected


def test_people_label_one_setting_of_each_model_unless_more_are_asked_for() -> None:
    change = {"sweep": {"labellers": ["manual"], "readouts": ["W_E", "W_U"]}, "labellers": {"manual": {"sheets": {}}}}
    sweep = Sweep(config_with(BUNDLED, change))
    one = [("gpt2-small", "post2022"), ("wordnet-2layer", "post2022"), ("all-minilm-l6-v2", "raw")]
    expected = [Place(*place, "mlp_in") for place in one]
    assert [place[:3] for place in sweep.labelled_places] == sweep.sheet_places == expected
    assert sweep.sheet_sources == [(*place, "W_E") for place in expected]
    # Of raw and unembed lists are the same through W_U but for the gain and the mean of the unembedding.
    more = {"labellers": {"manual": {"settings": ["raw", "unembed"]}}}
    asked = Sweep(config_with(BUNDLED, {"sweep": {"labellers": ["manual"]}}, more))
    assert {place[:2] for place in asked.labelled_places} == {
        (model, setting)
        for model in asked.models
        for setting in ("raw", "unembed")
        if setting in asked.choice(model, "settings")
    }
    files = [asked.shared_path(paths.SHARED_TOKENS, place) for place in asked.labelled_places]
    of_sheet = [asked.shared_path(paths.SHARED_TOKENS, place) for place in asked.sheet_places]
    assert of_sheet == list(dict.fromkeys(files)) and len(of_sheet) < len(files)


def test_what_people_are_shown_is_nothing_that_labels_depend_on() -> None:
    assert Sweep(config_with()).labeller_parameters("manual") == {}


@given(sweeps())
def test_each_two_labellers_of_a_place_are_compared_once(sweep: Sweep) -> None:
    for place in sweep.labelled_places:
        key = list_key(sweep.setting(place.setting), place.matrix, sweep.choice(place.model, "readouts"))
        later = sweep.later_labellers(place.model, place.matrix, place.labeller, key)
        order = [sweep.labellers.index(name) for name in (place.labeller, *later)]
        assert order == sorted(set(order))
        beside = {one.labeller for one in sweep.labelled_places if one[:3] == place[:3]} - {place.labeller}
        assert {name for name in beside if sweep.labellers.index(name) > order[0]} <= set(later)
        # Each of them has labels of these lists, in this setting or in an equivalent one.
        labels = sweep.over_shared_labels(paths.SHARED_LABELS)
        shared = {name: paths.SHARED_LABELS.format(**place._asdict() | key | {"labeller": name}) for name in later}
        assert set(shared.values()) <= set(labels)


def test_published_answers_are_compared_where_their_lists_are_shared() -> None:
    sweep = Sweep(config_with())
    later = {
        (setting, matrix): sweep.later_labellers(
            "gpt2-small", matrix, "coherence", list_key(sweep.setting(setting), matrix, ["W_U"])
        )
        for setting in NINE
        for matrix in ("ov", "mlp_in", "mlp_out")
    }
    # The gain before MLP-out is nothing to its vectors, so that three settings have the lists of post2022.
    with_published = {("post2022", "mlp_in"), *((name, "mlp_out") for name in ("raw", "unembed", "post2022"))}
    assert {key for key, names in later.items() if names} == with_published
    assert all(names in ([], ["published"]) for names in later.values())


# --- layers and heads


def test_layers_and_heads_are_the_models_own_or_else_those_of_the_sweep() -> None:
    plain = Sweep(config_with(BUNDLED))
    assert plain.numbers("gpt2-small", "ov") == {} == plain.numbers("gpt2-small", "mlp_in")
    assert plain.is_swept("gpt2-small", "ov", 11, 11) and plain.is_swept("gpt2-small", "mlp_in", 11, None)
    own = {"sweep": {"layers": [5, 0], "heads": [1]}, "models": {"wordnet-2layer": {"layers": [1]}}}
    sweep = Sweep(config_with(BUNDLED, own))
    assert sweep.numbers("gpt2-small", "ov") == {"layers": [0, 5], "heads": [1]}
    # MLPs have no heads: another choice of these decomposes none of them again.
    assert sweep.numbers("gpt2-small", "mlp_in") == {"layers": [0, 5]}
    assert sweep.numbers("wordnet-2layer", "ov") == {"layers": [1], "heads": [1]}
    assert [
        (layer, head) for layer in range(7) for head in range(3) if sweep.is_swept("gpt2-small", "ov", layer, head)
    ] == [
        (0, 1),
        (5, 1),
    ]
    assert [layer for layer in range(7) if sweep.is_swept("gpt2-small", "mlp_out", layer, None)] == [0, 5]


# --- labellers


def test_what_a_labeller_labels_is_no_parameter_of_it() -> None:
    """So a wider choice labels anew only what it adds."""
    chosen: dict[str, Any] = {"sides": ["write"], "signs": [1], "directions": 30, "control_lists": 9}
    narrow = Sweep(config_with({"labellers": {"coherence": {"matrices": ["ov"], **chosen}}}))
    wide, strict = Sweep(config_with()), Sweep(config_with({"labellers": {"coherence": {"level": 0.01}}}))
    assert narrow.labeller_parameters("coherence") == wide.labeller_parameters("coherence") == {"level": 0.05}
    assert strict.labeller_parameters("coherence") == {"level": 0.01}
    assert narrow.labelled_rows("coherence") == chosen
    assert wide.labelled_rows("coherence") == dict.fromkeys(CHOSEN_ROWS)
    # Who brings labels of his own depends on nothing of the configuration.
    assert wide.labeller_parameters("published") == {}


def test_criteria_and_controls_are_those_of_the_registry() -> None:
    sweep = Sweep(config_with({"labellers": {"coherence": {"level": 0.1}}, "controls": ["random_unit", "gaussian"]}))
    assert sweep.criteria("coherence") == ["q_value < 0.1"]
    assert sweep.criteria("published") == ["B", "P", "V"]
    assert sweep.with_controls() == ["coherence"]
    assert sweep.controls == ["random_unit", "gaussian"]


def test_a_labeller_without_parameters_needs_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LABELLERS, "new", LabellerEntry("new", "svdlens.labels.new", "a new labeller", ("yes",)))
    sweep = Sweep(config_with({"sweep": {"labellers": ["new", "coherence"]}}))
    assert sweep.labeller_config("new") == sweep.labeller_parameters("new") == {}
    assert [place[:3] for place in sweep.labelled_places if place.labeller == "new"] == sweep.places
    assert sweep.criteria("new") == ["yes"] and sweep.with_controls() == ["new", "coherence"]
    assert sweep.figure_labeller == "new"


# --- where it is


@pytest.mark.parametrize(
    ("matrix", "n_svds", "n_lists"), [("ov", 5, 5), ("mlp_in", 3, 3), ("mlp_out", 2, 4), ("qk", 3, 3)]
)
def test_nine_settings_share_files(matrix: str, n_svds: int, n_lists: int) -> None:
    sweep = Sweep(config_with({"sweep": {"models": ["gpt2-small"], "matrices": [matrix]}}))
    assert len(sweep.places) == 9
    assert len({sweep.svd_path(paths.SVD, place) for place in sweep.places}) == n_svds
    assert len({sweep.shared_path(paths.SHARED_TOKENS, place) for place in sweep.places}) == n_lists
    assert len(sweep.over_places(paths.TOKENS)) == 9


@given(sweeps())
def test_places_have_the_same_file_where_and_only_where_they_share_it(sweep: Sweep) -> None:
    def keys(place: Place) -> tuple[tuple, tuple]:
        setting, readouts = sweep.setting(place.setting), sweep.choice(place.model, "readouts")
        svd, lists = svd_key(setting, place.matrix), list_key(setting, place.matrix, readouts)
        return (place.model, place.matrix, *svd.values()), (place.model, place.matrix, *lists.values())

    by_svd = {(sweep.svd_path(paths.SVD, place), keys(place)[0]) for place in sweep.places}
    by_lists = {(sweep.shared_path(paths.SHARED_TOKENS, place), keys(place)[1]) for place in sweep.places}
    for pairs in (by_svd, by_lists):
        assert len({path for path, _ in pairs}) == len({key for _, key in pairs}) == len(pairs)


@given(sweeps())
def test_paths_are_whole_and_lie_under_results(sweep: Sweep) -> None:
    made = [
        *(sweep.svd_path(pattern, place) for pattern in (paths.SVD, paths.STABILITY) for place in sweep.places),
        *(sweep.shared_path(pattern, place) for pattern in SHARED for place in sweep.labelled_places),
        *(sweep.over_places(paths.SPECTRA) + sweep.over_labels(paths.LABELS)),
        *(sweep.lists_path(place) for place in sweep.labelled_places),
    ]
    assert all(re.fullmatch(r"results/[\w./=-]+\.(parquet|safetensors|jsonl)", path) for path in made)
    # A table for each place, and each once.
    for pattern in (paths.SPECTRA, paths.TOKENS):
        assert len(set(sweep.over_places(pattern))) == len(sweep.places)
    assert len(set(sweep.over_labels(paths.LABELS))) == len(sweep.labelled_places)


@given(sweeps())
def test_a_shared_file_is_asked_for_once(sweep: Sweep) -> None:
    for pattern in SHARED[1:]:
        asked = sweep.over_shared_labels(pattern)
        assert len(asked) == len(set(asked))
        assert set(asked) == {sweep.shared_path(pattern, place) for place in sweep.labelled_places}
    weights = paths.WEIGHTS.replace("{group}", "unembed")
    assert sweep.over_places(weights) == [f"results/weights/{model}/unembed.safetensors" for model in sweep.models]


@given(sweeps())
def test_labels_of_some_labellers_are_those_of_all_without_the_others(sweep: Sweep) -> None:
    alone = {name: sweep.over_labels(paths.LABELS, [name]) for name in sweep.labellers}
    assert sorted(path for of_one in alone.values() for path in of_one) == sorted(sweep.over_labels(paths.LABELS))
    assert all(path.endswith(f".{name}.parquet") for name, of_one in alone.items() for path in of_one)
    assert sweep.over_labels(paths.LABELS, sweep.with_controls()) == alone.get("coherence", [])


@given(sweeps(), st.sampled_from(["gpt2-large", "wordnet-4layer"]))
def test_a_further_model_moves_no_file(sweep: Sweep, model: str) -> None:
    """What is finished is never computed again."""
    wider = Sweep(config_with(sweep.config, {"sweep": {"models": [*sweep.models, model]}}))
    for pattern in SHARED:
        before = {place: sweep.shared_path(pattern, place) for place in sweep.labelled_places}
        after = {place: wider.shared_path(pattern, place) for place in wider.labelled_places}
        assert before.items() <= after.items()
        assert {place.model for place in after.keys() - before.keys()} <= {model}


def test_labels_are_of_the_lists_of_the_sweep_or_of_the_labellers_own() -> None:
    sweep = Sweep(config_with())
    by_coherence = LabelledPlace("gpt2-small", "post2022", "mlp_in", "coherence")
    assert sweep.lists_path(by_coherence) == sweep.shared_path(paths.SHARED_TOKENS, by_coherence)
    published = by_coherence._replace(labeller="published")
    assert sweep.lists_path(published) == "results/lists/published_gpt2-small_mlp_in.jsonl"


# --- figures


def test_figures_draw_the_first_labeller_if_not_told_otherwise() -> None:
    assert Sweep(config_with()).figure_labeller == "coherence"
    assert Sweep(config_with({"sweep": {"labellers": ["published"]}})).figure_labeller == "published"
    assert Sweep(config_with({"figures": {"labeller": "published"}})).figure_labeller == "published"


@given(sweeps())
def test_what_is_drawn_once_is_drawn_in_the_setting_of_the_post_where_there_is_one(sweep: Sweep) -> None:
    for model in sweep.models:
        settings = sweep.choice(model, "settings")
        setting = sweep.figure_setting(model)
        assert setting in settings
        assert setting == "post2022" or ("post2022" not in settings and setting == settings[0])


def test_a_prompt_has_the_name_of_its_first_words() -> None:
    assert Sweep(CONFIG | {"prompts": {"fire": "The fire"}}).prompts == {"fire": "The fire"}
    assert Sweep(CONFIG | {"prompt": "The fire, was: burning"}).prompts == {
        "The_fire_was_burning": "The fire, was: burning"
    }
    assert list(Sweep(CONFIG | {"prompt": "word " * 40}).prompts) == [("word_" * 8)[:40]]
    assert list(Sweep(CONFIG | {"prompt": "火"}).prompts) == ["prompt"]


def test_a_query_has_the_name_of_its_first_word_as_far_as_a_path_has_room() -> None:
    assert list(Sweep(CONFIG | {"query": [" fire/火", "ice"]}).queries) == ["fire_火"]
    assert list(Sweep(CONFIG | {"query": ["a" * 300]}).queries) == ["a" * 40]
