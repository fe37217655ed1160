"""The ledger keeps what was paid for: nothing is changed, lost or asked twice, and what is wrong with it is said."""

import json
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svdlens.errors import SvdlensError
from svdlens.labels.llm import ledger as ledger_module
from svdlens.labels.llm.ledger import Imported, Ledger, Reply, Request

SCRIPTS = Path(__file__).parents[3] / "scripts"


def request(text: str, model: str = "m", **sampling: object) -> Request:
    return Request(({"role": "user", "content": text},), model, {"temperature": 0.0} | sampling)


def reply(to: Request, content: str | None = "yes", **parts: object) -> Reply:
    whole = {"finish_reason": "stop", "refusal": None, "prompt_tokens": 3, "completion_tokens": 1, "cost": 0.25}
    return Reply(key=to.key, content=content, raw='{"choices": []}', **(whole | parts))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a directory" / "ledger #1?.sqlite"


def filled(path: Path, n: int = 50) -> dict[str, Reply]:
    """A ledger of n replies, which it returns by key."""
    pairs = [(one := request(f"question {i}"), reply(one, f"answer {i} " + "x" * 500)) for i in range(n)]
    with Ledger(path) as ledger:
        ledger.add_all(pairs)
    return {one.key: answer for one, answer in pairs}


def test_what_is_added_is_found_again_also_by_another_process(path: Path) -> None:
    texts = ["plain", "two\nlines", "\x00 and \x1b", "ÄЖ東🙂", "'; DROP TABLE replies; --", "", None]
    requests = [request(f"{i}") for i in range(len(texts))]
    with Ledger(path) as ledger:
        for one, text in zip(requests, texts, strict=True):
            ledger.add(one, reply(one, text, refusal=text, prompt_tokens=None))
    code = (
        "import sys; from pathlib import Path; from svdlens.labels.llm.ledger import Ledger\n"
        "found = Ledger(Path(sys.argv[1]), read_only=True).find(sys.argv[2:])\n"
        "print([found[key].content for key in sys.argv[2:]])"
    )
    command = [sys.executable, "-c", code, str(path), *(one.key for one in requests)]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(texts)
    with Ledger(path) as ledger:
        assert ledger.find(one.key for one in requests)[requests[0].key] == reply(
            requests[0], "plain", refusal="plain", prompt_tokens=None
        )
        assert ledger.find(["nothing"]) == {} == ledger.find([])


@given(st.text(st.characters(codec=None)), st.text(), st.text())  # halves of surrogate pairs, too
def test_the_key_is_of_text_model_and_sampling_and_of_nothing_else(text: str, other: str, model: str) -> None:
    base = request(text, model, seed=1, max_tokens=5)
    assert base.key == request(text, model, max_tokens=5, seed=1).key
    assert base.key == Request(({"content": text, "role": "user"},), model, dict(base.sampling)).key
    others = [
        request(text + "x", model, seed=1, max_tokens=5),
        request(text, model + "x", seed=1, max_tokens=5),
        request(text, model, seed=2, max_tokens=5),
        request(text, model, seed=1),
        Request((*base.messages, {"role": "user", "content": other}), model, base.sampling),
        Request(({"role": "system", "content": text},), model, base.sampling),
    ]
    assert len({one.key for one in [base, *others]}) == 1 + len(others)


def test_nothing_is_ever_changed(path: Path) -> None:
    first = filled(path, 3)
    (key, kept), *_ = first.items()
    one = request("question 0")
    with Ledger(path) as ledger:
        assert one.key == key
        ledger.add(one, reply(one, "another answer"))
        assert ledger.find([key]) == {key: kept}
        for sql in ("UPDATE replies SET cost = 0", "DELETE FROM replies"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                ledger.connection.execute(sql)
        with pytest.raises(ValueError, match="with the request that it answers"):
            ledger.add(request("question 1"), reply(one))
        assert ledger.find(first) == first


def test_several_are_added_all_or_none(path: Path) -> None:
    good, bad = request("good"), request("bad")
    with Ledger(path) as ledger:
        with pytest.raises(UnicodeEncodeError):
            ledger.add_all([(good, reply(good)), (bad, reply(bad, "\ud83d"))])
        assert ledger.find([good.key, bad.key]) == {}
        ledger.add(good, reply(good))
        assert set(ledger.find([good.key, bad.key])) == {good.key}


def test_what_was_spent_since_a_time(path: Path) -> None:
    filled(path, 4)
    between = time.time()
    one = request("later")
    with Ledger(path) as ledger:
        assert ledger.spent(0.0) == (4, 1.0)
        ledger.add(one, reply(one, cost=0.5))
        assert ledger.spent(between) == (1, 0.5)
        assert ledger.spent(time.time() + 1) == (0, 0.0)


def test_many_look_ups_at_once(path: Path) -> None:
    kept = filled(path, 1200)
    with Ledger(path) as ledger:
        assert ledger.find([*kept, *kept, "nothing"]) == kept


# --- what can be wrong with the file


def opened(path: Path) -> str:
    """What opening and reading the ledger says; the file has to stay as it is."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(SvdlensError) as caught, Ledger(path) as ledger:
        ledger.find([request(f"question {i}").key for i in range(50)])
    assert (path.read_bytes() if path.is_file() else None) == before
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("where", [0, 40, 100, 4096, 9000, 12288, -3000, -1])
def test_a_damaged_file_is_refused_kept_and_repaired_from_what_it_says(path: Path, where: int) -> None:
    kept = filled(path)
    content = bytearray(path.read_bytes())
    start = where % len(content)
    for i in range(start, min(start + 64, len(content))):
        content[i] ^= 0xFF
    path.write_bytes(content)
    try:
        with Ledger(path) as ledger:
            assert ledger.find(kept) == kept, "a damage that nobody sees"
    except SvdlensError:
        text = opened(path)
        assert path.read_bytes() == bytes(content)
        assert "make ledger-import" in text or "Correct labellers.llm.ledger" in text or "knows schema" in text


def test_a_damaged_page_is_found_before_anything_is_asked(path: Path) -> None:
    filled(path)
    sound = path.read_bytes()
    size = int.from_bytes(sound[16:18], "big")
    assert len(sound) > 5 * size
    for start in range(size, len(sound), size):
        path.write_bytes(sound[:start] + b"\x07" * 16 + sound[start + 16 :])
        with pytest.raises(SvdlensError, match="is damaged") as caught:
            Ledger(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_file_that_was_cut_short_is_refused(path: Path, share: float) -> None:
    filled(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    text = opened(path)
    assert "is damaged" in text and ".recover" in text and "make ledger-import" in text


def test_a_reply_of_which_a_letter_changed_is_not_believed(path: Path) -> None:
    filled(path)
    content = path.read_bytes()
    assert content.count(b"answer 7 ") == 1
    path.write_bytes(content.replace(b"answer 7 ", b"answer 8 "))
    assert "is not what was written" in opened(path)
    with Ledger(path) as ledger, pytest.raises(SvdlensError, match="is not what was written"):
        ledger.export(path.with_name("export.jsonl"))
    assert not path.with_name("export.jsonl").exists()


def test_a_file_that_is_no_ledger_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("label,verified\n")
    assert "is no SQLite database" in opened(path)
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE replies (key TEXT)")
    connection.close()
    assert "but no ledger of replies" in opened(path)
    path.unlink()
    path.mkdir()
    assert "is a directory" in opened(path)


def test_what_a_killed_process_had_half_written_is_undone_also_for_who_only_reads(path: Path) -> None:
    kept = filled(path)
    code = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # pages go into the file before the end
connection.execute("BEGIN")
rows = [(i, "x" * 5000) for i in range(50)]
connection.executemany("INSERT INTO replies VALUES (?, '', '', '', '', 0, 0, 0, ?, '', 0)", rows)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    with Ledger(path, read_only=True) as ledger:
        assert ledger.find(kept) == kept and ledger.spent(0.0)[0] == len(kept)


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    """So a run leaves it that was killed at its very beginning."""
    path.parent.mkdir()
    path.touch()
    assert filled(path)


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    filled(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    assert "has schema 2, and this version of svdlens knows schema 1" in opened(path)


def test_another_program_that_holds_it_is_named_after_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    monkeypatch.setattr(ledger_module, "BUSY_SECONDS", 0.1)
    connection = sqlite3.connect(path)
    connection.execute("BEGIN EXCLUSIVE")
    assert "another program has the ledger" in opened(path)
    connection.close()


@contextmanager
def nobody() -> Iterator[Path]:
    """A directory of a user without rights, as whom this runs meanwhile."""
    directory = Path(tempfile.mkdtemp(prefix="svdlens-", dir="/tmp"))
    user = os.getuid()
    try:
        if user == 0:  # whom permissions do not stop
            os.chown(directory, 65534, 65534)
            os.setresuid(65534, 65534, 0)
        yield directory
    finally:
        os.setresuid(user, user, user)
        directory.chmod(stat.S_IRWXU)
        shutil.rmtree(directory)


def test_a_read_only_file_or_directory_is_said_before_anything_is_asked() -> None:
    with nobody() as directory:
        path = directory / "ledger.sqlite"
        kept = filled(path)
        path.chmod(0o444)
        assert f"cannot be written: {path} is read-only" in opened(path)
        path.chmod(0o644)
        directory.chmod(0o555)
        assert f"cannot be written: {directory} is read-only" in opened(path)
        with Ledger(path, read_only=True) as ledger:
            assert ledger.find(kept) == kept
            with pytest.raises(SvdlensError, match="cannot be written"):
                ledger.add(one := request("new"), reply(one))
        directory.chmod(0o755)
        path.chmod(0o000)
        with pytest.raises(SvdlensError, match="cannot be read"):
            Ledger(path, read_only=True)


def test_a_ledger_to_read_has_to_be_there(path: Path) -> None:
    with pytest.raises(SvdlensError, match=r"there is no ledger .*import an exported ledger"):
        Ledger(path, read_only=True)
    assert not path.parent.exists()


# --- two at once


def test_two_do_not_ask_at_once_and_one_can_ask_twice(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    order = []

    def second() -> None:
        with Ledger(path) as ledger, ledger.exclusive():
            order.append("second")

    with caplog.at_level(logging.WARNING), Ledger(path) as ledger, ledger.exclusive(), ledger.exclusive():
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting for" not in caplog.text:
            time.sleep(0.01)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert f"waiting for process {os.getpid()} on " in caplog.text and str(path) in caplog.text


def test_many_can_open_a_new_ledger_at_once(path: Path) -> None:
    with_errors = []

    def one(i: int) -> None:
        try:
            with Ledger(path) as ledger:
                ledger.add(own := request(f"{i}"), reply(own))
        except Exception as error:
            with_errors.append(error)

    threads = [threading.Thread(target=one, args=[i]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert with_errors == []
    with Ledger(path) as ledger:
        assert ledger.spent(0.0)[0] == 8


# --- export and import


def test_an_export_replays_elsewhere_and_is_the_same_again(path: Path, tmp_path: Path) -> None:
    kept = filled(path)
    export, again = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    with Ledger(path) as ledger, Ledger(tmp_path / "other.sqlite") as other:
        assert ledger.export(export) == len(kept)
        assert other.import_(export) == Imported(added=50, present=0, conflicting=0)
        assert other.find(kept) == kept
        assert other.import_(export) == Imported(added=0, present=50, conflicting=0)
        other.export(again)
        # What was paid for elsewhere, and before, is none of this run's cost.
        assert other.spent(time.time() - 0.0001) == (0, 0.0)
    assert export.read_bytes() == again.read_bytes()
    keys = [json.loads(line)["key"] for line in export.read_text().splitlines()]
    assert keys == sorted(kept)


def test_a_reply_that_is_there_is_kept(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = filled(path, 3)
    export = tmp_path / "a.jsonl"
    one = request("question 1")
    with Ledger(tmp_path / "other.sqlite") as other:
        other.add(one, replace(kept[one.key], content="another"))
        other.export(export)
    with Ledger(path) as ledger:
        assert ledger.import_(export) == Imported(added=0, present=0, conflicting=1)
        assert ledger.find(kept) == kept
    assert "1 replies differ" in caplog.text


def edited(line: dict, name: str) -> dict:
    changes = {
        "request": {"request": line["request"] | {"model": "dearer"}},
        "part": {"request": line["request"] | {"more": 1}},
        "key": {"key": "0" * 64},
        "content": {"content": "what I would have liked"},
        "cost": {"cost": "nothing"},
        "tokens": {"prompt_tokens": True},
        "half": {"content": "\ud83d"},
        "time": {"asked_at": float("nan")},
        "no reply": {"raw": None},
    }
    return line | changes[name]


@pytest.mark.parametrize("what", ["request", "part", "key", "content", "cost", "tokens", "half", "time", "no reply"])
def test_an_edited_line_is_refused_and_with_it_all(path: Path, tmp_path: Path, what: str) -> None:
    filled(path, 5)
    export = tmp_path / "a.jsonl"
    with Ledger(path) as ledger:
        ledger.export(export)
    lines = export.read_text().splitlines()
    lines[3] = json.dumps(edited(json.loads(lines[3]), what))
    export.write_text("\n".join(lines))
    with Ledger(tmp_path / "other.sqlite") as other:
        with pytest.raises(SvdlensError, match=r"line 4 is no line of an exported ledger.*Nothing was imported"):
            other.import_(export)
        assert other.spent(0.0)[0] == 0


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_a_line_that_is_none_is_refused(path: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with Ledger(path) as ledger, pytest.raises(SvdlensError, match=r"a\.jsonl"):
        ledger.import_(tmp_path / "a.jsonl")


def test_a_file_to_import_has_to_be_there_and_may_begin_with_a_mark(path: Path, tmp_path: Path) -> None:
    kept = filled(path, 2)
    export = tmp_path / "a.jsonl"
    with Ledger(path) as ledger, pytest.raises(SvdlensError, match="ledger-export"):
        ledger.import_(export)
    with Ledger(path) as ledger:
        ledger.export(export)
    export.write_bytes(b"\xef\xbb\xbf" + export.read_bytes().replace(b"\n", b"\r\n") + b"\n\n")
    with Ledger(tmp_path / "other.sqlite") as other:
        assert other.import_(export).added == len(kept)
