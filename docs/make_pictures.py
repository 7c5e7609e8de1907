"""Make the pictures of the README and of the pages beside this file: ``python docs/make_pictures.py``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

import echomotion as em
from echomotion.report.overlay import overlay_frames
from echomotion.simulate.preview import contact_sheet
from echomotion.simulate.sequence import simulate

HERE = Path(__file__).parent


def main() -> None:
    """Write all pictures into ``images``."""
    demo()
    simulation()


def demo() -> None:
    """``demo.png``: the recording that ships with pydicom, with its overlay, at end-diastole and end-systole."""
    clip = em.read_clip(get_testdata_file("examples_ybr_color.dcm", download=False), view="A4C")
    result = em.analyze(clip)
    beat = result.phases.beats[0]
    frames = list(islice(overlay_frames(result), clip.n_frames))
    chosen = [frames[clip.frame_at(time)] for time in (beat.ed_s, beat.es_s)]
    _write("demo.png", np.hstack(chosen))


def simulation() -> None:
    """``simulation.png``: a simulated heart in four views, plain and with what is known, over a beat."""
    sheets = [contact_sheet(simulate(view, 5, difficulty=0.3), columns=3) for view in ("A4C", "A3C", "PLAX", "PSAX")]
    half = [cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for sheet in sheets]
    _write("simulation.png", np.vstack([np.hstack(half[:2]), np.hstack(half[2:])]))


def _write(name: str, picture: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(HERE / "images" / name), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
