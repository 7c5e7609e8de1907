"""What the picture says of the view: where the file does not state it, and where it states another."""

from __future__ import annotations

from dataclasses import replace

from echomotion.core import Clip, View
from echomotion.models.base import ViewGuess
from echomotion.models.display_classifier import MIRRORED
from echomotion.models.run import DEFAULT_DISPLAY_CLASSIFIER, guess_display, guess_view
from echomotion.models.view_classifier import APICAL, LONG_AXIS, OTHER, SHORT_AXIS
from echomotion.models.weights import has_weights

# From these probabilities on the picture decides, or contradicts what is stated.
_SURE, _CONTRADICTS = 0.9, 0.95

_WORDS = {
    APICAL: "an apical view",
    LONG_AXIS: "a parasternal long axis",
    SHORT_AXIS: "a short axis",
    OTHER: "none of the standard views",
}
_KIND = {
    View.A4C: APICAL,
    View.A2C: APICAL,
    View.A3C: APICAL,
    View.RV_FOCUSED: APICAL,
    View.PLAX: LONG_AXIS,
    View.PSAX: SHORT_AXIS,
}


def settled_view(clip: Clip, assumed: str = APICAL) -> tuple[Clip, tuple[str, ...]]:
    """The clip with the view that its picture shows, where none is stated; and what a reader must know about it.

    Parameters
    ----------
    clip : Clip
    assumed : str
        What is taken where nothing is stated and the picture is not sure: ``apical`` or ``parasternal_long_axis``.

    Returns
    -------
    Clip
        The same, or with `view` PLAX and the origin ``picture``: apical views cannot be told from each other.
    tuple of str
        Warnings, at most one.
    """
    guess = guess_view(clip)
    if clip.view is View.UNKNOWN:
        return _found(clip, guess, assumed)
    stated = _KIND[clip.view]
    if guess.kind != stated and guess.probability >= _CONTRADICTS:
        return clip, (f"the view is stated as {clip.view}, but the picture looks like {_told(guess)}",)
    return clip, ()


def seen_mirrored(clip: Clip, *, stated: bool = False) -> str:
    """Why the names of segments are in doubt: the picture looks mirrored and is not stated to be, or the reverse.

    Empty where it looks as stated, for other views than A4C, and where the weights that tell, which come with
    ``echomotion-camus``, are not installed.
    """
    if clip.view is not View.A4C or not has_weights(DEFAULT_DISPLAY_CLASSIFIER):
        return ""
    guess = guess_display(clip)
    if guess.probability < _CONTRADICTS or (guess.kind == MIRRORED) == stated:
        return ""
    told = "is stated to be mirrored, but does not look so" if stated else "looks mirrored"
    remedy = "leave out --mirrored" if stated else "state it with --mirrored"
    return (
        f"the picture {told} ({guess.probability:.2f}): the names of septal and lateral segments are then exchanged; "
        f"{remedy} if that is right"
    )


def _found(clip: Clip, guess: ViewGuess, assumed: str) -> tuple[Clip, tuple[str, ...]]:
    seen = f"the view is not stated; the picture looks like {_told(guess)}"
    sure = guess.probability >= _SURE
    if sure and guess.kind == LONG_AXIS:
        source = replace(clip.source, view_origin="picture")
        return replace(clip, view=View.PLAX, source=source), (f"{seen}: name it with --view if that is wrong",)
    if guess.kind == assumed:
        return clip, (f"{seen}, and is taken for one; name it with --view",)
    return clip, (
        f"{seen}; {_WORDS[assumed]} is assumed" + (", wrongly it seems" if sure else "") + ": name it with --view",
    )


def _told(guess: ViewGuess) -> str:
    return f"{_WORDS[guess.kind]} ({guess.probability:.2f})"
