from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from echomotion.analysis_types import Analysis
from echomotion.report.curves import power_of_thousand, segment_curves, strain_svg, write_svg
from echomotion.report.figures import vector_figures
from echomotion.report.style import SEGMENT_COLOURS, segment_colours, segment_dashes
from tests.report.samples import no_ventricle, ventricle, with_strange_text


def _texts(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def size_svg(analysis: Analysis) -> str:
    return vector_figures(analysis).get("volume", "<svg/>")


def test_strain_has_phases_segments_and_their_colours() -> None:
    analysis = ventricle()
    svg = strain_svg(analysis)
    texts = _texts(svg)
    assert texts.count("ED") == 2
    assert texts.count("ES") == 1
    assert "Strain (%)" in texts
    assert "basal inferoseptal" in texts
    assert all(colour.lower() in svg.lower() for colour in SEGMENT_COLOURS)
    assert len(segment_curves(analysis)) == 6
    assert "basal inferoseptal" not in _texts(strain_svg(analysis, legend=False))


@pytest.mark.parametrize(("after", "sides"), [(0.35, ("end", "start")), (0.2, ("start", "end"))])
def test_a_given_valve_closure_is_marked_beside_end_systole(after: float, sides: tuple[str, str]) -> None:
    found = ventricle()
    assert "AVC" not in _texts(strain_svg(found))
    given = {**found.provenance, "options": {"measure": {"strain": {"avc_after_ed_s": after}}}}
    beat = found.phases.beats[0]
    svg = strain_svg(replace(found, provenance=given))
    assert _texts(svg).count("AVC") == 1
    nodes = {node.text: node for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    # The two names stand on either side, away from each other, the later one on the right.
    assert (after > beat.es_s - beat.ed_s) == (sides == ("end", "start"))
    styles = tuple(nodes[name].get("style", "") for name in ("ES", "AVC"))
    assert tuple("text-anchor: end" in style for style in styles) == tuple(side == "end" for side in sides)


def test_every_beat_is_marked() -> None:
    texts = _texts(strain_svg(ventricle(beats=2)))
    assert texts.count("ED") == 3
    assert texts.count("ES") == 2


def test_volume_and_area_state_their_units() -> None:
    assert {"Volume (mL)", "Cavity area (cm²)"} <= set(_texts(size_svg(ventricle())))
    assert {"Volume (10³ px³)", "Cavity area (px²)"} <= set(_texts(size_svg(ventricle(calibrated=False))))


@pytest.mark.parametrize(("values", "power"), [([0, np.nan, 52_000], 3), ([9_999], 0), ([4e6], 6), ([np.nan], 0)])
def test_values_of_many_digits_are_counted_in_thousands_or_millions(values: list[float], power: int) -> None:
    assert power_of_thousand(np.array(values, dtype=float)) == power


@pytest.mark.parametrize("draw", [strain_svg, size_svg])
def test_colours_of_text_follow_the_page_and_nothing_comes_from_outside(draw) -> None:
    svg = draw(ventricle())
    assert "var(--ink" in svg
    assert not any(placeholder in svg for placeholder in ("#010203", "#020304", "#030405"))
    assert "#000000" not in svg
    bare = svg.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    assert "http" not in bare
    assert "<script" not in svg


def test_the_same_curves_give_the_same_text() -> None:
    assert strain_svg(ventricle()) == strain_svg(ventricle())


def test_ids_of_two_figures_differ() -> None:
    def ids(svg: str) -> set[str]:
        return {node.attrib["id"] for node in ET.fromstring(svg).iter() if "id" in node.attrib}

    analysis = ventricle()
    assert not ids(strain_svg(analysis)) & ids(size_svg(analysis))


def test_names_from_outside_are_text() -> None:
    name = "<b>$x_1$ & y"
    assert any(name.replace("_", " ") in text for text in _texts(strain_svg(with_strange_text(ventricle(), name))))


def test_figures_without_any_value() -> None:
    ET.fromstring(strain_svg(no_ventricle()))
    ET.fromstring(size_svg(no_ventricle()))


def test_a_file_of_its_own(tmp_path: Path) -> None:
    write_svg(tmp_path / "strain.svg", strain_svg(ventricle()))
    assert ET.parse(tmp_path / "strain.svg").getroot().tag.endswith("svg")


def test_the_walls_differ_in_colour_and_in_dash() -> None:
    names = list("abcdef")
    assert len(set(segment_colours(names).values())) == 6
    assert [bool(dash) for dash in segment_dashes(names).values()] == [False] * 3 + [True] * 3
