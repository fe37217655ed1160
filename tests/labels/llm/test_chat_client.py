"""What one request makes of whatever a server does: a reply, a failure with a reason, or one sentence with the fix."""

import asyncio
import json
import logging
import shutil
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from chat_server import KEY, ChatServer, completion
from small_questions import SAMPLING, asking_process, endpoint_of, questions, secret_in_files, some_lists
from svdlens.errors import SvdlensError
from svdlens.labels.llm.asking import Limits, ask
from svdlens.labels.llm.client import Client, Endpoint, Pace, retry_after
from svdlens.labels.llm.ledger import Ledger, Reply, Request, row_of
from svdlens.labels.llm.wire import MOST_BYTES, RequestFailed, reply_from

REQUEST = questions().label_request(["fire", "flame"])
FORMAT = {"type": "json_schema", "json_schema": {"name": "label", "schema": {"type": "object"}}}


def send(endpoint: Endpoint, *requests: Request) -> list[Reply]:
    """The replies to some requests, one after the other, by one client."""

    async def all_of_them() -> list[Reply]:
        client = Client(endpoint, 1)
        try:
            return [await client.send(request) for request in requests or [REQUEST]]
        finally:
            await client.close()

    return asyncio.run(all_of_them())


def failure(endpoint: Endpoint, *requests: Request) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        send(endpoint, *requests)
    return caught.value


def fatal(endpoint: Endpoint, *requests: Request) -> str:
    """The one sentence, or two, that stops everything."""
    with pytest.raises(SvdlensError) as caught:
        send(endpoint, *requests)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600 and KEY not in text
    return text


def always(fault: str) -> ChatServer:
    return ChatServer(fault=lambda body, attempt: fault, stall=1.0)


# --- what a reply says


def test_a_reply_is_what_the_server_said() -> None:
    body = completion('{"label": "fire"}', {"messages": []}, finish_reason="length")
    body["usage"] = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000}
    with ChatServer(answer=lambda asked: body) as server:
        (reply,) = send(endpoint_of(server, price_in=3.0, price_out=4.0))
        assert server.bodies == [{"model": REQUEST.model, "messages": list(REQUEST.messages), **SAMPLING}]
    assert reply.key == REQUEST.key and json.loads(reply.raw) == body
    assert (reply.content, reply.finish_reason, reply.refusal) == ('{"label": "fire"}', "length", None)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost) == (1_000_000, 500_000, 5.0)


def parsed(body: object, most_cost: float = 9.0) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reply_from(content, REQUEST, KEY, lambda tokens_in, tokens_out: tokens_in + tokens_out / 8, most_cost)


def choice(**message: object) -> dict:
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": None}


@pytest.mark.parametrize(
    ("message", "content", "refusal"),
    [
        ({"content": None}, None, None),
        ({}, None, None),
        ({"content": ""}, "", None),
        ({"content": None, "refusal": "I cannot."}, None, "I cannot."),
        ({"content": "x", "refusal": True}, "x", None),
        ({"content": "<think>hm</think>", "reasoning_content": "hm"}, "<think>hm</think>", None),
        ({"content": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}]}, "a", None),
        ({"content": "half \ud83d of a pair"}, "half ? of a pair", None),
        ({"content": "\u0000"}, "\u0000", None),
    ],
)
def test_a_paid_reply_is_kept_whatever_its_message_says(
    message: dict, content: str | None, refusal: str | None, tmp_path: Path
) -> None:
    reply = parsed(choice(**message))
    assert (reply.content, reply.refusal) == (content, refusal)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.add(REQUEST, reply)
        assert ledger.find([REQUEST.key]) == {REQUEST.key: reply}


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"prompt_tokens": 2, "completion_tokens": 8}, 3.0),
        ({"prompt_tokens": 0, "completion_tokens": 0}, 0.0),
        (None, 9.0),
        ([], 9.0),
        ({"prompt_tokens": 2}, 9.0),
        ({"prompt_tokens": "2", "completion_tokens": 8}, 9.0),
        ({"prompt_tokens": -2, "completion_tokens": 8}, 9.0),
        ({"prompt_tokens": True, "completion_tokens": 8}, 9.0),
        ({"prompt_tokens": 2.5, "completion_tokens": 8}, 9.0),
        ({"prompt_tokens": 10**30, "completion_tokens": 8}, 9.0),
    ],
)
def test_what_it_cost_is_the_most_that_it_can_where_the_server_does_not_say(usage: object, cost: float) -> None:
    assert parsed(choice(content="x") | {"usage": usage}).cost == cost


WHOLE = choice(content="x")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"3", b'"text"', b"{", b"{}", b"\xff\xfe\x00", b"data: {}\n\n", b"[" * 200_000),
        b'{"choices": 1' + b"0" * 5000 + b"}",
        *({"choices": value} for value in (None, [], {}, "x", [None], ["x"], [[]], [{}], [{"message": "x"}])),
        *(choice(content=value) for value in (3, True, {"text": "x"}, ["x"], [None])),
        {"error": {"message": "overloaded", "code": 529}},
        {"error": "overloaded", "choices": []},
        {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "x"}}]},
        b'{"choices": [{"message": ' + b'{"a": ' * 900 + b"1" + b"}" * 900 + b"}]}",
        *(json.dumps(WHOLE).encode()[:n] for n in (1, 20, 40, len(json.dumps(WHOLE)) - 1)),
    ],
)
def test_what_is_no_reply_is_a_failure_that_can_be_tried_again(body: object) -> None:
    with pytest.raises(RequestFailed) as caught:
        parsed(body)
    assert caught.value.retryable and not caught.value.is_page and len(caught.value.reason) < 300


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The paths to everything in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))


def replaced(value: object, path: tuple, by: object) -> object:
    if not path:
        return by
    copy = value.copy()  # type: ignore[attr-defined]
    copy[path[0]] = replaced(copy[path[0]], path[1:], by)
    return copy


COMPLETION = completion('{"label": "fire"}', {"messages": []})
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.just(KEY)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(KEY), inner), max_leaves=6
)


@given(st.lists(st.tuples(st.sampled_from([*places(COMPLETION)]), JSON), min_size=1, max_size=3))
def test_whatever_stands_anywhere_it_is_a_reply_that_can_be_kept_or_a_failure(
    changes: list[tuple[tuple, object]],
) -> None:
    body: object = COMPLETION
    for path, value in changes:
        with suppress(KeyError, IndexError, TypeError, AttributeError):  # a place that an earlier change took away
            body = replaced(body, path, value)
    try:
        reply = parsed(body)
    except RequestFailed as failure:
        assert failure.retryable and "\n" not in failure.reason and KEY not in failure.reason
        return
    row = row_of(REQUEST, reply, 0.0)
    assert sqlite3.connect(":memory:").execute(f"SELECT {', '.join('?' * len(row))}", row).fetchone() == row
    assert KEY not in repr(reply)


@pytest.mark.parametrize("page", [b"<html>", b"\n <!DOCTYPE html>", b"\xef\xbb\xbf<?xml?>"])
def test_a_page_is_a_page(page: bytes) -> None:
    with pytest.raises(RequestFailed) as caught:
        parsed(page)
    assert caught.value.is_page


# --- what can be tried again


def test_a_pause_that_the_server_wants_is_kept() -> None:
    for retry, least in ((0.4, 0.4), (2.0, 1.0)):  # a date is of whole seconds
        kind = "429 seconds" if retry < 1 else "429 date"
        with ChatServer(fault=lambda body, n, kind=kind: None if n else kind, retry_after=retry) as server:
            send(endpoint_of(server))
            assert least <= server.times[1] - server.times[0] < 8


def test_the_header_that_says_when_to_come_back() -> None:
    assert [retry_after(value) for value in ("7", "0", "1.5", "-3", None, "", "soon", "nan")] == [
        *(7.0, 0.0, 1.5, 0.0),
        *(None, None, None, None),
    ]
    assert retry_after(formatdate(time.time() + 30, usegmt=True)) == pytest.approx(30, abs=1.5)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("inf") == float("inf")


def test_a_pause_of_an_hour_is_not_waited_for() -> None:
    with ChatServer(fault=lambda body, n: "429 seconds", retry_after=3600) as server:
        found = failure(endpoint_of(server))
        assert found.reason == "status 429, and the server wants a pause of 3600 s" and server.requests == 1


def test_waits_double_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[list[float]] = []

    async def rest(self: Client, seconds: float) -> None:
        if seconds > 0:
            waits[-1].append(seconds)

    monkeypatch.setattr(Client, "rest", rest)
    for fault in ("500", "503 seconds", "429 seconds"):
        with always(fault) as server:
            server.retry_after = 0
            waits.append([])
            failure(endpoint_of(server, retries=8, first_wait=1.0))
    for one in waits:
        assert all(least / 2 <= wait <= least for wait, least in zip(one, (1, 2, 4, 8, 16, 30, 30, 30), strict=True))
    assert len({tuple(one) for one in waits}) == 3


def test_no_more_attempts_than_were_asked_for() -> None:
    with always("502") as server:
        found = failure(endpoint_of(server, retries=3))
        assert server.requests == 4 and found.retryable and found.reason == "status 502 (fault 502)"


def test_a_page_after_the_first_reply_is_a_fault_of_the_moment() -> None:
    with ChatServer() as server:
        server.fault = lambda body, n: "html" if server.answered == 1 and n == 1 else None
        assert len(send(endpoint_of(server), REQUEST, REQUEST)) == 2
        assert server.requests == 3


@pytest.mark.parametrize("status", ["400", "413", "422", "403"])
def test_what_is_wrong_with_one_request_fails_it_alone(status: str) -> None:
    with ChatServer() as server:
        server.fault = lambda body, n: status if server.answered else None
        found = failure(endpoint_of(server), REQUEST, REQUEST)
        assert found.reason == f"status {status} (fault {status})" and not found.retryable and server.requests == 2


@pytest.mark.parametrize("fault", ["large", "endless"])
def test_a_reply_without_an_end_is_not_read_to_it(fault: str) -> None:
    if fault == "large":
        with always("large") as server:
            found = failure(endpoint_of(server))
            assert f"longer than {MOST_BYTES:,} bytes" in found.reason and server.requests == 1
    else:  # a byte now and then, for ever
        with dripping() as url:
            start = time.monotonic()
            with pytest.raises(SvdlensError, match=r"no answer within 0\.5 s"):
                send(Endpoint(url, KEY, timeout=0.5, retries=0))
            assert time.monotonic() - start < 5


@contextmanager
def dripping() -> Iterator[str]:
    import socket

    ended = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listening.accept()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n{")
        while not ended.wait(0.05):
            try:
                connection.sendall(b" ")
            except OSError:
                return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        ended.set()
        listening.close()


def test_the_pace_is_even() -> None:
    pace = Pace(per_minute=600)
    delays = [pace.delay() for _ in range(5)]
    assert delays == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4], abs=0.05)
    pace.pause(5)
    assert pace.delay() == pytest.approx(5, abs=0.1)
    assert Pace(None).delay() == 0


ERROR_BODIES = [
    *(b"", b"null", b"[]", b"5", b'"text"', b"{", b"<html>Bad Gateway</html>", b"\xff\xfe", b"[" * 100_000),
    *(b'{"error": null}', b'{"error": "text"}', b'{"error": []}', b'{"detail": [{"loc": ["body"]}]}'),
    *(
        b'{"error": {"message": 5, "code": {"a": []}, "param": [1], "type": 3}}',
        b'{"error": {"message": "a\\nb\\ud83d"}}',
    ),
    b'{"error": {"message": "' + b"long " * 5000 + b'"}}',
]


@pytest.mark.parametrize("body", ERROR_BODIES, ids=range(len(ERROR_BODIES)))
def test_whatever_an_error_says_it_is_a_failure(body: bytes, httpserver: HTTPServer) -> None:
    for status in (400, 500):
        httpserver.clear()
        httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_data(body, status=status)
        found = failure(Endpoint(httpserver.url_for("/v1"), KEY, retries=0))
        assert found.reason.startswith(f"status {status} (") and found.reason.isprintable() and len(found.reason) < 250
        assert found.retryable == (status == 500)


# --- parameters that a server does not take


def asked_with(**sampling: object) -> Request:
    return Request(REQUEST.messages, REQUEST.model, SAMPLING | sampling)


@pytest.mark.parametrize("named", [True, False])
def test_a_server_without_json_schema_is_asked_without(named: bool, caplog: pytest.LogCaptureFixture) -> None:
    request = asked_with(response_format=FORMAT)
    other = Request(({"role": "user", "content": "other"},), request.model, request.sampling)
    with ChatServer(unsupported=("response_format",) if named else ()) as server:
        if not named:
            server.fault = lambda body, n: "400" if "response_format" in body else None
        replies = send(endpoint_of(server), request, other)
        assert ["response_format" in body for body in server.bodies] == [True, False, False]
        assert server.bodies[2] == {key: value for key, value in server.bodies[2].items() if key != "response_format"}
    assert [reply.key for reply in replies] == [request.key, other.key]
    assert caplog.text.count("does not take response_format: going on without") == 1


def test_a_request_that_is_refused_for_itself_does_not_cost_the_others_their_schema() -> None:
    request = asked_with(response_format=FORMAT)
    other = Request(({"role": "user", "content": "good"},), request.model, request.sampling)
    with ChatServer(fault=lambda body, n: None if "good" in str(body["messages"]) else "400") as server:

        async def both() -> None:
            client = Client(endpoint_of(server), 1)
            with pytest.raises(RequestFailed):
                await client.send(request)
            await client.send(other)
            await client.close()

        asyncio.run(both())
        assert ["response_format" in body for body in server.bodies] == [True, False, True]


def test_newer_models_of_openai_are_asked_as_they_want() -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    with ChatServer(unsupported=("max_tokens",), unsupported_says=message) as server:
        send(endpoint_of(server), asked_with())
        assert server.bodies[-1]["max_completion_tokens"] == SAMPLING["max_tokens"]
        assert "max_tokens" not in server.bodies[-1] and server.requests == 2
    with ChatServer(unsupported=("seed",)) as server:
        send(endpoint_of(server), asked_with())
        assert "seed" not in server.bodies[-1] and server.bodies[-1]["max_tokens"] == SAMPLING["max_tokens"]


# --- what stops everything


def test_a_wrong_key_a_missing_one_and_one_that_was_locked_out() -> None:
    with ChatServer() as server:
        text = fatal(Endpoint(server.url, "sk-wrong-0000000000000000"))
        assert "refuses the key" in text and "sk-wrong" not in text and "labellers.llm.key_variable" in text
        assert "set the environment variable" in fatal(Endpoint(server.url, ""))
        assert server.requests == 2
    with always("403") as server:
        assert "denies access" in fatal(endpoint_of(server)) and server.requests == 1
    with always("402") as server:
        assert "wants to be paid" in fatal(endpoint_of(server)) and server.requests == 1


def test_a_wrong_model_and_a_wrong_path() -> None:
    with ChatServer() as server:
        other = Request(REQUEST.messages, "gpt-17", REQUEST.sampling)
        text = fatal(endpoint_of(server), other)
        assert "'gpt-17'" in text and "Correct labellers.llm.model." in text and server.requests == 1
        text = fatal(Endpoint(server.url.removesuffix("/v1"), KEY))
        assert "Correct labellers.llm.base_url" in text and "/v1" in text


def test_a_page_and_a_redirect_say_that_the_url_is_wrong() -> None:
    with always("html") as server:
        assert "a web page in place of JSON. Correct labellers.llm.base_url" in fatal(endpoint_of(server))
        assert server.requests == 1
    for status in ("301", "307", "308"):
        with ChatServer() as other, always(f"{status} {other.url}/chat/completions") as server:
            assert f"redirects to {other.url}" in fatal(endpoint_of(server))
            # The key goes nowhere else.
            assert server.requests == 1 and other.requests == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1"])
def test_nobody_there(url: str) -> None:
    text = fatal(Endpoint(url, KEY, retries=1, first_wait=0.01))
    assert (
        text.startswith(f"cannot connect to {url} (") and "Start the server, or correct labellers.llm.base_url" in text
    )


def test_a_server_that_never_answers() -> None:
    with always("stall") as server:
        text = fatal(endpoint_of(server, timeout=0.2, retries=1))
        assert "no answer within 0.2 s" in text and "labellers.llm.timeout" in text and server.requests == 2


def test_no_tls_and_a_certificate_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer() as server:
        text = fatal(Endpoint(server.url.replace("http:", "https:"), KEY))
        assert "no secure connection" in text and "write http:// in labellers.llm.base_url" in text
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here, which makes certificates")
    certificate, private = tmp_path / "certificate.pem", tmp_path / "private.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(private), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with ChatServer() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, private)
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
        text = fatal(Endpoint(server.url.replace("http:", "https:"), KEY))
        assert "no secure connection" in text and "SSL_CERT_FILE" in text and server.requests == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert send(Endpoint(server.url.replace("http:", "https:"), KEY))[0].content


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8000/v1", "no http or https URL"),
        ("ftp://localhost/v1", "no http or https URL"),
        ("http:///v1", "no http or https URL"),
        ("", "no http or https URL"),
        ("http://localhost:port/v1", "is no URL"),
        ("http://[::1/v1", "is no URL"),
        (f"http://user:{KEY}@localhost/v1", "a user name, a password or a query"),
        (f"http://localhost/v1?key={KEY}", "a user name, a password or a query"),
        ("http://localhost/v1/chat/completions", "leave /chat/completions out"),
    ],
)
def test_what_is_no_url(url: str, says: str) -> None:
    with pytest.raises(SvdlensError) as caught:
        Endpoint(url, "")
    assert says in str(caught.value) and "labellers.llm.base_url" in str(caught.value) and KEY not in str(caught.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}é", f"{KEY}\x00", "two words"])
def test_what_is_no_key_is_not_shown(key: str) -> None:
    with pytest.raises(SvdlensError) as caught:
        Endpoint("http://localhost/v1", key)
    assert key.strip() not in str(caught.value) and KEY not in str(caught.value)
    assert "labellers.llm.key_variable" in str(caught.value)


# --- the secret


def test_the_key_is_nowhere_also_if_the_server_sends_it_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in KEY)

    def answer(body: dict) -> bytes:
        whole = json.dumps(completion(f'{{"label": "{KEY}"}}', body, finish_reason=KEY) | {KEY: [{"x": KEY}]})
        return f'{{"id": "{KEY}", "{escaped}": "{escaped}", {whole[1:]}'.encode()

    def fault(body: dict, attempt: int) -> str | None:
        return f"500 {KEY}" if attempt == 0 else None

    export = tmp_path / "export.jsonl"
    with caplog.at_level(logging.DEBUG), ChatServer(answer=answer, fault=fault) as server:
        server.error_says = f"you sent {KEY}"
        endpoint = endpoint_of(server)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            asked = ask(some_lists(3), questions(), endpoint, ledger, Limits())
            ledger.export(export)
        assert asked.complete == 3 and server.headers[0]["authorization"] == f"Bearer {KEY}"
        server.fault = lambda body, n: "400"
        with Ledger(tmp_path / "other.sqlite") as ledger, pytest.raises(SvdlensError) as caught:
            ask(some_lists(30), questions(), endpoint, ledger, Limits())
        server.fault = lambda body, n: "401"
        with pytest.raises(SvdlensError) as refused:
            send(endpoint)
    assert export.read_text().count("[key]") > 3
    assert "you sent [key]" in str(caught.value)
    texts = [repr(endpoint), str(endpoint), repr(asked), str(caught.value), repr(refused.value), caplog.text]
    assert [text for text in texts if KEY in text or escaped in text] == []
    assert secret_in_files(KEY, tmp_path) == [] == secret_in_files(escaped, tmp_path)


def test_a_key_that_is_a_word_takes_nothing_out() -> None:
    with ChatServer(key="none", answer=lambda body: '{"label": "none"}') as server:
        assert send(endpoint_of(server))[0].content == '{"label": "none"}'


def test_without_a_key_no_environment_lends_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    with ChatServer(key="") as server:
        send(Endpoint(server.url, ""))
        assert KEY not in str(server.headers)


def test_the_log_of_a_process_has_no_key(tmp_path: Path) -> None:
    with ChatServer(rate=0.5, stall=0.1) as server:
        child = asking_process(server, tmp_path / "ledger.sqlite", n=10, in_flight=4)
        output, log = child.communicate(timeout=60)
    assert "complete=10" in output and "retry 1 of" in log
    assert KEY not in output + log and "Bearer" not in log
    assert secret_in_files(KEY, tmp_path) == []
