"""The command about datasets: is a folder one, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from echomotion.core import DatasetError
from echomotion.datasets.check import LAYOUTS, check_dataset
from echomotion.terminal import for_each, json_line, out, plain_text, tell

# More lines than this are no help on a screen; --json has them all.
_SHOWN = 20


def check(
    folders: Annotated[list[str], typer.Argument(metavar="PATH...", help="Folders of a dataset each.")],
    layout: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(LAYOUTS)}; recognised where not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")] = False,
) -> None:
    """Read every recording of a dataset; count them, and name those that cannot be used."""

    def work(name: str) -> None:
        found = check_dataset(name, layout=layout)
        if as_json:
            json_line({"input": name, "status": "problems" if found.problems else "done", **found.as_dict()})
        else:
            tell({"dataset": name, "layout": found.layout, **found.counts}, as_json=False)
            for line in found.problems[:_SHOWN]:
                out.print(f"[yellow]problem:[/] {plain_text(line)}", soft_wrap=True)
        if found.problems:
            raise DatasetError(f"{name}: {len(found.problems)} recordings or tables cannot be used")

    for_each(folders, work, as_json=False)
