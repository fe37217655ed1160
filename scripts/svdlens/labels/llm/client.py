"""One request to an endpoint that speaks OpenAI's chat completions, through the openai client.

What cannot get better stops everything with one sentence (SvdlensError); what can is tried again; what is wrong with
one request alone fails this one (RequestFailed). Some things are both: a web page in place of JSON means a wrong URL
before the first reply of a run, and after it that something between here and there is in trouble.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from svdlens.errors import SvdlensError
from svdlens.labels.llm.ledger import Reply, Request
from svdlens.labels.llm.wire import MOST_BYTES, RequestFailed, one_line, redacted, reply_from

log = logging.getLogger(__name__)

LONGEST_BACKOFF = 30.0  # seconds
LONGEST_RETRY_AFTER = 600.0
NO_KEY = "none"  # the openai client insists on a key
BUSY_STATUSES = (408, 409, 425, 429)
FORMAT = "response_format"
OPTIONAL = (FORMAT, "seed")
"""What a server that does not know them is asked without."""
BASE_URL = "labellers.llm.base_url"
KEY = "the environment variable that labellers.llm.key_variable names"


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask. `key` is a secret, empty for a server that wants none. `timeout`: seconds for one attempt.
    `retries`: attempts after the first; the first of them comes after about `first_wait` seconds, each other after
    twice as long. Prices are per million tokens. Raises SvdlensError if the URL or the key cannot be one."""

    base_url: str
    key: str = field(repr=False)
    timeout: float | int = 60.0
    retries: int = 6
    price_in: float | int = 0.0
    price_out: float | int = 0.0
    first_wait: float | int = 0.5

    def __post_init__(self) -> None:
        # What is wrong may have a secret in it, and so is not shown.
        if not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise SvdlensError(f"the key has a space, a line break or a sign that no key has. Correct {KEY}.")
        try:
            url = urlsplit(self.base_url)
            url.port  # noqa: B018  (raises ValueError if it is no number)
        except ValueError as error:
            raise SvdlensError(
                f"{BASE_URL} is no URL ({error}). Write, for instance, http://localhost:8000/v1"
            ) from None
        if url.username or url.password or url.query:
            raise SvdlensError(
                f"{BASE_URL} has a user name, a password or a query. Secrets belong into {KEY}: write the URL without."
            )
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SvdlensError(
                f"{BASE_URL} is {self.base_url!r}, which is no http or https URL. Write, for instance, "
                f"http://localhost:8000/v1"
            )
        if url.path.rstrip("/").endswith("/chat/completions"):
            raise SvdlensError(f"{BASE_URL} is {self.base_url!r}: leave /chat/completions out, which is added to it.")

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


class Stopped(Exception):
    """A request was not sent, because the run is ending."""


class Unsupported(Exception):
    """The server does not take a parameter of the request, which it can be asked without."""

    def __init__(self, name: str) -> None:
        self.name = name


class Pace:
    """When requests may start: at most so many in a minute, evenly, and none while the server wants a pause."""

    def __init__(self, per_minute: float | int | None) -> None:
        self.gap = 60 / per_minute if per_minute else 0.0
        self.next = 0.0

    def delay(self) -> float:
        """Seconds until the next request may start; each call is for one request."""
        now = time.monotonic()
        start = max(now, self.next)
        self.next = start + self.gap
        return start - now

    def pause(self, seconds: float | int) -> None:
        self.next = max(self.next, time.monotonic() + seconds)


class Client:
    """Sends requests to one endpoint. `ending`: once set, nothing is sent any more."""

    def __init__(self, endpoint: Endpoint, in_flight: int, requests_per_minute: float | int | None = None) -> None:
        import httpx2
        import openai

        # Their messages at level INFO are a line for each request, and at DEBUG may have headers.
        for name in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.endpoint = endpoint
        self.pace = Pace(requests_per_minute)
        self.ending = asyncio.Event()
        self.reached = False
        self.left_out: set[str] = set()
        self.taken: set[str] = set()
        try:
            self.openai = openai.AsyncOpenAI(
                api_key=endpoint.key or NO_KEY,
                base_url=endpoint.base_url,
                max_retries=0,
                timeout=endpoint.timeout,
                http_client=openai.DefaultAsyncHttpxClient(
                    timeout=endpoint.timeout,
                    # The key goes to nobody but who was named.
                    follow_redirects=False,
                    limits=httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight),
                ),
            )
        except httpx2.InvalidURL as error:
            raise SvdlensError(f"{BASE_URL} is {endpoint.base_url!r}, which is no URL ({error}). Correct it.") from None

    async def close(self) -> None:
        await self.openai.close()

    def most_cost(self, request: Request) -> float:
        """What a request can cost at most: a token is at least a byte, and a template of the server adds a few."""
        most_in = len(request.json) + 50 * len(request.messages) + 100
        return self.endpoint.cost(most_in, request.sampling.get("max_tokens", 0))

    async def send(self, request: Request) -> Reply:
        """The reply to a request, at the latest after the last retry. Raises RequestFailed, Stopped or SvdlensError."""
        attempt = 0
        without: set[str] = set()
        while True:
            await self.rest(self.pace.delay())
            try:
                reply = await self.attempt(request, without)
                break
            except Unsupported as parameter:
                without.add(parameter.name)
            except RequestFailed as failure:
                if not failure.retryable or attempt == self.endpoint.retries:
                    self.stop_unless_reached(failure.if_first)
                    raise
                wait = failure.retry_after
                if not wait:  # also where the server says at once, or names a time that is over
                    longest = min(self.endpoint.first_wait * 2**attempt, LONGEST_BACKOFF)
                    wait = longest * random.uniform(0.5, 1)
                else:
                    self.pace.pause(wait)
                attempt += 1
                log.info("%s; retry %d of %d in %.1f s", failure.reason, attempt, self.endpoint.retries, wait)
                await self.rest(wait)
        self.reached = True
        # Only now is it sure what it was.
        for name in without - self.left_out:
            log.warning("%s does not take %s: going on without", self.endpoint.base_url, name)
        self.left_out |= without
        return reply

    async def rest(self, seconds: float | int) -> None:
        """Sleep. Raises Stopped if the run is ending, or begins to meanwhile."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ending.wait(), seconds)
        if self.ending.is_set():
            raise Stopped

    def stop_unless_reached(self, sentence: str | None) -> None:
        if sentence is not None and not self.reached:
            raise SvdlensError(sentence) from None

    async def attempt(self, request: Request, without: set[str]) -> Reply:
        import httpx2
        import openai

        url = self.endpoint.base_url
        without = without | self.left_out
        parameters = {name: value for name, value in request.sampling.items() if name not in without}
        if "max_tokens" in without and "max_tokens" in request.sampling:
            parameters["max_completion_tokens"] = request.sampling["max_tokens"]
        create: Any = self.openai.chat.completions.with_streaming_response.create
        try:
            # The client's own limits are between two packets, and a server may send them one by one for ever.
            async with (
                asyncio.timeout(self.endpoint.timeout),
                create(model=request.model, messages=list(request.messages), extra_body=parameters) as response,
            ):
                content = bytearray()
                async for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MOST_BYTES:
                        raise RequestFailed(f"the reply is longer than {MOST_BYTES:,} bytes", retryable=False)
        except openai.APIStatusError as error:
            raise self.refusal(error, request, parameters) from None
        except (openai.APITimeoutError, httpx2.TimeoutException, TimeoutError):
            text = f"no answer within {self.endpoint.timeout:g} s"
            fix = f"{url}: {text}. Correct {BASE_URL}, or raise labellers.llm.timeout if the server is slow."
            raise RequestFailed(text, True, if_first=fix) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise self.lost(error) from None
        try:
            reply = reply_from(bytes(content), request, self.endpoint.key, self.endpoint.cost, self.most_cost(request))
        except RequestFailed as failure:
            if failure.is_page:
                self.stop_unless_reached(
                    f"{url} answers with a web page in place of JSON. Correct {BASE_URL}, which for most servers ends "
                    f"in /v1"
                )
            raise
        self.taken |= set(parameters)
        return reply

    def lost(self, error: Exception) -> RequestFailed:
        """What is to be said of a connection that did not come to be, or broke."""
        url, causes = self.endpoint.base_url, list(chain(error))
        text = one_line(redacted(str(causes[-1]) or type(causes[-1]).__name__, self.endpoint.key))
        for cause in causes:
            if isinstance(cause, ssl.SSLError):
                self.stop_unless_reached(
                    f"{url}: no secure connection ({text}). If the server has no TLS, write http:// in {BASE_URL}; if "
                    f"its certificate is your own, set SSL_CERT_FILE to it."
                )
        fix = f"cannot connect to {url} ({text}). Start the server, or correct {BASE_URL}."
        return RequestFailed(f"connection lost or refused ({text})", True, if_first=fix)

    def refusal(self, error: Any, request: Request, parameters: dict[str, Any]) -> Exception:
        """What is to be raised for a reply with an error status (an APIStatusError)."""
        url, status = self.endpoint.base_url, error.status_code
        message = error.message.removeprefix(f"Error code: {status}").removeprefix(" - ")
        said = one_line(redacted(message, self.endpoint.key)) or "it does not say why"
        if status < 400:
            target = one_line(redacted(error.response.headers.get("location", "elsewhere"), self.endpoint.key))
            self.stop_unless_reached(f"{url} redirects to {target}. Write in {BASE_URL} where it is.")
            return RequestFailed(f"status {status}, redirected to {target}", True)
        if status == 401:
            what = f"set {KEY}" if not self.endpoint.key else f"correct {KEY}"
            return SvdlensError(f"{url} refuses the key ({said}): {what}.")
        if status == 402 or getattr(error, "code", None) == "insufficient_quota":
            return SvdlensError(f"{url} wants to be paid first ({said}). Replies so far are kept: run again then.")
        if status == 403:
            self.stop_unless_reached(f"{url} denies access ({said}). Correct {KEY}, or labellers.llm.model.")
        if status in (404, 405):
            about_model = request.model in said or getattr(error, "code", None) == "model_not_found"
            name = "labellers.llm.model" if about_model else f"{BASE_URL}, which for most servers ends in /v1"
            return SvdlensError(f"{url} has no chat completions of model {request.model!r} ({said}). Correct {name}.")
        if status in (400, 422) and (culprit := self.culprit(error, said, parameters)):
            return Unsupported(culprit)
        if status in BUSY_STATUSES or status >= 500:
            wait = retry_after(error.response.headers.get("retry-after"))
            if wait is not None and wait > LONGEST_RETRY_AFTER:
                return RequestFailed(f"status {status}, and the server wants a pause of {wait:.0f} s", False)
            return RequestFailed(f"status {status} ({said})", True, retry_after=wait)
        return RequestFailed(f"status {status} ({said})", False)

    def culprit(self, error: Any, said: str, parameters: dict[str, Any]) -> str | None:
        """The parameter that the server does not take, of those that it can do without."""
        named = f"{getattr(error, 'param', None)} {said}"
        if "max_completion_tokens" in named and "max_tokens" in parameters:
            return "max_tokens"  # newer models of OpenAI's: goes on as max_completion_tokens
        # Many servers refuse a response_format without naming it.
        unsure = FORMAT in parameters and FORMAT not in self.taken
        return next((name for name in OPTIONAL if name in named and name in parameters), FORMAT if unsure else None)


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which has seconds or a date; None without one, or if it is neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds == seconds else None


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from, the first cause last."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or now.__context__
