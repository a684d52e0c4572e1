"""A real headless Chromium and a server on the loopback for it to visit."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",  # the page's console: this is where a refused style or script is reported
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server says on one path."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What came of one visit."""

    html: str  # the document as the browser built it
    console: tuple[str, ...]


def chromium() -> str:
    """The program. Skips the test where there is none, and fails it on CI: there it must be."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "no Chromium here: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def visit(url: str, profile: Path, *, dark: bool = False) -> Visit:
    """Loads the page and gives its document."""
    done = _run(url, profile, ["--dump-dom"], dark=dark)
    return Visit(html=done.stdout, console=tuple(line for line in done.stderr.splitlines() if ":CONSOLE" in line))


def screenshot(url: str, profile: Path, target: Path, *, width: int, height: int, dark: bool = False) -> bytes:
    """The page as a PNG."""
    _run(url, profile, [f"--screenshot={target}", f"--window-size={width},{height}"], dark=dark)
    return target.read_bytes()


def _run(url: str, profile: Path, flags: list[str], *, dark: bool) -> subprocess.CompletedProcess[str]:
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    command = [chromium(), *_FLAGS, scheme, f"--user-data-dir={profile}", *flags, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@contextmanager
def server(answers: Mapping[str, Answer]) -> Iterator[tuple[str, list[str]]]:
    """Serves the answers by path. Gives the base URL and the list of paths asked for, which grows."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            answer = answers.get(path)
            self.send_response(200 if answer else 404)
            for name, value in (answer.headers if answer else {}).items():
                self.send_header(name, value)
            body = answer.body if answer else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
            """Quiet: the test reads `asked`."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}", asked
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
