"""Edge-filtered scale-invariant motion features of a cine: what told echo recordings apart before deep learning.

After Kumar, Wang, Beymer and Syeda-Mahmood, "Echocardiogram View Classification Using Edge Filtered Scale-invariant
Motion Features" (CVPR 2009): motion between neighbouring frames, kept where the picture has edges; salient points of
that map at their own scale; histograms of motion and of brightness about them; a dictionary, and how often each of its
words occurs. Ours: dense flow by Farneback in place of registration by demons, and counts in place of a pyramid.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DataError
from echomotion.preprocess.grid import to_model_grid

GRID = (160, 160)
WORDS = 48
# Of a clip's frames, spread evenly; of their pixels with the strongest gradient; of salient points a frame.
_PAIRS, _EDGES, _POINTS = 12, 0.15, 40
# Cells along a window's side, their pixels, bins of their histograms; a window is so many sizes of its point wide.
_CELLS, _CELL_PX, _BINS, _WINDOW = 2, 8, 8, 3.0
# A motion of this many px between two frames is white.
_WHITE_PX = 6.0


def motion_descriptors(clip: Clip) -> NDArray[np.float32]:
    """Histograms of motion and of brightness about salient points of edge-filtered motion, (N, 64).

    N is 0 where nothing moves.
    """
    frames, _ = to_model_grid(clip, GRID)
    detector = cv2.SIFT.create(nfeatures=_POINTS)
    found = []
    for t in np.unique(np.linspace(0, max(0, len(frames) - 2), _PAIRS).astype(int)):
        if t + 1 >= len(frames):
            break
        moved = edge_filtered_motion(frames[t], frames[t + 1])
        for point in detector.detect(moved, None):
            found.append(np.concatenate([_histograms(image, point.pt, point.size) for image in (moved, frames[t])]))
    return np.array(found, np.float32).reshape(-1, 2 * _CELLS**2 * _BINS)


def _histograms(image: NDArray[np.uint8], place: Sequence[float], size: float) -> NDArray[np.float64]:
    """Shares of grey levels in each cell of a window about a place, as wide as the point's scale says."""
    side = _CELLS * _CELL_PX
    scale = side / (_WINDOW * size)
    shift = np.array([side / 2 - scale * place[0], side / 2 - scale * place[1]])
    window = cv2.warpAffine(image, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), (side, side))
    cells = window.reshape(_CELLS, _CELL_PX, _CELLS, _CELL_PX).swapaxes(1, 2).reshape(_CELLS**2, -1)
    return np.concatenate([np.bincount(cell * _BINS // 256, minlength=_BINS) / cell.size for cell in cells.astype(int)])


def edge_filtered_motion(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Speed between two frames (H, W) as grey levels, 0 away from the edges of the first."""
    flow = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    soft = cv2.GaussianBlur(first, (0, 0), 1.5).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    near = cv2.dilate((gradient > np.quantile(gradient, 1 - _EDGES)).astype(np.uint8), np.ones((3, 3), np.uint8))
    speed = np.hypot(flow[..., 0], flow[..., 1]) * near
    return np.clip(255 * speed / _WHITE_PX, 0, 255).astype(np.uint8)


def word_counts(descriptors: Sequence[NDArray[np.float32]], *, seed: int = 0) -> NDArray[np.float64]:
    """How often each word of a dictionary occurs in each clip, as shares (clips, words).

    The dictionary is made of the descriptors of all clips, whose labels it does not know.

    Raises
    ------
    DataError
        When there are fewer descriptors than words.
    ImportError
        Without scikit-learn.
    """
    from sklearn.cluster import MiniBatchKMeans

    every = np.concatenate(list(descriptors)) if descriptors else np.zeros((0, 64), np.float32)
    if len(every) < WORDS:
        raise DataError(f"{len(every)} descriptors of motion make no dictionary of {WORDS} words")
    words = MiniBatchKMeans(WORDS, random_state=seed, n_init=3, batch_size=1024).fit(every)
    counts = np.zeros((len(descriptors), WORDS))
    for k, own in enumerate(descriptors):
        if len(own):
            counts[k] = np.bincount(words.predict(own), minlength=WORDS) / len(own)
    return counts
