"""Make the picture of the README from the recording that ships with pydicom: ``python docs/make_pictures.py``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from pydicom.data import get_testdata_file

import echomotion as em
from echomotion.report.overlay import overlay_frames

HERE = Path(__file__).parent


def main() -> None:
    """Write ``images/demo.png``: the overlay near end-systole and at end-diastole."""
    clip = em.read_clip(get_testdata_file("examples_ybr_color.dcm", download=False), view="A4C")
    result = em.analyze(clip)
    beat = result.phases.beats[0]
    frames = list(islice(overlay_frames(result), clip.n_frames))
    chosen = [frames[clip.frame_at(time)] for time in (beat.ed_s, beat.es_s)]
    picture = cv2.cvtColor(np.hstack(chosen), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(HERE / "images" / "demo.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
