"""Hashes of code: an edit changes those of the scripts whose results it may change, and no others.

On a small library that is made up, and on a copy of the real one.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from svdlens.sweep.code_hash import UNHASHED, CodeHashes

SCRIPTS = Path(__file__).parents[2] / "scripts"

LIBRARY = {
    "svdlens/__init__.py": "VERSION = 1\n",
    "svdlens/errors.py": "class SvdlensError(Exception):\n    pass\n",
    "svdlens/runtime/__init__.py": "",
    "svdlens/runtime/progress.py": "def progress(items, text):\n    return items\n",
    "svdlens/runtime/script.py": "def run(main, job):\n    main(job)\n",
    "svdlens/numbers/__init__.py": "",
    "svdlens/numbers/one.py": "ONE = 1\n",
    "svdlens/numbers/two.py": "from svdlens.numbers.one import ONE\nTWO = ONE + ONE\n",
    "svdlens/numbers/late.py": "def late():\n    from svdlens.numbers.two import TWO\n    return TWO\n",
    "svdlens/numbers/alone.py": "ALONE = 0\n",
    "svdlens/pictures/__init__.py": "",
    "svdlens/pictures/red.py": "import math\nRED = math.pi\n",
    "add.py": "from svdlens.numbers.two import TWO\nfrom svdlens.runtime.script import run\n",
    "wait.py": "from svdlens.numbers.late import late\n",
    "draw.py": "from svdlens.pictures import red\n",
    "name.py": "import svdlens.numbers.one\nfrom svdlens import VERSION\n",
    "nothing.py": "import math\n",
}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    for name, text in LIBRARY.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def hashes(scripts: Path) -> dict[str, str]:
    """Of every script, read anew."""
    code_hash = CodeHashes(scripts)
    return {path.stem: code_hash(path.stem) for path in sorted(scripts.glob("*.py"))}


def changed(scripts: Path, edit: Callable[[], object]) -> set[str]:
    """The scripts whose hashes an edit changes."""
    before = hashes(scripts)
    edit()
    after = hashes(scripts)
    return {script for script in before if before[script] != after[script]}


def rewrite(scripts: Path, name: str, before: str, after: str) -> Callable[[], object]:
    path = scripts / name
    text = path.read_text(encoding="utf-8")
    assert before in text
    return lambda: path.write_text(text.replace(before, after), encoding="utf-8")


# --- what is hashed


@pytest.mark.parametrize(
    ("name", "scripts_that_import_it"),
    [
        ("numbers/one", {"add", "wait", "name"}),
        ("numbers/two", {"add", "wait"}),  # for wait, inside of a function
        ("numbers/late", {"wait"}),
        ("numbers/alone", set()),
        ("pictures/red", {"draw"}),  # by the name of its package
        ("pictures/__init__", {"draw"}),
        ("__init__", {"name"}),  # where something is taken from the package itself
    ],
)
def test_an_edit_changes_the_scripts_that_import_the_module(
    name: str, scripts_that_import_it: set[str], scripts: Path
) -> None:
    path = scripts / f"svdlens/{name}.py"
    assert changed(scripts, lambda: path.write_text(path.read_text() + "MORE = 2\n")) == scripts_that_import_it


@pytest.mark.parametrize("name", ["errors", "runtime/progress", "runtime/script", "runtime/__init__"])
def test_modules_that_only_report_and_start_jobs_change_nothing(name: str, scripts: Path) -> None:
    path = scripts / f"svdlens/{name}.py"
    assert any(f"svdlens.{name}".replace("/", ".").startswith(one) for one in UNHASHED)
    assert changed(scripts, lambda: path.write_text("anything = 5\n")) == set()


def test_what_a_module_only_reached_through_them_imports_changes_nothing(scripts: Path) -> None:
    (scripts / "svdlens/runtime/script.py").write_text("from svdlens.numbers.alone import ALONE\n")
    path = scripts / "svdlens/numbers/alone.py"
    assert changed(scripts, lambda: path.write_text("ALONE = 1\n")) == set()


def test_modules_that_are_imported_by_name_are_given(scripts: Path) -> None:
    """As a labeller of the registry is, at run time."""

    def of_nothing(*modules: str) -> str:
        return CodeHashes(scripts)("nothing", *modules)

    alone, two = of_nothing("svdlens.numbers.alone"), of_nothing("svdlens.numbers.two")
    assert len({alone, two, of_nothing()}) == 3
    (scripts / "svdlens/numbers/one.py").write_text("ONE = 2\n")
    assert of_nothing("svdlens.numbers.alone") == alone
    assert of_nothing("svdlens.numbers.two") != two


def test_the_script_itself_is_snakemakes_to_watch(scripts: Path) -> None:
    path = scripts / "add.py"
    assert changed(scripts, lambda: path.write_text(path.read_text() + "print(TWO)\n")) == set()


def test_a_new_import_and_a_lost_one_change_a_hash(scripts: Path) -> None:
    path = scripts / "nothing.py"
    assert changed(scripts, lambda: path.write_text("from svdlens.numbers import alone\n")) == {"nothing"}
    assert changed(scripts, lambda: path.write_text("import math\n")) == {"nothing"}


def test_modules_that_import_each_other_are_hashed(scripts: Path) -> None:
    (scripts / "svdlens/numbers/one.py").write_text("import svdlens.numbers.two\nONE = 1\n")
    path = scripts / "svdlens/numbers/two.py"
    assert changed(scripts, lambda: path.write_text("TWO = 2\n")) == {"add", "wait", "name"}


def test_where_the_library_lies_is_nothing_to_a_hash(scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "scripts"
    shutil.copytree(scripts, elsewhere)
    assert hashes(elsewhere) == hashes(scripts)


# --- what changes no result

CODE = '''"""What this module is for."""

import logging

logger = logging.getLogger(__name__)

# How many there are.
COUNT = 3
TABLE = """
first  second
# third
"""


class Shelf:
    """A shelf."""

    def take(self, n, name="first"):
        """Take some.

        Raises ValueError for too many.
        """
        # Never more than there are.
        if n > COUNT:
            raise ValueError(f"{n} are too many; there are {COUNT}")
        try:
            logger.info("taking %d", n)
        except OSError as error:
            raise ValueError("gone") from error
        for item in progress(range(n), "taking"):
            logger.debug("é %s", item)
        with open(name) as file:
            match file.read():
                case "":
                    raise ValueError("empty")
                case text:
                    logging.info(text)
        return n


def progress(items, text):
    return items
'''
WITHOUT_DATA = CODE.replace('TABLE = """\nfirst  second\n# third\n"""\n', 'TABLE = "first second"\n')

SILENT = {
    "docstring of a module": ("What this module is for.", "What this module was for,\n\nand is."),
    "docstring of a class": ('"""A shelf."""', '"""A shelf with "things" on it."""'),
    "docstring of a function": ("Raises ValueError for too many.", "Raises ValueError for é and 火."),
    "exception": ("are too many; there are", "is more than"),
    "exception after another": ('ValueError("gone")', 'ValueError("gone away")'),
    "exception in a case": ('ValueError("empty")', 'ValueError("nothing in it")'),
    "log line": ("taking %d", "about to take %d things"),
    "log line in a loop": ("é %s", "item %s"),
    "log line of logging": ("logging.info(text)", "logging.warning(text)"),
    "text of a progress bar": ('progress(range(n), "taking")', 'progress(range(n), f"taking {n}")'),
}
LOUD = {
    "number": ("COUNT = 3", "COUNT = 4"),
    "default": ('name="first"', 'name="second"'),
    "text": ('"first second"', '"first  second"'),
    "condition of an exception": ("if n > COUNT", "if n >= COUNT"),
    "name in a loop": ("in progress(range(n)", "in progress(range(n + 1)"),
    "pattern": ('case "":', 'case "a":'),
    "what is returned": ("return n\n", "return COUNT\n"),
}


@pytest.mark.parametrize("text", [CODE, WITHOUT_DATA], ids=["with data in triple quotes", "without"])
@pytest.mark.parametrize("case", SILENT)
def test_what_only_tells_something_changes_nothing(case: str, text: str, scripts: Path) -> None:
    (scripts / "svdlens/numbers/one.py").write_text(text, encoding="utf-8")
    assert changed(scripts, rewrite(scripts, "svdlens/numbers/one.py", *SILENT[case])) == set()


@pytest.mark.parametrize("case", LOUD)
def test_what_computes_something_changes_the_hash(case: str, scripts: Path) -> None:
    (scripts / "svdlens/numbers/one.py").write_text(WITHOUT_DATA, encoding="utf-8")
    assert changed(scripts, rewrite(scripts, "svdlens/numbers/one.py", *LOUD[case])) == {"add", "wait", "name"}


@pytest.mark.parametrize(
    ("before", "after"), [("first  second", "first second"), ("# third", "# 3rd"), ("second\n#", "second\n\n#")]
)
def test_data_in_triple_quotes_is_code(before: str, after: str, scripts: Path) -> None:
    """Also a line of it that looks like a comment, and one that is empty."""
    (scripts / "svdlens/numbers/one.py").write_text(CODE, encoding="utf-8")
    assert changed(scripts, rewrite(scripts, "svdlens/numbers/one.py", before, after)) == {"add", "wait", "name"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# How many there are.\n", "# As many as there are,\n# and no more.\n"),
        ("# How many there are.\n", ""),
        ("        # Never more than there are.\n", ""),
        ("COUNT = 3\n", "\n\nCOUNT = 3\n\n    \n"),
    ],
)
def test_comments_and_empty_lines_change_nothing(before: str, after: str, scripts: Path) -> None:
    (scripts / "svdlens/numbers/one.py").write_text(WITHOUT_DATA, encoding="utf-8")
    assert changed(scripts, rewrite(scripts, "svdlens/numbers/one.py", before, after)) == set()


def test_a_text_that_stands_alone_but_is_named_is_no_docstring(scripts: Path) -> None:
    (scripts / "svdlens/numbers/one.py").write_text('ONE = (\n    "a"\n    "b"\n)\n')
    assert changed(scripts, rewrite(scripts, "svdlens/numbers/one.py", '"b"', '"c"')) == {"add", "wait", "name"}


# --- what cannot be read


def test_a_module_that_is_no_python_is_named(scripts: Path) -> None:
    (scripts / "svdlens/numbers/one.py").write_text("ONE = (\n")
    with pytest.raises(SyntaxError) as error:
        hashes(scripts)
    assert error.value.filename == str(scripts / "svdlens/numbers/one.py")


def test_an_import_by_dots_is_refused(scripts: Path) -> None:
    """It would be followed nowhere, and results would be out of date without a word."""
    (scripts / "svdlens/numbers/late.py").write_text("def late():\n    from .two import TWO\n    return TWO\n")
    with pytest.raises(SyntaxError, match=r"late\.py, line 2: relative import.* Write `from svdlens"):
        hashes(scripts)


# --- the real library


@pytest.fixture
def library(tmp_path: Path) -> Path:
    copied = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, copied, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


@pytest.mark.parametrize(
    ("module", "some_that_change", "some_that_do_not"),
    [
        ("readout/top_tokens", {"project_directions"}, {"decompose_matrices", "view_tokens", "label_directions"}),
        ("readout/projection", {"project_directions"}, {"decompose_matrices", "score_labels", "collect_tokens"}),
        ("evaluation/fractions", {"collect_fractions"}, {"collect_tokens", "label_directions", "decompose_matrices"}),
        ("svd/matrix_svd", {"decompose_matrices", "measure_stability"}, {"project_directions", "collect_fractions"}),
        ("svd/stability", {"measure_stability"}, {"decompose_matrices"}),
        (
            "artefacts/table_schemas",
            {"project_directions", "collect_labels"},
            {"decompose_matrices", "extract_weights"},
        ),
        ("vocabulary/wordnet", {"classify_tokens"}, {"decode_tokens", "project_directions"}),
    ],
)
def test_an_edit_of_the_library_changes_what_rests_on_it(
    module: str, some_that_change: set[str], some_that_do_not: set[str], library: Path
) -> None:
    path = library / f"svdlens/{module}.py"
    edited = changed(library, lambda: path.write_text(path.read_text("utf-8") + "\nMORE = 1\n", encoding="utf-8"))
    assert some_that_change <= edited and not some_that_do_not & edited


@pytest.mark.parametrize("module", ["errors", "runtime/progress", "artefacts/atomic_files", "runtime/script"])
def test_an_edit_of_what_only_reports_changes_no_result(module: str, library: Path) -> None:
    path = library / f"svdlens/{module}.py"
    assert changed(library, lambda: path.write_text(path.read_text("utf-8") + "\nMORE = 1\n", "utf-8")) == set()


def test_a_labeller_of_the_registry_is_part_of_the_hash_of_its_rule_alone(library: Path) -> None:
    def both() -> list[str]:
        code_hash = CodeHashes(library)
        names = ("svdlens.labels.coherence.labeller", "svdlens.labels.published.answers")
        return [code_hash("label_directions", name) for name in names]

    before, path = both(), library / "svdlens/labels/coherence/nulls.py"
    path.write_text(path.read_text("utf-8") + "\nMORE = 1\n", encoding="utf-8")
    assert [one == other for one, other in zip(before, both(), strict=True)] == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["decompose_matrices", "project_directions", "collect_fractions", "score_labels"])
def test_everything_that_a_script_loads_is_in_its_hash(script: str, library: Path) -> None:
    """Python itself is the oracle: an edit of any module that is loaded changes the hash, but for those left out."""
    code = f"import sys, {script}; print(*sorted(name for name in sys.modules if name.startswith('svdlens')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=library, check=True)
    loaded = done.stdout.split()
    assert len(loaded) > 8
    for name in loaded:
        path = library.joinpath(*name.split(".")).with_suffix(".py")
        if not path.exists():  # a folder, of which only the modules do anything
            continue
        text = path.read_text("utf-8")
        before = CodeHashes(library)(script)
        path.write_text(f"{text}\nMORE = 1\n", encoding="utf-8")
        left_out = any(name == one or name.startswith(f"{one}.") for one in UNHASHED)
        assert (CodeHashes(library)(script) == before) == left_out, name
        path.write_text(text, encoding="utf-8")
