"""Make the pictures of the README and of the pages beside this file: ``python docs/make_pictures.py``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
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
    pointseg()


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


def pointseg() -> None:
    """``pointseg.svg``: what becomes what in PointSeg."""
    figure = Figure(figsize=(9, 4.0))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 18), ylim=(1.2, 9.2))
    axes.axis("off")
    boxes = {
        "frames": (0.3, 6.6, 2.2, 1.2, "cine\nT frames", "#ffffff"),
        "encoder": (3.3, 6.6, 2.9, 1.2, "CNN encoder\nstrides 2 4 8 16 32", "#d7e8f7"),
        "mix": (7.1, 6.6, 2.9, 1.2, "deformable\nattention, 2 layers", "#d7e8f7"),
        "tracker": (3.3, 1.6, 2.9, 1.2, "point tracker\n(frozen)", "#fbe3cf"),
        "points": (7.1, 1.6, 2.9, 1.2, "point tokens: features,\nmotion, confidence", "#fbe3cf"),
        "fusion": (10.9, 2.1, 3.3, 5.2, _FUSION, "#e2f2e4"),
        "decoder": (15.1, 6.6, 2.6, 1.2, "pixel decoder\nto stride 2", "#d7e8f7"),
        "classes": (15.1, 1.6, 2.6, 1.2, "class tokens, K", "#f3e2f0"),
        "masks": (15.1, 4.1, 2.6, 1.2, "masks: inner\nproduct, sigmoid", "#ffffff"),
    }
    for x, y, width, height, text, colour in boxes.values():
        axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="#333333", linewidth=0.8))
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8.5)
    lines = (
        ((2.5, 7.2), (3.3, 7.2)), ((6.2, 7.2), (7.1, 7.2)), ((10.0, 7.0), (10.9, 7.0)), ((14.2, 7.0), (15.1, 7.0)),
        ((1.4, 6.6), (3.3, 2.2)), ((6.2, 2.2), (7.1, 2.2)), ((10.0, 2.3), (10.9, 2.3)), ((14.2, 2.3), (15.1, 2.3)),
        ((16.4, 6.6), (16.4, 5.3)), ((16.4, 2.8), (16.4, 4.1)), ((8.55, 6.6), (8.55, 2.8)),
    )  # fmt: skip
    for start, end in lines:
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#333333", "lw": 1})
    axes.add_patch(
        FancyArrowPatch(
            (4.75, 7.8), (16.4, 7.8), connectionstyle="arc3,rad=-0.08", arrowstyle="-|>", mutation_scale=10, lw=1
        )
    )
    axes.text(10.6, 8.75, "finer maps", ha="center", fontsize=8)
    axes.text(8.7, 4.7, "features along\nthe trajectories", fontsize=8, va="center")
    figure.savefig(HERE / "images" / "pointseg.svg", metadata={"Date": None})


_FUSION = (
    "3 fusion layers\n\npoints <- patches\nof their frame\n\npoints <- points\nof their frame\n\n"
    "points <- themselves\nalong time\n\npatches <- points\n\nclasses <- classes, points"
)


def _write(name: str, picture: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(HERE / "images" / name), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
