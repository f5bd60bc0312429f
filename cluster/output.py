"""What the commands write: results on standard output, everything else on standard error.

With `--json`, standard output holds one JSON document and nothing else. Errors go to standard error as a sentence with
the remedy, or as a problem document with `--json`, and decide the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.client import RefusedError
from tenancy.analytics.errors import AnalyticsError, AuthenticationError, UnknownNameError

EXIT_FAILED = 1
EXIT_ASKED_WRONGLY = 2
EXIT_TRY_AGAIN = 3
EXIT_INTERRUPTED = 130


def exit_code(status: int) -> int:
    """2 for what asking otherwise would mend, 3 for what waiting would, 1 for the rest; by HTTP status."""
    if status in (408, 429, 503, 507):
        return EXIT_TRY_AGAIN
    return EXIT_ASKED_WRONGLY if 400 <= status < 500 else EXIT_FAILED


class Output:
    """Where one command writes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console()
        self.errors = Console(stderr=True)

    def say(self, sentence: str) -> None:
        """What is being done, for whoever watches."""
        if not self.as_json:
            self.errors.print(f"[dim]{escape(sentence)}[/dim]")

    def result(self, value: object, shown: Callable[[], None]) -> None:
        """The command's result: `value` as JSON, or whatever `shown` prints."""
        if self.as_json:
            sys.stdout.buffer.write(orjson.dumps(value, default=str, option=orjson.OPT_APPEND_NEWLINE))
            sys.stdout.buffer.flush()
        else:
            shown()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
        """A table, numbers to the right."""
        cells = [list(row) for row in rows]
        table = Table(title=title, title_justify="left", header_style="bold")
        for index, column in enumerate(columns):
            numbers = bool(cells) and all(isinstance(row[index], int | float | None) for row in cells)
            table.add_column(escape(column), justify="right" if numbers else "left")
        for row in cells:
            table.add_row(*(escape(_text(cell)) for cell in row))
        self.console.print(table)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turns our errors into a message with its remedy and an exit code."""
        try:
            yield
        except AnalyticsError as error:
            document: dict[str, Any] = {"code": error.code, "status": error.status, "detail": str(error)}
            if isinstance(error, UnknownNameError):
                document["suggestions"] = error.suggestions
            self.fail(document)
            raise typer.Exit(exit_code(error.status)) from None
        except RefusedError as error:
            self.fail({**error.document, "status": error.status, "detail": str(error)})
            raise typer.Exit(exit_code(error.status)) from None
        except KeyboardInterrupt:
            self.errors.print("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None

    def fail(self, problem: Mapping[str, Any]) -> None:
        """Say what went wrong and what to do."""
        if self.as_json:
            sys.stderr.buffer.write(orjson.dumps(problem, option=orjson.OPT_APPEND_NEWLINE))
            sys.stderr.buffer.flush()
        else:
            self.errors.print(f"[red]error:[/red] {escape(str(problem['detail']))}", soft_wrap=True)


def no_key() -> AuthenticationError:
    """The error for a command that needs a key and was given none."""
    return AuthenticationError("no API key was given: use --key, or set TENANCY_API_KEY")


def _text(cell: object) -> str:
    match cell:
        case None:
            return "–"
        case bool():
            return "yes" if cell else "no"
        case float():
            return f"{cell:,.6g}" if abs(cell) < 1e6 else f"{cell:,.0f}"
        case int():
            return f"{cell:,}"
    return str(cell)
