"""Training of PointSeg's second stage: masks, with the tracker frozen and its trajectories found beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echomotion.core import APICAL_CLASSES, Clip, DataError, Geometry
from echomotion.core.masks import LEFT_ATRIUM, LV_CAVITY
from echomotion.datasets.camus import read_camus_pairs
from echomotion.datasets.splits import chosen_names
from echomotion.models.layers.efficientnet import EfficientNetLite0, load_imagenet
from echomotion.models.layers.fixed_norm import measured_statistics
from echomotion.models.layers.unet_encoder import UNetEncoder
from echomotion.models.losses import contraction_loss, masks_at_points, pointseg_loss, temporal_smoothing
from echomotion.models.segmenters.point_cues import (
    Cues,
    cue_queries,
    point_paths,
)
from echomotion.models.segmenters.pointseg_network import PointPaths, PointSegConfig, PointSegNetwork
from echomotion.simulate.joined import JoinedBeat, square_frames
from echomotion.training.cue_videos import CueTracker, recorded_videos, selection_beats, simulated_videos
from echomotion.training.unet_start import begin_as_unet
from echomotion.training.videos import (
    Video,
    cached_beat,
    dice,
    draw_joined,
    draw_stills,
    draw_video,
    scaled,
    stacked,
)

# Frames that set the statistics of the encoder's normalisations.
_MEASURED = 32


@dataclass(frozen=True)
class PointSegTraining:
    """Data side of a recipe.

    Attributes
    ----------
    targets : tuple of str
        Classes that are learned, in the order of the network's outputs; ``[lv_myocardium]`` is the paper's choice.
    grid, early_grid : int
        Side of the square grid in px that the model runs on, and during the first `early_share` of the run.
    early_share : float
    plain, late_plain, late_share : float
        Share of the clips placed about as they were recorded (``augment.draw_reach``); the same at the end of
        the run; and how long that end is, in parts of the run.
    frames : int
        Of a step, of all clips together.
    length : int
        Frames of a clip of a beat; a third to a half of the clips have all `frames`.
    points : int
        Of a clip.
    stills, joined, simulated, videos : float
        Shares of the steps that show single frames of CAMUS, the two of a patient placed alike; beats between a
        patient's two frames; simulated clips; clips of `video_folder`.
    from_patients, parametric : int
        Simulated sequences with patients' anatomy, and with parametric hearts.
    video_folder : str
        As :func:`echomotion.datasets.folder.read_labelled_videos` reads it, or EchoNet-Dynamic (``targets`` is then
        ``[lv_cavity]``); empty for none.
    tracker : str
        Whose trajectories are learned with.
    tracker_weights : str
        Folder; empty for the installed ones.
    spacing_px : float
        Of its grid of points.
    steady_px : float
        A point of a video of two frames counts for smoothness when it comes back to so many px of its start.
    weights : tuple of float
        Of the layers.
    temporal, temporal_rise : float
        Weight of smoothness relative to Dice, and the part of the run over which it rises to that.
    cross_entropy : float
    contraction : float
        Weight of how the cavity's area changes between the two single frames of a patient, for the ejection fraction.
    pretrained : bool
        Whether an EfficientNet-Lite0 starts from ImageNet (extra ``imagenet``), and a network with the encoder of a
        U-Net as the installed `unet` (:mod:`.unet_start`). That knows all masks of CAMUS: where some of these are
        hidden, the network starts from nothing.
    start : str
        Folder of weights of a `unet` to begin as in place of that, of the same few masks, say.
    labels : float
        Share of the patients who are learned from, 0 to 1; at least one.
    label_seed : int
        Another seed chooses others.
    beats : int
        Patients whose beats are validated on.
    cache : str
        Folder of trajectories and simulated sequences; the run's own where empty.
    """

    targets: tuple[str, ...] = ("lv_cavity", "lv_myocardium", "left_atrium")
    grid: int = 256
    early_grid: int = 192
    early_share: float = 0.5
    plain: float = 0.5
    late_plain: float = 0.9
    late_share: float = 0.4
    frames: int = 8
    length: int = 4
    points: int = 96
    stills: float = 0.5
    joined: float = 0.35
    simulated: float = 0.15
    videos: float = 0.0
    from_patients: int = 24
    parametric: int = 8
    video_folder: str = ""
    tracker: str = "echomotion_tracker"
    tracker_weights: str = ""
    spacing_px: float = 16.0
    steady_px: float = 2.0
    weights: tuple[float, ...] = (0.25, 0.5, 1.0)
    temporal: float = 100.0
    temporal_rise: float = 0.3
    cross_entropy: float = 1.0
    contraction: float = 0.0
    pretrained: bool = True
    start: str = ""
    labels: float = 1.0
    label_seed: int = 0
    beats: int = 10
    cache: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.labels <= 1:
            raise DataError(f"labels is {self.labels:g}; a share of the patients over 0 and up to 1 is learned from")
        if self.contraction and LV_CAVITY not in self.targets:
            raise DataError(f"contraction is that of the cavity; set it to 0, or put {LV_CAVITY} into targets")
        if self.contraction and min(self.frames, self.length) < 2:
            raise DataError("contraction needs frames and length of 2 or more: clips of one frame are a patient's two")


class PointSegTask:
    """CAMUS and simulated clips; Dice and smoothness; Dice of cavity and myocardium on other patients."""

    def __init__(
        self, data: str | Path, folder: str | Path, training: PointSegTraining, config: PointSegConfig
    ) -> None:
        if len(training.weights) != config.layers:
            raise DataError(f"weights has {len(training.weights)} numbers; the network has {config.layers} layers")
        if len(training.targets) != config.classes or set(training.targets) - set(APICAL_CLASSES.values()):
            raise DataError(f"targets is {list(training.targets)}; the network has {config.classes} classes of CAMUS")
        if config.token_dim and (training.stills or training.joined):
            raise DataError("single frames and joined beats have no tracker tokens; set stills and joined to 0")
        self.training = training
        # The stubs of torch do not know the word.
        network = PointSegNetwork(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: nn.Module = network
        self.folder = Path(training.cache) if training.cache else Path(folder) / "cache"
        self.tokens = config.token_dim > 0
        known = {name: label for label, name in APICAL_CLASSES.items()}
        self.numbers = np.zeros(256, dtype=np.uint8)
        self.numbers[[known[name] for name in training.targets]] = np.arange(1, config.classes + 1)
        side = round(1.5 * training.grid)
        fit = read_camus_pairs(data, "fit")
        if training.labels < 1:
            shown = set(chosen_names([frames[0].patient for frames in fit], training.labels, training.label_seed))
            fit = [frames for frames in fit if frames[0].patient in shown]
        self.stills = [square_frames(frames, side) for frames in fit]
        self.beats = [b for frames in fit if (b := cached_beat(self.folder, frames, side))] if training.joined else []
        cues = CueTracker(
            training.tracker,
            training.tracker_weights,
            training.spacing_px,
            training.steady_px,
            training.grid,
            self.tokens,
            self.folder,
        )
        self.videos: list[Video] = []
        if training.simulated:
            self.videos = [*simulated_videos(cues, data, training.from_patients, training.parametric)]
        self.recorded: list[Video] = []
        if training.videos:
            self.recorded = [*recorded_videos(cues, Path(training.video_folder), training.targets)]
        chosen = read_camus_pairs(data, "selection")
        self.selection = [square_frames(frames, training.grid) for frames in chosen]
        self.selection_beats = [*selection_beats(cues, chosen[: training.beats])]
        shares = {"stills": self.stills, "joined": self.beats, "simulated": self.videos, "videos": self.recorded}
        usable = {name: getattr(training, name) for name, items in shares.items() if items}
        total = sum(usable.values())
        if total <= 0:
            raise DataError("there is nothing to train on; give stills, joined, simulated or videos a share")
        self.shares = {name: share / total for name, share in usable.items()}
        self.share = 0.0
        if training.start:
            begin_as_unet(network, self._some_frames(training.grid), training.start)
        elif training.pretrained and isinstance(network.encoder, EfficientNetLite0):
            load_imagenet(network.encoder)
        elif training.pretrained and isinstance(network.encoder, UNetEncoder) and training.labels == 1:
            begin_as_unet(network, self._some_frames(training.grid))
        self._measure(network)

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Tensors as :class:`echomotion.training.videos.Draw` has them, with the axis of the clips first."""
        own = self.training
        self.share = share
        size = own.early_grid if share < own.early_share else own.grid
        plain = own.late_plain if share > 1 - own.late_share else own.plain
        kind = str(rng.choice(list(self.shares), p=list(self.shares.values())))
        if kind == "stills":
            hearts = max(1, own.frames // 2)
            chosen = rng.choice(len(self.stills), hearts, replace=hearts > len(self.stills))
            drawn = (draw_stills(*self.stills[int(i)], size, own.points, rng, plain) for i in chosen)
            draws = [one for both in drawn for one in both]
        else:
            # Pairs, as ED and ES alone are; and long clips, since attention over time has to know both.
            lengths = (2, own.length, own.frames) if kind == "joined" else (own.length, own.frames)
            length = int(rng.choice(lengths))
            numbers = rng.integers(len(self._items(kind)), size=max(1, own.frames // length))
            if kind == "joined":
                draws = [draw_joined(self.beats[i], length, size, own.points, rng, plain) for i in numbers]
            else:
                items = self._items(kind)
                draws = [draw_video(items[i], length, size, own.points, rng, plain) for i in numbers]
        arrays = stacked(draws)
        frames, labels, *rest = (torch.from_numpy(array) for array in arrays)
        return (frames, torch.from_numpy(self.numbers)[labels.long()], *rest)

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """See :func:`echomotion.models.losses.pointseg_loss` and :func:`echomotion.models.losses.contraction_loss`."""
        frames, labels, labelled, xy, visible, confidence, counted, tokens = batch
        own = self.training
        layers = network(frames[:, :, None], PointPaths(xy, visible, confidence, tokens if self.tokens else None))
        rise = min(1.0, self.share / own.temporal_rise) if own.temporal_rise > 0 else 1.0
        total = pointseg_loss(
            layers,
            labels,
            labelled,
            xy,
            counted,
            weights=own.weights,
            temporal=own.temporal * rise,
            cross_entropy=own.cross_entropy,
        )
        # Clips of one frame are single frames of CAMUS, two of each patient.
        if own.contraction and frames.shape[1] == 1:
            cavity = own.targets.index(LV_CAVITY)
            probability = layers[-1][:, 0, cavity].sigmoid().unflatten(0, (-1, 2))
            inside = (labels[:, 0] == cavity + 1).unflatten(0, (-1, 2))
            total = total + own.contraction * contraction_loss(probability, inside)
        return total

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice per class on single frames and on beats, and what the temporal loss says of these."""
        network.eval()
        device = next(network.parameters()).device
        stills = []
        for image, labels in ((one, true) for pair in self.selection for one, true in zip(*pair, strict=True)):
            still = _standing(image, self.training.spacing_px, self.tokens, network)
            found, _ = _labels(network, image[None], still, device)
            stills.append(self._dice(found[0], labels))
        beats, rough = [], []
        for video in self.selection_beats:
            found, logits = _labels(network, video.frames, video.cues, device)
            beats += [self._dice(one, labels) for one, labels in zip(found, video.labels, strict=True)]
            counted = torch.from_numpy((video.cues.visible & video.steady[:, None]).astype(np.float32))[None]
            values = masks_at_points(logits[None], torch.from_numpy(video.cues.xy)[None], 1.0)
            rough.append(float(temporal_smoothing(values, counted)))
        network.train()
        names = self.training.targets
        means = dict(zip(names, np.nanmean(beats if self.tokens else stills, axis=0).tolist(), strict=True))
        # As for the U-Net, the atrium does not choose between checkpoints.
        deciding = [means[name] for name in names if name != LEFT_ATRIUM] or list(means.values())
        figures = {"score": float(np.mean(deciding)), **means}
        if beats:
            figures["beats_dice"] = float(np.nanmean(beats))
            figures["beats_roughness"] = float(np.mean(rough))
        return figures

    def _dice(self, found: NDArray[np.uint8], labels: NDArray[np.uint8]) -> list[float]:
        true = self.numbers[labels]
        return [dice(found == k, true == k) for k in range(1, len(self.training.targets) + 1)]

    def _items(self, kind: str) -> list[Video] | list[JoinedBeat]:
        return self.beats if kind == "joined" else self.videos if kind == "simulated" else self.recorded

    def _measure(self, network: PointSegNetwork) -> None:
        with measured_statistics(network.encoder):
            network.encoder(self._some_frames(self.training.early_grid))

    def _some_frames(self, size: int) -> Tensor:
        some = np.linspace(0, len(self.stills) - 1, min(_MEASURED, len(self.stills))).astype(int)
        # Of both phases in turn.
        frames = scaled([self.stills[i][0][k % 2] for k, i in enumerate(some)], size)
        return torch.from_numpy(frames)[:, None].float() / 255


def _standing(image: NDArray[np.uint8], spacing_px: float, tokens: bool, network: nn.Module) -> Cues:
    """Points of one frame, as :class:`PointGuidedSegmenter` asks for them."""
    clip = Clip(image[None], np.zeros(1))
    queries = cue_queries(clip, image[None], Geometry.identity(clip.shape), spacing_px)
    seen = np.ones((len(queries), 1), bool)
    width = int(network.config.token_dim) if tokens else 0  # type: ignore[union-attr, arg-type]
    own = np.zeros((len(queries), 1, width), np.float32) if tokens else None
    return Cues(queries[:, None, 1:].astype(np.float32), seen, seen.astype(np.float32), own)


def _labels(
    network: nn.Module, frames: NDArray[np.uint8], cues: Cues, device: torch.device
) -> tuple[NDArray[np.uint8], Tensor]:
    """Labels (T, H, W) of a clip and the logits (T, K, H, W) that they come from."""
    grey = torch.from_numpy(frames).to(device).float()[None, :, None] / 255
    logits = network(grey, point_paths([cues], device))[-1][0].cpu()
    found = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).argmax(dim=1)
    return found.numpy().astype(np.uint8), logits
