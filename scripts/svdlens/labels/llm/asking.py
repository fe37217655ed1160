"""Asks an endpoint about many lists at once: for a label, and, as soon as a list has one, whether it fits.

Workers each take a list, ask both questions about it, and take the next. There are more of them than there may be
requests in flight, so that this number is in flight while other workers wait for the disk: replies that come close
together are committed to the ledger in one transaction, before any of them counts. A request that is to be tried again
counts as in flight while it waits, so that a server in trouble gets fewer.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIGINT, SIGTERM
from typing import TypeVar

from svdlens.errors import SvdlensError
from svdlens.labels.llm.client import Client, Endpoint, Stopped
from svdlens.labels.llm.ledger import Ledger, Reply, Request
from svdlens.labels.llm.questions import Asked, Questions, Tokens, distinct, found_replies
from svdlens.labels.llm.wire import RequestFailed

log = logging.getLogger(__name__)

GIVE_UP_AFTER = 20  # failed lists in a row
WORKERS = 2  # for each request in flight
INTERRUPTS = (SIGINT, SIGTERM)

Report = Callable[[int, int, float, float], None]
"""Called with lists done, lists in all (of those that are asked about), cost so far, seconds so far."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """`in_flight`: requests at a time. The others may be None, no limit. requests_per_minute: retries count, too.
    max_requests, max_cost: of replies in the ledger since the time `since` (seconds since 1970)."""

    in_flight: int = 8
    requests_per_minute: float | int | None = None
    max_requests: int | None = None
    max_cost: float | int | None = None
    since: float | int = 0.0


def ask(
    lists: Sequence[Tokens],
    questions: Questions,
    endpoint: Endpoint,
    ledger: Ledger,
    limits: Limits,
    report: Report | None = None,
) -> Asked:
    """Ask about each distinct list what the ledger has no reply to, and keep every reply there.

    At a limit, at SIGINT and SIGTERM, and if nothing goes well any more, no request is begun; those in flight are
    finished and kept. Raises SvdlensError if the endpoint cannot be used at all, likewise.
    """
    if limits.max_cost is not None and questions.sampling.get("max_tokens") is None:
        raise SvdlensError("labellers.llm.max_cost needs labellers.llm.max_tokens, which bounds what a reply can cost.")
    with ledger.exclusive():
        todo = distinct(lists)
        asked, missing = Asked(), []
        for tokens, (label, verdict, complete) in zip(todo, found_replies(todo, questions, ledger), strict=True):
            asked.found += (label is not None) + (verdict is not None)
            asked.complete += complete
            if not complete:
                missing.append(tokens)
        if missing:
            run = Run(missing, questions, endpoint, ledger, limits, report, asked)
            asyncio.run(run.all())
            if run.error is not None:
                raise run.error
    return asked


class Run:
    """All requests about some lists, in one event loop. Everything here happens in its thread, but for the ledger's own
    work, which has a thread of its own, because it waits for the disk."""

    def __init__(
        self,
        lists: list[tuple[str, ...]],
        questions: Questions,
        endpoint: Endpoint,
        ledger: Ledger,
        limits: Limits,
        report: Report | None,
        asked: Asked,
    ) -> None:
        self.lists, self.questions, self.ledger, self.limits = lists, questions, ledger, limits
        self.report, self.asked = report, asked
        self.client = Client(endpoint, limits.in_flight, limits.requests_per_minute)
        self.thread = ThreadPoolExecutor(1)
        self.replies: asyncio.Queue[tuple[Request, Reply, asyncio.Future[None]]] = asyncio.Queue()
        self.pending: dict[str, asyncio.Task[Reply]] = {}
        self.n_spent, self.cost_spent = ledger.spent(limits.since)
        self.n_running, self.cost_running = 0, 0.0
        self.slots = asyncio.Semaphore(limits.in_flight)
        self.changed = asyncio.Condition()
        self.n_done, self.failed_in_a_row = 0, 0
        self.error: BaseException | None = None

    async def all(self) -> None:
        """Ask about all lists. A reason to stop that is no limit is in `error` afterwards."""
        self.start = time.monotonic()
        left = iter(self.lists)

        async def worker() -> None:
            for tokens in left:
                await self.ask_about(tokens)
                if self.client.ending.is_set():
                    return

        writer = asyncio.create_task(self.write())
        try:
            with self.signals():
                n_workers = min(WORKERS * self.limits.in_flight, len(self.lists))
                await asyncio.gather(*(worker() for _ in range(n_workers)))
        finally:
            writer.cancel()
            await self.client.close()
            self.thread.shutdown()
        if not_asked := len(self.lists) - self.n_done:
            self.asked.failed[f"not asked: {self.asked.stopped_by}"] = not_asked

    @contextmanager
    def signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM lets requests in flight end, which are paid for; the second does what it does."""
        loop = asyncio.get_running_loop()

        def remove() -> None:
            for one in INTERRUPTS:
                loop.remove_signal_handler(one)

        def interrupted() -> None:
            remove()
            log.warning("interrupted: waiting for %d requests in flight", self.n_running)
            self.error = self.error or KeyboardInterrupt()
            tasks.append(loop.create_task(self.stop("interrupted")))

        tasks: list[asyncio.Task[None]] = []
        if threading.current_thread() is threading.main_thread():
            for one in INTERRUPTS:
                loop.add_signal_handler(one, interrupted)
        try:
            yield
        finally:
            remove()

    async def ask_about(self, tokens: tuple[str, ...]) -> None:
        try:
            label = self.questions.parse_label(await self.reply(self.questions.label_request(tokens))).label
            if label is not None:
                await self.reply(self.questions.verify_request(tokens, label))
        except Stopped:
            return
        except RequestFailed as failure:
            self.asked.failed[failure.reason] = self.asked.failed.get(failure.reason, 0) + 1
            self.failed_in_a_row += 1
            log.warning("no reply about the list %r: %s", list(tokens[:3]), failure.reason)
            if self.failed_in_a_row == GIVE_UP_AFTER:
                await self.give_up(failure.reason)
        except Exception as error:  # of the endpoint or of the ledger, or a defect: the others in flight still end
            self.error = self.error or error
            await self.stop(str(error))
            return
        else:
            self.asked.complete += 1
            self.failed_in_a_row = 0
        self.n_done += 1
        if self.report is not None:
            self.report(self.n_done, len(self.lists), self.asked.cost, time.monotonic() - self.start)

    async def reply(self, request: Request) -> Reply:
        """The reply to a request: the ledger's, or of the endpoint. Two lists with one prompt wait for one reply."""
        if request.key not in self.pending:
            self.pending[request.key] = asyncio.create_task(self.find_or_send(request))
        task = self.pending[request.key]
        try:
            return await task
        finally:
            self.pending.pop(request.key, None)

    async def find_or_send(self, request: Request) -> Reply:
        found = await self.in_thread(lambda: self.ledger.find([request.key]))
        if request.key in found:
            return found[request.key]
        async with self.slots:
            reply = await self.send(request)
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.replies.put_nowait((request, reply, committed))
        await committed
        self.asked.asked += 1
        self.asked.cost += reply.cost
        return reply

    async def send(self, request: Request) -> Reply:
        """The reply of the endpoint to a request that the limits allow."""
        most = self.client.most_cost(request)
        await self.begin(most)
        n, cost = 0, 0.0
        try:
            reply = await self.client.send(request)
            n, cost = 1, reply.cost
            return reply
        finally:
            async with self.changed:
                self.n_running -= 1
                self.cost_running -= most
                self.n_spent += n
                self.cost_spent += cost
                self.changed.notify_all()

    async def begin(self, most: float) -> None:
        """Wait until one more request, which costs at most `most`, is within the limits whatever those in flight cost.

        Raises Stopped if it is not when none is in flight, or the run is ending.
        """
        async with self.changed:
            while not self.client.ending.is_set() and (limit := self.limit_of_one_more(most)):
                if self.n_running:
                    await self.changed.wait()
                else:
                    self.end(limit)
            if self.client.ending.is_set():
                raise Stopped
            self.n_running += 1
            self.cost_running += most

    def limit_of_one_more(self, most: float) -> str | None:
        limits = self.limits
        if limits.max_requests is not None and self.n_spent + self.n_running + 1 > limits.max_requests:
            return f"max_requests = {limits.max_requests} is reached"
        if limits.max_cost is not None and self.cost_spent + self.cost_running + most > limits.max_cost:
            return (
                f"max_cost = {limits.max_cost:g} is reached: {self.cost_spent:.4g} was spent, and the next request can "
                f"cost up to {most:.4g}"
            )
        return None

    def end(self, reason: str) -> None:
        self.asked.stopped_by = self.asked.stopped_by or reason
        self.client.ending.set()

    async def stop(self, reason: str) -> None:
        """Begin no more requests, and wake up who waits to."""
        self.end(reason)
        async with self.changed:
            self.changed.notify_all()

    async def give_up(self, reason: str) -> None:
        text = f"{GIVE_UP_AFTER} lists in a row got no reply, the last because of: {reason}"
        if not self.client.reached:
            self.error = SvdlensError(f"{self.client.endpoint.base_url}: the first {text}. Correct labellers.llm.")
        await self.stop(text)

    async def write(self) -> None:
        """Commit replies, in one transaction what has come while the last one was written."""
        while True:
            some = [await self.replies.get()]
            while not self.replies.empty():
                some.append(self.replies.get_nowait())
            try:
                await self.in_thread(lambda: self.ledger.add_all([(request, reply) for request, reply, _ in some]))  # noqa: B023
            except Exception as error:
                for *_, committed in some:
                    committed.set_exception(error)
            else:
                for *_, committed in some:
                    committed.set_result(None)

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)


def progress_line(done: int, total: int, cost: float | int, seconds: float | int) -> str:
    """Such as "120 of 500 lists, 4.1 per second, cost 0.13, 2 min left"."""
    parts = [f"{done:,} of {total:,} lists"]
    if done and seconds > 0:
        parts.append(f"{done / seconds:.2g} per second" if done < 10 * seconds else f"{done / seconds:.0f} per second")
    parts.append(f"cost {cost:.2f}" if cost >= 1 or not cost else f"cost {cost:.2g}")
    if done and done < total:
        parts.append(f"{duration((total - done) * seconds / done)} left")
    return ", ".join(parts)


def duration(seconds: float | int) -> str:
    """Such as 40 s, 12 min, 3 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
