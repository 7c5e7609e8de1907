"""How the command line talks: progress bars, tables, JSON lines, one line per error."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from echomotion.core import EchoMotionError
from echomotion.io.write import write_json
from echomotion.models.base import Progress as Step

out = Console()
err = Console(stderr=True)

# Called as stage(name, done, total).
Stage = Callable[[str, int, int], None]


def for_each(names: Iterable[str], work: Callable[[str], None], *, as_json: bool) -> None:
    """Do `work` for every input; one that fails gets one line and does not stop the others.

    Raises
    ------
    typer.Exit
        With code 1 when at least one input failed.
    """
    failed = False
    for name in names:
        try:
            work(name)
        except (EchoMotionError, OSError) as error:
            failed = True
            message = " ".join(str(error).split())
            err.print(f"echomotion: {message}", markup=False, highlight=False, soft_wrap=True)
            if as_json:
                json_line({"input": name, "status": "failed", "error": message})
    if failed:
        raise typer.Exit(1)


def json_line(values: Mapping[str, Any]) -> None:
    """One machine-readable line on standard output."""
    typer.echo(json.dumps(values, default=str, allow_nan=False))


def tell(values: Mapping[str, Any], *, as_json: bool) -> None:
    """The outcome of one input: a JSON line, or the same facts for a reader."""
    if as_json:
        json_line(values)
    else:
        out.print(facts_table(values))


def facts_table(facts: Mapping[str, Any]) -> Table:
    """Names and values in two columns; a list becomes one line an item."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in facts.items():
        text = "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        table.add_row(name.replace("_", " "), escape(text) if text else "-")
    return table


def rows_table(rows: list[dict[str, Any]]) -> Table:
    """Rows with the same keys as a table; numbers with three decimals."""
    table = Table(*[str(key) for key in rows[0]] if rows else [])
    for row in rows:
        table.add_row(*[_cell(value) for value in row.values()])
    return table


def share_of(text: str) -> float:
    """A share from ``10%`` or ``0.1``.

    Raises
    ------
    EchoMotionError
        When it is neither.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise EchoMotionError(f"{text!r} is no share; give 10% or 0.1, up to 100% or 1")
    return value


def needs_extra(extra: str, *modules: str) -> None:
    """Raise :class:`EchoMotionError` that names the extra when one of its modules is not installed."""
    if any(importlib.util.find_spec(module) is None for module in modules):
        raise EchoMotionError(f'this needs further packages; install them with: pip install "echomotion[{extra}]"')


def finish_evaluation(result: dict[str, Any], rows: list[dict[str, Any]], output: Path | None, as_json: bool) -> None:
    """Write the whole result where it was asked for, and show it as JSON or its `rows` as a table."""
    if output is not None:
        write_json(output, result)
    if as_json:
        json_line(result)
    else:
        out.print(rows_table(rows))
        if output is not None:
            out.print(facts_table({"every case": str(output)}))


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Stage]:
    """A bar on standard error; yields ``stage(name, done, total)``."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bar:
        task = bar.add_task(escape(title), total=None)

        def stage(name: str, done: int, total: int) -> None:
            bar.update(task, description=escape(f"{title}: {name}"), completed=done, total=total or None)

        yield stage


def step(stage: Stage, name: str) -> Step:
    """The plain ``progress(done, total)`` of one stage."""
    return lambda done, total: stage(name, done, total)


def plain_text(text: str) -> str:
    """Text in which square brackets mean themselves."""
    return escape(text)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return escape(str(value))
