"""TR-net over an SK-net that saw few labels: both trained for each share, TR-net always on all cines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from echomotion.training.variants import Variant, train_variants


class StudyRun(NamedTuple):
    """Folders of weights of one share of labels."""

    sknet: Path
    trnet: Path


def train_few_keypoints(
    shares: Iterable[float],
    data: str | Path,
    folder: str | Path,
    *,
    static: str = "sknet",
    temporal: str = "trnet",
    static_steps: int | None = None,
    temporal_steps: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[float, StudyRun]:
    """Train both networks for each share of the cines with key-points; runs that were stopped go on.

    Parameters
    ----------
    shares : iterable of float
        Over 0 and up to 1.
    data, folder : path
        Simulated parasternal cines, as the recipes take them, and what receives a folder for each run.
    static, temporal : str
        Recipes of SK-net and TR-net.
    static_steps, temporal_steps : int, optional
        In place of the recipes': a reduced budget, which the result must state.
    progress : callable, optional
        Called with (run, done, total).
    """
    shares = list(shares)
    first = train_variants(
        {f"sknet-{100 * share:g}": Variant(static, training={"share": share}) for share in shares},
        data,
        folder,
        steps=static_steps,
        progress=progress,
    )
    second = train_variants(
        {
            f"trnet-{100 * share:g}": Variant(temporal, training={"sknet": str(path)})
            for share, path in zip(shares, first.values(), strict=True)
        },
        data,
        folder,
        steps=temporal_steps,
        progress=progress,
    )
    return {share: StudyRun(*paths) for share, *paths in zip(shares, first.values(), second.values(), strict=True)}
