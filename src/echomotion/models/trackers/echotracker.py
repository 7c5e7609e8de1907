"""EchoTracker: a coarse guess of the whole path from correlation maps, refined at fine features.

After Azad et al., MICCAI 2024 (arXiv 2405.08587). The coarse stage correlates a point's features with every frame at
stride 8 and a 1-D residual network over time turns the maps into positions on all frames at once; the fine stage
correlates templates with small windows around the present estimate at stride 2, four times over.

Ours are: heads for visibility and confidence (the original has none); queries on any frame; one trunk that feeds both
stages; difference pictures of a size of their own, zero on the first frame of a window; displacements of the coarse
stage in parts of the frame's size, so that frames need not be square; residual blocks over time that work with one
frame; and, by default, no absolute places: a network that knows where in the picture a point lies learns which way the
heart moves there (Azad et al. 2025, arXiv 2507.10127), so the coarse maps are read about the point instead of about
the frame. Both stages begin at the expected place of the correlation with the query's own features (a softmax over
the maps), which the networks correct, and these correlations are given to the loss as volumes: so it matches from the
first step on, where the original has to learn how a map is read. `EchoTrackerConfig.paper` has the absolute places,
no expected places, and the sizes of the original.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import ModelError
from echomotion.models.base import Tracker
from echomotion.models.layers.correlation import FeatureTable, local_windows, pyramid, sample_points, whole_maps
from echomotion.models.layers.embedding import sincos
from echomotion.models.layers.encoder import Fusion, ResidualEncoder
from echomotion.models.layers.temporal import TemporalResNet
from echomotion.models.registry import register
from echomotion.models.trackers.expected_place import expected_shift, place_volume
from echomotion.models.trackers.learned import LearnedOptions, learned_tracker
from echomotion.models.trackers.network import Descriptors, Features, PointNetwork, PointOutput, Volume
from echomotion.models.weights import Weights

# Wavelengths of the code of a displacement, in px of the grid.
_FLOW_WAVES, _SHORTEST, _LONGEST = 16, 2.0, 512.0
# Frames back from which templates are taken, after that of the query.
_LAGS = (2, 4)


@dataclass(frozen=True)
class EchoTrackerConfig:
    """Architecture of EchoTracker; the default trains on two CPU cores.

    Attributes
    ----------
    window : int
        Frames looked at together.
    widths : tuple of int
        Channels of the encoder at strides 2, 4, 8, 16.
    blocks : int
        Residual blocks at each stride.
    channels_per_group : int
        Of the encoder's normalisation; 1 is the original's instance normalisation.
    features : int
        Channels that are correlated.
    coarse, fine : tuple of int
        Channels of the 1-D residual blocks of both stages.
    levels : int
        Levels of both correlation pyramids.
    map_size : int
        Side to which whole correlation maps are resized; the loss sees those of an odd side about the point.
    radius : int
        Local windows have ``2 * radius + 1`` px of each level along a side.
    local : int
        Channels into which the local windows of a frame are folded.
    iterations : int
        Of the fine stage.
    difference : tuple of int
        Rows and columns of the difference to the frame before, which both stages see; (0, 0) leaves it out.
    absolute : bool
        Whether the network sees where in the frame the query lies, as the original does.
    expected : bool
        Whether estimates begin at the expected place of a softmax over the correlations; not with `absolute`.
    """

    window: int = 64
    widths: tuple[int, ...] = (24, 32, 48, 64)
    blocks: int = 2
    channels_per_group: int = 8
    features: int = 32
    coarse: tuple[int, ...] = (64, 64, 96, 96, 128, 128)
    fine: tuple[int, ...] = (64, 64, 96, 96, 128, 128)
    levels: int = 4
    map_size: int = 15
    radius: int = 3
    local: int = 256
    iterations: int = 4
    difference: tuple[int, int] = (8, 8)
    absolute: bool = False
    expected: bool = True

    def __post_init__(self) -> None:
        if self.expected and (self.absolute or self.map_size % 2 == 0):
            raise ModelError("echotracker finds expected places about the point, on maps of odd map_size")

    @classmethod
    def paper(cls) -> EchoTrackerConfig:
        """Sizes of the original: about 10 million parameters."""
        blocks = (64, 64, 128, 128, 256, 256, 512, 512)
        return cls(
            widths=(32, 48, 64, 64),
            channels_per_group=1,
            features=64,
            coarse=blocks,
            fine=blocks,
            local=392,
            map_size=14,
            difference=(50, 60),
            absolute=True,
            expected=False,
        )


class EchoTrackerNetwork(PointNetwork):
    """Coarse-to-fine tracker; points do not see each other.

    Features: coarse (F, C, h8, w8), fine (F, C, h2, w2) and the small grey frames (F, 1, rows, columns).
    Descriptors: coarse (N, C), fine (N, C), query positions (N, 2).

    Gradients of the fine stage end at the estimate that each iteration starts from, as in RAFT: a loss has to weigh
    `PointOutput.steps` for all parts to learn.
    """

    def __init__(self, config: EchoTrackerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EchoTrackerConfig()
        self.window = config.window
        self.encoder = ResidualEncoder(config.widths, config.blocks, config.channels_per_group)
        self.fuse_coarse = Fusion(config.widths, config.features, level=2)
        self.fuse_fine = Fusion(config.widths, config.features, level=0)
        self.coarse_stride, self.fine_stride = self.encoder.strides[2], self.encoder.strides[0]
        known = 2 + 4 * _FLOW_WAVES + 2 * config.absolute + config.difference[0] * config.difference[1]
        self.coarse = TemporalResNet(config.map_size**2 + known, config.coarse)
        self.coarse_move = _small(nn.Linear(config.coarse[-1], 2))
        windows = (1 + len(_LAGS)) * config.levels * (2 * config.radius + 1) ** 2
        self.fold = nn.Linear(windows, config.local)
        self.fine = TemporalResNet(config.local + known, config.fine)
        self.fine_move = _small(nn.Linear(config.fine[-1], 2))
        self.judge = nn.Linear(config.fine[-1], 2)
        # Of both stages; see place_volume.
        self.sharpness = nn.Parameter(torch.full((2,), math.log(10.0)))
        self.belief = nn.Parameter(torch.tensor([6.0, 3.0]).log())

    def encode(self, frames: Tensor) -> Features:
        """See :class:`PointNetwork`."""
        maps = self.encoder(frames)
        rows, columns = self.config.difference
        small = functional.adaptive_avg_pool2d(frames, (max(rows, 1), max(columns, 1)))
        return self.fuse_coarse(maps), self.fuse_fine(maps), small

    def describe(self, features: Features, frame: Tensor, xy: Tensor) -> Descriptors:
        """See :class:`PointNetwork`."""
        coarse = sample_points(features[0], frame, xy, self.coarse_stride)
        return coarse, sample_points(features[1], frame, xy, self.fine_stride), xy

    def follow(self, features: Features, descriptors: Descriptors, start: Tensor) -> PointOutput:
        """See :class:`PointNetwork`."""
        coarse_map, fine_map, small = features
        looks_coarse, looks_fine, query = descriptors
        extent = self.coarse_stride * start.new_tensor(coarse_map.shape[:-3:-1])
        differences = self._differences(small, len(start))

        known = self._known(start, query, extent, differences)
        levels = pyramid(coarse_map, self.config.levels)
        about = None if self.config.absolute else (start + 0.5) / extent
        volumes = whole_maps(looks_coarse, levels, self.config.map_size, about)
        hidden = self.coarse(torch.cat([volumes, known], dim=-1))
        # In cells of the map, so that one weight serves wide frames and narrow ones.
        cell = extent / self.config.map_size
        steps = [start + self.coarse_move(hidden) * cell]

        places = []
        if self.config.expected:
            places.append(self._volume(0, volumes.unflatten(-1, (self.config.map_size,) * 2), start, cell))
            steps[0] = steps[0] + expected_shift(places[0])
        table = FeatureTable.of(pyramid(fine_map, self.config.levels), self.fine_stride)
        for iteration in range(self.config.iterations):
            xy = steps[-1].detach()
            templates = self._templates(table, looks_fine, xy)
            windows = local_windows(templates, table, xy, self.config.radius)
            near = self._near(windows[:, :, 0], xy)
            places += near
            known = self._known(xy, query, extent, differences)
            hidden = self.fine(torch.cat([functional.relu(self.fold(windows.flatten(2))), known], dim=-1))
            moved = xy + self.fine_move(hidden) * self.fine_stride
            if self.config.expected:
                # The finest window may be too narrow for what the coarse stage has missed by.
                moved = moved + expected_shift(near[min(1, len(near) - 1) if iteration == 0 else 0])
            steps.append(moved)
        visible, confident = self.judge(hidden).unbind(dim=-1)
        return PointOutput(steps[-1], visible, confident, tuple(steps[:-1]), volumes=tuple(places))

    def _near(self, cosines: Tensor, xy: Tensor) -> list[Volume]:
        """Windows (N, T, L * k * k) around the estimates, level by level."""
        side = 2 * self.config.radius + 1
        levels = cosines.unflatten(-1, (self.config.levels, side, side)).unbind(dim=2)
        strides = [xy.new_full((2,), self.fine_stride * 2.0**i) for i in range(len(levels))]
        return [self._volume(1, level, xy, stride) for level, stride in zip(levels, strides, strict=True)]

    def _volume(self, stage: int, cosines: Tensor, xy: Tensor, stride: Tensor) -> Volume:
        """Scores of places (N, T, d, d) around the estimates."""
        return place_volume(cosines, xy, stride, self.sharpness[stage], self.belief[stage])

    def _differences(self, small: Tensor, points: int) -> Tensor:
        """Grey difference of each frame to the one before, (N, T, rows * columns); zero on the first."""
        if not all(self.config.difference):
            return small.new_zeros(points, len(small), 0)
        change = torch.cat([torch.zeros_like(small[:1]), small[1:] - small[:-1]])
        return change.flatten(1).expand(points, -1, -1)

    def _known(self, xy: Tensor, query: Tensor, extent: Tensor, differences: Tensor) -> Tensor:
        """What both stages know besides correlation: displacements (N, T, 2), and what the config adds."""
        flow = xy - query[:, None]
        parts = [flow / 16, sincos(flow, _FLOW_WAVES, _SHORTEST, _LONGEST), differences]
        if self.config.absolute:
            parts.append(((query + 0.5) / extent * 2 - 1)[:, None].expand_as(flow))
        return torch.cat(parts, dim=-1)

    def _templates(self, table: FeatureTable, looks: Tensor, xy: Tensor) -> Tensor:
        """Looks of the query and of the estimates some frames back, (N, T, S, C); before the window, of its first."""
        times = torch.arange(xy.shape[1], device=xy.device)
        own = table.sample(times.expand(len(xy), -1), xy)
        back = [own[:, (times - lag).clamp(min=0)] for lag in _LAGS]
        return torch.stack([looks[:, None].expand_as(own), *back], dim=2)


def _small(layer: nn.Linear) -> nn.Linear:
    """A last layer that says nearly nothing at first, so that training begins at the expected place or at rest."""
    nn.init.normal_(layer.weight, std=1e-3)
    nn.init.zeros_(layer.bias)
    return layer


@register("tracker", learned=True)
def echotracker(options: LearnedOptions, *, weights: Weights) -> Tracker:
    """EchoTracker: the whole path from correlation maps, then refined over windows."""
    return learned_tracker("echotracker", EchoTrackerNetwork, EchoTrackerConfig, options, weights)
