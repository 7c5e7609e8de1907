"""Lines of the wall from the masks of one frame, followed through the clip and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DataError, Layer, Masks, Phases, Tracks, View
from echomotion.core.views import SegmentModel
from echomotion.measure.circumferential import ring_points
from echomotion.measure.wall_points import wall_points
from echomotion.models.registry import create_tracker
from echomotion.models.run import track
from echomotion.models.trackers.there_and_back import there_and_back_px

# Called as stage(name, done, total) while an analysis goes on.
Stage = Callable[[str, int, int], None]

# Lines of the wall that are tracked; the first is the one that strain is reported from in brief.
LAYERS = (Layer.MID_WALL, Layer.ENDOCARDIAL, Layer.EPICARDIAL)


def track_wall(
    clip: Clip,
    masks: Masks,
    phases: Phases,
    *,
    tracker: str,
    points: int,
    model: SegmentModel,
    tell: Stage,
    mirrored: bool = False,
) -> tuple[dict[Layer, Tracks], str]:
    """Tracks per layer, `points` of each, or none and the reason why."""
    if clip.view in (View.PLAX, View.RV_FOCUSED):
        return {}, f"wall tracking needs an apical or short-axis view, this one is {clip.view}"
    if not phases.beats:
        return {}, phases.reason or "no heart beat was found"
    # A whole beat lets drift be seen, so the points start on the end-diastole of the first one.
    whole = [beat for beat in phases.beats if beat.next_ed_s is not None]
    frame = clip.frame_at((whole or list(phases.beats))[0].ed_s)
    try:
        if clip.view is View.PSAX:
            walls = [
                ring_points(masks, frame=frame, layer=layer, count=points, spacing_mm=clip.spacing_mm, model=model)
                for layer in LAYERS
            ]
        else:
            walls = [
                wall_points(
                    masks,
                    frame=frame,
                    layer=layer,
                    count=points,
                    view=clip.view,
                    spacing_mm=clip.spacing_mm,
                    mirrored=mirrored,
                    model=model,
                )
                for layer in LAYERS
            ]
    except DataError as error:
        return {}, str(error)
    # All lines go in one call: neighbours help each other, and frames are prepared once.
    queries = np.concatenate([wall.queries for wall in walls])
    both = track(clip, queries, model=tracker, warn=False, progress=lambda done, total: tell("track", done, total))
    found = {}
    for i, wall in enumerate(walls):
        part = slice(i * points, (i + 1) * points)
        found[wall.layer] = Tracks(
            both.xy[part], both.visible[part], both.confidence[part], both.queries[part], wall, both.model
        )
    return found, ""


def wall_closure(
    clip: Clip, tracks: Mapping[Layer, Tracks], phases: Phases, *, tracker: str, tell: Stage
) -> dict[Layer, NDArray[np.float64]]:
    """How far the points of each line (N,) miss their start, in px, when they are followed back from end-systole."""
    start = {int(line.queries[0, 0]) for line in tracks.values()}
    turns = [turn for turn in (clip.frame_at(beat.es_s) for beat in phases.beats) if start and turn not in start]
    if not turns:
        return {}
    # Systole alone: strain is read at its end, and what a tracker loses it loses there. A recording that begins in
    # systole may hold that end before the query only.
    turn = min((turn for turn in turns if turn > max(start)), default=max(turns))
    lines = list(tracks.values())
    joined = Tracks(
        np.concatenate([line.xy for line in lines]),
        np.concatenate([line.visible for line in lines]),
        np.concatenate([line.confidence for line in lines]),
        np.concatenate([line.queries for line in lines]),
    )
    misses = there_and_back_px(
        create_tracker(tracker),
        clip,
        joined,
        turn,
        progress=lambda done, total: tell("check", done, total),
    )
    parts = np.split(np.hypot(*misses.T), np.cumsum([line.n_points for line in lines])[:-1])
    return dict(zip(tracks, parts, strict=True))
