"""What comes back from an endpoint, read without trust: any part of it may be missing or of another type."""

import json
from collections.abc import Callable
from typing import Any

from svdlens.labels.llm.ledger import Reply, Request

MOST_BYTES = 1_000_000
"""A longer reply is not read to its end, and not kept."""
MOST_TOKENS = 10**9  # a larger count is no count
SHORTEST_SECRET = 8  # shorter keys, which local servers are content with, may be words
REASON_LENGTH = 200


class RequestFailed(Exception):
    """One request got no reply. `reason`: for logs and tables; never a label, and without the key.

    `retryable`: the same may go well later, after `retry_after` seconds if the server says so. `if_first`: what to tell
    the person if no request has gone well yet. `is_page`: a web page came in place of JSON.
    """

    def __init__(
        self,
        reason: str,
        retryable: bool,
        retry_after: float | None = None,
        if_first: str | None = None,
        is_page: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.retryable, self.retry_after = reason, retryable, retry_after
        self.if_first, self.is_page = if_first, is_page


def reply_from(
    content: bytes, request: Request, key: str, cost: Callable[[int, int], float], most_cost: float
) -> Reply:
    """The reply in the body of an HTTP answer. `cost` of tokens in and out; `most_cost`: where it does not say how
    many. The secret `key` is taken out, should the server have sent it back.

    Raises RequestFailed if it is no chat completion.
    """
    text = content.decode("utf-8", "replace").lstrip("\ufeff")
    if text.lstrip().startswith("<"):
        raise RequestFailed("a web page in place of JSON", retryable=True, is_page=True)
    try:
        body = redacted(json.loads(text), key)
        # Written anew: of two members of the same name the first is gone, and with it what it may have.
        raw = json.dumps(body)
    except (ValueError, RecursionError):
        raise RequestFailed("the reply is no JSON, or was cut short", retryable=True) from None
    choice = first_choice(body)
    message = choice["message"]
    usage = body["usage"] if isinstance(body.get("usage"), dict) else {}
    tokens_in, tokens_out = token_count(usage.get("prompt_tokens")), token_count(usage.get("completion_tokens"))
    known = tokens_in is not None and tokens_out is not None
    return Reply(
        key=request.key,
        content=content_of(message.get("content")),
        finish_reason=text_of(choice.get("finish_reason")),
        refusal=text_of(message.get("refusal")),
        prompt_tokens=tokens_in,
        completion_tokens=tokens_out,
        cost=cost(tokens_in or 0, tokens_out or 0) if known else most_cost,
        raw=raw,
    )


def first_choice(body: Any) -> dict[str, Any]:
    """The first choice of a chat completion, which has a message. Raises RequestFailed if there is none."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        if isinstance(choices[0].get("message"), dict):
            return choices[0]
        raise RequestFailed("the reply has a choice without a message", retryable=True)
    if isinstance(body, dict) and body.get("error"):
        error = body["error"]
        said = error.get("message") if isinstance(error, dict) else error
        raise RequestFailed(f"an error in place of a reply ({one_line(str(said))})", retryable=True)
    raise RequestFailed("the reply has no choices", retryable=True)


def content_of(value: Any) -> str | None:
    """The text of a message. Some servers have a list of parts, of which those of type text count."""
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        parts = [part.get("text") for part in value if part.get("type") == "text"]
        value = "".join(part for part in parts if isinstance(part, str))
    if value is not None and not isinstance(value, str):
        raise RequestFailed("the content of the reply is no text", retryable=True)
    return text_of(value)


def text_of(value: Any) -> str | None:
    """A text that can be written as UTF-8: JSON can have halves of pairs of surrogates. None if it is no text."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def token_count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if is_count else None


def redacted(value: Any, key: str) -> Any:
    """JSON with the secret taken out of all its texts, names included."""
    if len(key) < SHORTEST_SECRET:
        return value
    if isinstance(value, str):
        return value.replace(key, "[key]")
    if isinstance(value, list):
        return [redacted(one, key) for one in value]
    if isinstance(value, dict):
        return {redacted(name, key): redacted(one, key) for name, one in value.items()}
    return value


def one_line(text: str) -> str:
    """A text of others for a log or a table: one line, not long, without control signs."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    line = " ".join(plain.split())
    return line if len(line) <= REASON_LENGTH else f"{line[: REASON_LENGTH - 1]}…"
