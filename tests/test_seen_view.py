"""What the picture says of the view: decided where nothing is stated, contradicted where it is surely wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echomotion import seen_view
from echomotion.core import Clip, View
from echomotion.datasets.camus import read_camus
from echomotion.io.read import read_clip
from echomotion.models.base import ViewGuess
from echomotion.models.run import guess_view
from echomotion.models.view_classifier import APICAL, KINDS, LONG_AXIS, OTHER, SHORT_AXIS
from echomotion.seen_view import settled_view
from echomotion.simulate.sequence import simulate


def clip_of(view, monkeypatch, kind, probability):
    rest = (1 - probability) / 3
    guess = ViewGuess(kind, probability, {name: probability if name == kind else rest for name in KINDS})
    monkeypatch.setattr(seen_view, "guess_view", lambda clip: guess)
    return Clip(np.zeros((2, 20, 20), np.uint8), [0.0, 0.04], view=view)


def test_a_long_axis_is_taken_where_nothing_is_stated(monkeypatch):
    clip, (told,) = settled_view(clip_of("UNKNOWN", monkeypatch, LONG_AXIS, 0.97))
    assert clip.view is View.PLAX
    assert clip.source.view_origin == "picture"
    assert "a parasternal long axis (0.97)" in told
    assert "--view" in told


@pytest.mark.parametrize(
    ("kind", "probability", "words"),
    [
        (LONG_AXIS, 0.8, "parasternal long axis (0.80); an apical view is assumed: name it"),
        (APICAL, 0.99, "an apical view (0.99), and is taken for one"),
        (SHORT_AXIS, 0.95, "a short axis (0.95); an apical view is assumed, wrongly it seems"),
        (OTHER, 0.95, "none of the standard views (0.95); an apical view is assumed, wrongly it seems"),
    ],
)
def test_otherwise_the_view_stays_open_and_the_warning_says_why(monkeypatch, kind, probability, words):
    clip, (told,) = settled_view(clip_of("UNKNOWN", monkeypatch, kind, probability))
    assert clip.view is View.UNKNOWN
    assert words in told


def test_what_is_stated_stands_and_is_contradicted_only_surely(monkeypatch):
    for kind, probability, count in ((APICAL, 0.99, 0), (LONG_AXIS, 0.9, 0), (LONG_AXIS, 0.96, 1)):
        clip, told = settled_view(clip_of("A4C", monkeypatch, kind, probability))
        assert clip.view is View.A4C
        assert len(told) == count


def test_hearts_that_the_classifier_has_not_seen():
    for view, kind in (("A4C", APICAL), ("PLAX", LONG_AXIS), ("PSAX", SHORT_AXIS)):
        found = [
            guess_view(simulate(view, seed=880000 + k, n_frames=2, shape=(160, 200), n_tracks=4).clip).kind
            for k in range(3)
        ]
        assert found.count(kind) >= 2, (view, found)


def test_what_is_no_heart():
    text = np.full((120, 160), 20, np.uint8)
    for row in range(8):
        cv2.putText(text, "EDV 120 ml", (8, 14 + 14 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 220, 1)
    assert guess_view(Clip(text[None], [0.0])).kind == OTHER


def test_real_apical_recordings_are_not_taken_for_another_view(echo_data):
    frames = list(read_camus(echo_data / "CAMUS_public", "validation"))[::10]
    found = [guess_view(frame.clip) for frame in frames]
    assert sum(guess.kind == APICAL for guess in found) >= 8
    assert not any(guess.kind == LONG_AXIS and guess.probability >= 0.9 for guess in found)
    clip = read_clip(echo_data / "clips" / "apical4_echotracker_45f.mp4")
    assert guess_view(clip).kind == APICAL
