"""The command that compares two cohort tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from echomotion.terminal import err, for_each, json_line, out, plain_text, progress_bar, rows_table, step, tell

TABLE_HELP = "csv with a row for each case, or with columns case, name and value."


def agreement(
    first: Annotated[Path, typer.Argument(metavar="A.csv", help=TABLE_HELP)],
    second: Annotated[Path, typer.Argument(metavar="B.csv", help=TABLE_HELP + " Differences are A minus B.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for plots, table and JSON.")],
    key: Annotated[str | None, typer.Option(help="Column that names the case, in both tables.")] = None,
    measurement: Annotated[
        list[str] | None, typer.Option(help="Measurement to compare, repeatable; all in common if not given.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Names of the two, as A,B; the files' names if not given.")] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of all intervals.")] = 0.95,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")] = False,
) -> None:
    """Agreement of two tables of measurements: Bland-Altman, ICC, variation and error, with intervals and plots."""
    names = [part.strip() for part in labels.split(",")] if labels else [first.stem, second.stem]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter(f"--labels is {labels!r}; two names as A,B are needed")

    def work(_: str) -> None:
        from echomotion.io.cohort import read_pairs
        from echomotion.measure import agreement as statistics
        from echomotion.report.agreement import agreement_rows, save_agreement

        pairs = read_pairs(first, second, key=key, names=measurement or ())
        found = []
        with progress_bar("agreement", quiet=as_json) as stage:
            for k, pair in enumerate(pairs, start=1):
                found.append(
                    statistics.agreement(pair.first, pair.second, confidence=confidence, resamples=resamples, seed=seed)
                )
                step(stage, "measurement")(k, len(pairs))
        source = {"files": [first.name, second.name], "confidence": confidence, "resamples": resamples, "seed": seed}
        folder = save_agreement(pairs, found, output, (names[0], names[1]), source=source, overwrite=overwrite)
        if as_json:
            for pair, result in zip(pairs, found, strict=True):
                json_line({"measurement": pair.name, "unit": pair.unit, **result.as_dict()})
        else:
            out.print(rows_table(agreement_rows(pairs, found)))
        for pair, result in zip(pairs, found, strict=True):
            for warning in _warnings(pair.only_first + pair.only_second, result.left_out, result.reason):
                err.print(f"[yellow]warning:[/] {plain_text(f'{pair.name}: {warning}')}", soft_wrap=True)
        tell({"status": "done", "measurements": len(pairs), "output": str(folder)}, as_json=as_json)

    for_each([f"{first} {second}"], work, as_json=as_json)


def _warnings(alone: int, left_out: int, reason: str) -> list[str]:
    """What a reader must know of the pairs."""
    found = [reason] if reason else []
    if alone:
        found.append(f"{alone} cases are in one table alone")
    if left_out:
        found.append(f"{left_out} pairs with a missing value are left out")
    return found
