"""What the labeller `llm` adds to the time of the server that it asks, and how long its ledger looks things up.

    python benchmarks/llm.py [--requests 10000] [--in-flight 32] [--service 0.25] [--rows 200000]

The server is a process of its own that answers each request after a known time; its own time is the sum of these times,
over the requests in flight. The rest is what is measured: to make requests, to read replies, to commit them to the
ledger. Then a ledger of many replies is asked for all of them by key, and by lists, which is what a run does that finds
everything. Prints a table with limits, and fails where one is exceeded.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.labels.llm.asking import Limits, ask  # noqa: E402
from svdlens.labels.llm.client import Endpoint  # noqa: E402
from svdlens.labels.llm.ledger import Ledger, Reply, Request  # noqa: E402
from svdlens.labels.llm.questions import Questions, find_or_failed  # noqa: E402

OVERHEAD_LIMIT = 5.0  # per cent
LOOK_UP_LIMIT = 5.0  # seconds
TOKENS = 15
OPENING = "Say what most of these tokens have in common. " * 40  # about as long as a prompt with its examples
ANSWER = json.dumps({"label": "a topic"})
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "local",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 500, "completion_tokens": 8, "total_tokens": 508},
}


class Measured(NamedTuple):
    what: str
    value: float
    limit: float
    unit: str


class LongPrompts:
    """Prompts of the usual length; every label is asked about a second time."""

    def label_messages(self, tokens: Sequence[str]) -> list[dict[str, str]]:
        return [{"role": "user", "content": OPENING + json.dumps(list(tokens))}]

    def verify_messages(self, tokens: Sequence[str], label: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": OPENING + json.dumps([label, *tokens])}]


class Label(NamedTuple):
    label: str | None


def questions() -> Questions:
    return Questions(LongPrompts(), lambda reply: Label("a topic"), "local", {"temperature": 0.0, "max_tokens": 50})


def lists_of(n: int) -> list[list[str]]:
    return [[f" token{i + j}" for j in range(TOKENS)] for i in range(0, n * TOKENS, TOKENS)]


def serve(service: float, pipe: Connection) -> None:
    """A server that answers each request after `service` seconds. Sends its port, and at a request for anything else
    than a completion how many seconds it took for all of them."""
    spent = 0.0
    content = json.dumps(REPLY).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal spent
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                start = time.perf_counter()
                lengths = [line.split(b":")[1] for line in request.lower().split(b"\r\n") if b"content-length" in line]
                await reader.readexactly(int(lengths[0]))
                await asyncio.sleep(service)
                writer.write(head % len(content) + content)
                await writer.drain()
                spent += time.perf_counter() - start
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        pipe.send(spent)

    asyncio.run(main())


def measure_overhead(directory: Path, n: int, in_flight: int, service: float) -> Measured:
    """How much longer n requests take than their server needs for them, in per cent."""
    ours, servers = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(service, servers), daemon=True)
    process.start()
    endpoint = Endpoint(f"http://127.0.0.1:{ours.recv()}/v1", "")
    with Ledger(directory / "asked.sqlite") as ledger:
        ask(lists_of(1), questions(), endpoint, ledger, Limits(1))  # imports, and the first connection
        start = time.perf_counter()
        asked = ask(lists_of(1 + n // 2)[1:], questions(), endpoint, ledger, Limits(in_flight))
        seconds = time.perf_counter() - start
    assert asked.asked == n // 2 * 2 and not asked.failed, asked
    ours.send("how long?")
    own = (ours.recv() - 2 * service) / in_flight
    process.join()
    print(
        f"{n} requests, {in_flight} in flight: {seconds:.1f} s, of which the server's own {own:.1f} s", file=sys.stderr
    )
    return Measured(
        f"{n:,} requests of {service:g} s, {in_flight} in flight", 100 * (seconds / own - 1), OVERHEAD_LIMIT, "%"
    )


def measure_look_ups(directory: Path, rows: int) -> list[Measured]:
    """How long a ledger of as many replies takes to find them all, and a run to find all answers in it."""
    asked, lists = questions(), lists_of(rows // 2)
    path = directory / "filled.sqlite"
    with Ledger(path) as ledger:
        for start in range(0, len(lists), 10_000):
            some = lists[start : start + 10_000]
            requests = [asked.label_request(tokens) for tokens in some]
            requests += [asked.verify_request(tokens, "a topic") for tokens in some]
            ledger.add_all([(request, reply_to(request)) for request in requests])
    keys = [asked.label_request(tokens).key for tokens in lists]
    keys += [asked.verify_request(tokens, "a topic").key for tokens in lists]
    with Ledger(path) as ledger:
        start_time = time.perf_counter()
        assert len(ledger.find(keys)) == len(keys)
        look_ups = time.perf_counter() - start_time
        start_time = time.perf_counter()
        assert find_or_failed(lists, asked, ledger).complete == len(lists)
        whole = time.perf_counter() - start_time
    return [
        Measured(f"{rows:,} look-ups by key", look_ups, LOOK_UP_LIMIT, "s"),
        Measured(f"{rows // 2:,} lists, prompts made and both replies found", whole, 2 * LOOK_UP_LIMIT, "s"),
    ]


def reply_to(request: Request) -> Reply:
    return Reply(request.key, ANSWER, "stop", None, 500, 8, 0.001, json.dumps(REPLY))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--service", type=float, default=0.25, help="seconds that the server takes for a reply")
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measured = [measure_overhead(Path(name), arguments.requests, arguments.in_flight, arguments.service)]
        measured += measure_look_ups(Path(name), arguments.rows)
    for one in measured:
        print(f"{one.what}: {one.value:.2f} {one.unit} (limit {one.limit:g} {one.unit})")
    if exceeded := [one.what for one in measured if one.value > one.limit]:
        sys.exit(f"beyond the limit: {'; '.join(exceeded)}")


if __name__ == "__main__":
    main()
