"""What the picture says of the view: decided where nothing is stated, contradicted where it is surely wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pydicom.data import get_testdata_file

from echomotion import seen_view
from echomotion.core import Clip, View
from echomotion.datasets.camus import read_camus
from echomotion.io.read import read_clip
from echomotion.models.base import ViewGuess
from echomotion.models.display_classifier import MIRRORED, STANDARD
from echomotion.models.run import guess_display, guess_view
from echomotion.models.view_classifier import APICAL, KINDS, LONG_AXIS, OTHER, SHORT_AXIS
from echomotion.seen_view import seen_mirrored, settled_view
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


def test_a_mirrored_picture_is_told_of_a_four_chamber_view_alone(monkeypatch):
    for probability, view, told in ((0.97, "A4C", True), (0.9, "A4C", False), (0.97, "A2C", False)):
        guess = ViewGuess(MIRRORED, probability, {MIRRORED: probability, STANDARD: 1 - probability})
        monkeypatch.setattr(seen_view, "guess_display", lambda clip, guess=guess: guess)
        reason = seen_mirrored(Clip(np.zeros((2, 20, 20), np.uint8), [0.0, 0.04], view=view))
        assert ("looks mirrored (0.97)" in reason) == told
    clip = Clip(np.zeros((2, 20, 20), np.uint8), [0.0, 0.04], view="A4C")
    for probability, stated, told in ((0.97, True, ""), (0.03, True, "does not look so (0.97)"), (0.03, False, "")):
        probabilities = {MIRRORED: probability, STANDARD: 1 - probability}
        kind = max(probabilities, key=lambda name: probabilities[name])
        guess = ViewGuess(kind, probabilities[kind], probabilities)
        monkeypatch.setattr(seen_view, "guess_display", lambda clip, guess=guess: guess)
        reason = seen_mirrored(clip, stated=stated)
        assert told in reason
        assert bool(told) == bool(reason)
    monkeypatch.setattr(seen_view, "has_weights", lambda model: False)
    assert seen_mirrored(clip) == ""


def test_real_recordings_are_displayed_as_they_are(echo_data):
    frames = list(read_camus(echo_data / "CAMUS_public", "validation"))[::25]
    clips = [frame.clip for frame in frames]
    clips.append(read_clip(echo_data / "clips" / "apical4_echotracker_45f.mp4"))
    clips.append(read_clip(get_testdata_file("examples_ybr_color.dcm", download=False)))
    for clip in clips:
        assert guess_display(clip).kind == STANDARD
        turned = guess_display(clip.with_(frames=np.ascontiguousarray(clip.frames[:, :, ::-1])))
        assert turned.kind == MIRRORED
    # The cines, none of which it has seen, surely enough to be told.
    assert turned.probability >= 0.95


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
