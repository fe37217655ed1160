"""A real HTTP server that speaks /v1/chat/completions, and injects faults: by a seed, or what a test tells it to.

with ChatServer() as server:
    ... server.url, server.key ...
    assert server.requests == 12
"""

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socket import SHUT_RDWR
from typing import Any

from local_server import LocalServer

KEY = "sk-test-0a1b2c3d4e5f6a7b8c9d"
MODEL = "tiny-instruct"

PASSING = ("429", "429 seconds", "429 date", "500", "502", "503", "stall", "reset", "truncated", "cut", "no choices")
"""Faults after which the same request can go well. So can "html", but not as the first answer to a run."""

Body = dict[str, Any]


def topic_answer(body: Body) -> str:
    """What this server says by itself: to a first question a label for two lists of three, to a second one mostly yes.
    It depends on the last message alone; a second question is one that asks for an "answer"."""
    text = body["messages"][-1]["content"]
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    if '"answer"' in text:
        return json.dumps({"answer": "yes" if number % 4 else "no"})
    return json.dumps({"label": f"topic {number % 97}" if number % 3 else "none"})


@dataclass
class ChatServer(LocalServer):
    """Use it in a with block; set what it does before or between requests.

    `answer(body)`: the content of the reply, or a whole reply (mapping), or raw bytes. `fault(body, attempt)`: the name
    of a fault (`PASSING`, or those of `Handler.misbehave`), an HTTP status, or None; `attempt` counts from 0 for each
    prompt. `rate`: the share of attempts that get one of `faults`, by `seed`, prompt and attempt.
    """

    answer: Callable[[Body], str | Mapping[str, Any] | bytes] = topic_answer
    fault: Callable[[Body, int], str | int | None] | None = None
    rate: float = 0.0
    faults: tuple[str, ...] = PASSING
    seed: int = 0
    key: str = KEY
    model: str = MODEL
    service: float = 0.0  # seconds until a reply
    stall: float = 2.0  # seconds that a stalled reply takes
    retry_after: float = 0.05
    unsupported: tuple[str, ...] = ()  # parameters that it answers with status 400
    unsupported_says: str | None = None
    error_says: str | None = None  # the message of faults that have one
    seen: Callable[[Body], None] | None = None  # called with each request before it is answered

    requests: int = 0
    answered: int = 0
    most_at_once: int = 0
    by_prompt: Counter[str] = field(default_factory=Counter)  # attempts by prompt_of
    answered_by_prompt: Counter[str] = field(default_factory=Counter)
    bodies: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    injected: Counter[str | int | None] = field(default_factory=Counter)  # faults, None among them
    times: list[float] = field(default_factory=list)

    def __enter__(self) -> "ChatServer":
        self.lock = threading.Lock()
        self.at_once = 0
        self.serve(type("Handler", (Handler,), {"chat": self}))
        return self

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def chosen_fault(self, body: Body, attempt: int) -> str | int | None:
        if self.fault is not None:
            return self.fault(body, attempt)
        draw = random.Random(f"{self.seed} {attempt} {prompt_of(body)}")
        return draw.choice(self.faults) if draw.random() < self.rate else None


class Handler(BaseHTTPRequestHandler):
    chat: ChatServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send(200, page("Welcome"), "text/html")

    def do_POST(self) -> None:
        chat = self.chat
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.partition("?")[0] != "/v1/chat/completions":
            self.send_json(404, {"detail": "Not Found"})
            return
        body = json.loads(content)
        prompt = prompt_of(body)
        with chat.lock:
            attempt = chat.by_prompt[prompt]
            chat.by_prompt[prompt] += 1
            chat.requests += 1
            chat.at_once += 1
            chat.most_at_once = max(chat.most_at_once, chat.at_once)
            chat.bodies.append(body)
            chat.headers.append({name.lower(): value for name, value in self.headers.items()})
            chat.times.append(time.monotonic())
        try:
            if chat.seen is not None:
                chat.seen(body)
            self.respond(body, attempt)
        finally:
            with chat.lock:
                chat.at_once -= 1

    def respond(self, body: Body, attempt: int) -> None:
        chat = self.chat
        if chat.key and self.headers.get("Authorization") != f"Bearer {chat.key}":
            # As OpenAI does, it says which key it got.
            message = f"Incorrect API key provided: {self.headers.get('Authorization')}."
            self.send_error_body(401, message, "invalid_api_key")
        elif body.get("model") != chat.model:
            self.send_error_body(404, f"The model `{body.get('model')}` does not exist.", "model_not_found")
        elif refused := [name for name in chat.unsupported if name in body]:
            message = chat.unsupported_says or f"Unsupported parameter: '{refused[0]}'"
            self.send_error_body(400, message, "unsupported_parameter", refused[0])
        else:
            fault = chat.chosen_fault(body, attempt)
            with chat.lock:
                chat.injected[fault] += 1
            if chat.service:
                time.sleep(chat.service)
            if fault is None:
                self.send_answer(body)
            else:
                self.misbehave(str(fault), body)

    def send_answer(self, body: Body) -> None:
        answer = self.chat.answer(body)
        # Counted before it is sent: a client that has it may look at once.
        with self.chat.lock:
            self.chat.answered += 1
            self.chat.answered_by_prompt[prompt_of(body)] += 1
        if isinstance(answer, bytes):
            self.send(200, answer, "application/json")
        else:
            self.send_json(200, completion(answer, body) if isinstance(answer, str) else dict(answer))

    def misbehave(self, fault: str, body: Body) -> None:
        whole = json.dumps(completion("topic", body)).encode()
        status, _, what = fault.partition(" ")
        if status.isdigit():
            headers = {}
            if what == "seconds":
                headers["Retry-After"] = f"{self.chat.retry_after:g}"
            elif what == "date":  # whole seconds, so that this one is over by the time it is read
                headers["Retry-After"] = formatdate(time.time() + self.chat.retry_after, usegmt=True)
            elif what:
                headers["Location"] = what
            self.send_error_body(int(status), self.chat.error_says or f"fault {fault}", None, headers=headers)
        elif fault == "stall":
            self.chat.closing.wait(self.chat.stall)
            self.close_connection = True
        elif fault == "reset":
            self.close_connection = True
            self.connection.shutdown(SHUT_RDWR)
        elif fault == "truncated":
            self.send(200, whole[: len(whole) // 2], "application/json")
        elif fault == "cut":  # fewer bytes than announced
            self.send(200, whole[: len(whole) // 2], "application/json", length=len(whole))
            self.close_connection = True
        elif fault == "html":
            self.send(200, page("Please log in"), "text/html; charset=utf-8")
        elif fault == "no choices":
            self.send_json(200, completion("", body) | {"choices": []})
        elif fault == "large":
            self.send_json(200, completion("x" * 10_000_000, body))
        else:
            raise ValueError(fault)

    def send_error_body(
        self,
        status: int,
        message: str,
        code: str | None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        error = {"message": message, "type": "error", "param": param, "code": code}
        self.send(status, json.dumps({"error": error}).encode(), "application/json", headers=headers)

    def send_json(self, status: int, body: object) -> None:
        self.send(status, json.dumps(body).encode(), "application/json")

    def send(
        self,
        status: int,
        content: bytes,
        kind: str,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


def prompt_of(body: Body) -> str:
    """The texts of all messages, one after the other."""
    return "\n".join(str(message["content"]) for message in body["messages"])


def completion(content: object, body: Body, **choice: Any) -> Body:
    """A reply as the wire format has it; `choice` replaces parts of its only choice."""
    words = len(prompt_of(body).split())
    message = {"role": "assistant", "content": content, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None} | choice],
        "usage": {"prompt_tokens": words, "completion_tokens": 5, "total_tokens": words + 5},
    }


def page(title: str) -> bytes:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>".encode()
