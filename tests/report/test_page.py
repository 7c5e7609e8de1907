from __future__ import annotations

import base64
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from echomotion.analysis_types import Analysis
from echomotion.core import Beat, Phases, Status
from echomotion.measure.clip_measurements import MeasureOptions
from echomotion.report.key_frames import key_times
from echomotion.report.page import report_page
from echomotion.report.words import number
from tests.report.samples import no_ventricle, ventricle, with_strange_text

_VOID = {"meta", "img", "br", "link", "input", "hr"}


class _Page(HTMLParser):
    """Tags in order, with a check that every element is closed in its turn; the text without style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return ventricle()


@pytest.fixture(scope="module")
def page(analysis: Analysis) -> str:
    return report_page(analysis)


def test_the_page_stands_alone(page: str) -> None:
    parsed = _Page(page)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
        assert not any(name.startswith("on") for name in attributes)
    style = page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_every_link_inside_the_page_leads_somewhere(page: str) -> None:
    parsed = _Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(a.get(name, "")) for _, a in parsed.tags for name in ("href", "xlink:href")}
    targets = {link for link in links if link.startswith("#")}
    assert {target[1:] for target in targets} <= set(ids)


def test_every_measurement_is_there_with_its_method(analysis: Analysis, page: str) -> None:
    text = _Page(page).text
    assert page.count('class="what"') == len(analysis.measurements)
    for row in analysis.measurements:
        assert number(row.value, row.unit) in text
        assert row.method[1:] in text
        assert row.reason in text


def test_header_and_origin(page: str) -> None:
    text = _Page(page).text
    for fact in ("case.dcm", "A4C", "0.6 mm", "from DICOM region", "40.0 per s", "CC BY-NC-SA 4.0", "cd" * 32, "0.1.0"):
        assert fact in text
    assert "Not a medical device" in text


def test_key_frames_are_pictures_at_the_right_times(analysis: Analysis, page: str) -> None:
    beat = analysis.phases.beats[0]
    times = dict(key_times(analysis))
    assert times["End-diastole (ED)"] == beat.ed_s
    assert times["End-systole (ES)"] == beat.es_s
    assert beat.ed_s < times["Mid-systole"] < beat.es_s < times["Mid-diastole"] < beat.next_ed_s
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 4
    for data in pictures:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert min(picture.shape[:2]) > 100


def test_a_clip_without_a_ventricle_has_a_page_with_reasons() -> None:
    analysis = no_ventricle()
    page = report_page(analysis)
    text = _Page(page).text
    assert page.count("data:image/png") == 4
    assert "no ventricular cavity was found on most frames" in text
    assert "There is no strain curve" in text
    assert "nan" not in text.lower().replace("nanometre", "")
    assert text.count("not measurable") >= len(analysis.measurements)


def test_statuses_have_a_word_and_a_shape() -> None:
    analysis = ventricle(calibrated=False)
    page = report_page(analysis)
    assert {row.status for row in analysis.measurements} == set(Status)
    assert "<circle" in page.split('class="status ok"')[1][:150]
    assert "<path" in page.split('class="status low_confidence"')[1][:150]
    text = _Page(page).text
    assert "low confidence" in text
    assert "not calibrated" in text
    assert "px³" in text


@pytest.mark.parametrize("words", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b $name ${x}"])
def test_words_from_outside_are_escaped(words: str) -> None:
    page = report_page(with_strange_text(ventricle(), words))
    parsed = _Page(page)
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    assert " ".join(words.split()) in parsed.text


def test_the_methods_say_what_was_done_to_lines_and_names(analysis: Analysis, page: str) -> None:
    assert "segmented outline" not in page
    assert "displayed mirrored" not in page
    measure = asdict(MeasureOptions(mirrored=True))
    told = {**analysis.provenance, "held_on_outline": 0.5, "options": {"tracker": "one", "measure": measure}}
    held = report_page(replace(analysis, provenance=told))
    assert "tracked by one and, across the wall, moved 50 % of the way to its segmented outline." in held
    assert "16-segment model, in a picture that is displayed mirrored." in held


def test_several_beats_show_the_mean_first() -> None:
    text = _Page(report_page(ventricle(beats=2, fps=25))).text
    assert text.index("mean of beats") < text.index("beat 1") < text.index("beat 2")


def test_phases_at_the_end_of_the_clip(analysis: Analysis) -> None:
    beat = replace(analysis.phases.beats[0], es_s=float(analysis.clip.times_s[-1]), next_ed_s=None)
    late = replace(analysis, phases=Phases((beat,), "user", 1.0))
    assert key_times(late)[-1][1] == analysis.clip.times_s[-1]
    report_page(late)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(-18.24, "%", "−18.2"), (-0.04, "%", "0.0"), (float("nan"), "mL", "–"), (182345.0, "px3", "182\u202f345")],
)
def test_numbers_for_a_reader(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_a_recording_that_starts_in_systole_shows_its_end_systole_first(analysis: Analysis) -> None:
    beat = Beat(float(analysis.clip.times_s[-4]), float(analysis.clip.times_s[3]))
    turned = replace(analysis, phases=Phases((beat,), "area", 0.6, "starts in systole"))
    names = [name for name, _ in key_times(turned)]
    assert names == ["End-systole (ES)", "Mid-diastole", "End-diastole (ED)", "Systole"]
    times = [time for _, time in key_times(turned)]
    assert times == sorted(times)


def test_the_way_there_and_back_stands_beside_each_segment_where_it_was_tried(analysis, page):
    assert "There and back" in _Page(page).text
    misses = np.full(61, 2.0)
    misses[:8] = np.inf
    text = _Page(report_page(replace(analysis, forward_backward_px={"mid_wall": misses}))).text
    assert f"{2 * analysis.clip.spacing_mm[0]:.1f} mm" in text
    assert "inf mm" not in text
    assert "lost" in text
