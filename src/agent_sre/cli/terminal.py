"""What the commands print: Markdown, tables, and progress on anything longer than a second."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.markdown import Markdown
from rich.rule import Rule
from rich.status import Status
from rich.text import Text


def show_markdown(text: str, *, title: str) -> None:
    """An analysis in the terminal; where the output is no terminal, the Markdown itself, so that it can be piped on."""
    if not sys.stdout.isatty():
        print(f"# {title}\n\n{text}\n")  # noqa: T201
        return
    console = Console()
    console.print(Rule(Text(title)))
    console.print(Markdown(text, hyperlinks=False))


class Progress:
    """Says on standard error what is going on; silent where it was asked to be."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._status: Status | None = None

    def step(self, text: str) -> None:
        """What happens now."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            self._console.print(Text(f"… {text}"))
            return
        if self._status is None:
            self._status = self._console.status(Text(text))
            self._status.start()
        self._status.update(Text(text))

    def done(self, text: str) -> None:
        """Something that is finished; the line stays."""
        if not self._quiet:
            self._console.print(Text(f"✓ {text}"))

    def close(self) -> None:
        """Nothing moves any more; what comes next has the terminal to itself."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
