"""PointSeg: every frame segmented with the trajectories of tracked points as the cue over time.

After the paper of that name: a convolutional encoder with deformable encoder layers gives patch tokens; three fusion
layers let point tokens look at the patches of their frame, at each other and along their trajectories, and let patches
look back at the points; class tokens that look at the points then meet enlarged patches in an inner product.
`docs/pointseg.md` says what differs and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.attention import FeedForward, TokenAttention
from echomotion.models.layers.correlation import sample_points
from echomotion.models.layers.deformable_attention import DeformableEncoder, pixel_centres
from echomotion.models.layers.efficientnet import EfficientNetLite0
from echomotion.models.layers.embedding import sincos
from echomotion.models.layers.encoder import FrameEncoder, FrameNorm, ResidualEncoder
from echomotion.models.layers.resnet import ResNet50
from echomotion.models.layers.unet_encoder import UNetEncoder

_ENCODERS: dict[str, Callable[[], FrameEncoder]] = {"efficientnet_lite0": EfficientNetLite0, "resnet50": ResNet50}
_OF_WIDTHS: dict[str, Callable[[Sequence[int]], FrameEncoder]] = {"residual": ResidualEncoder, "unet": UNetEncoder}
# Displacements of points are told in units of so many grid px.
_MOTION_PX = 16.0
# Logit of a class before anything is learned: most pixels are background.
_BACKGROUND = -2.0


@dataclass(frozen=True)
class PointSegConfig:
    """Architecture of PointSeg; the default is `pointseg_small`.

    Attributes
    ----------
    encoder : {"efficientnet_lite0", "resnet50", "residual", "unet"}
        The last two have `encoder_widths` channels at strides 2, 4, 8, …: the light encoder of the trackers, and the
        way up of a U-Net.
    encoder_widths : tuple of int
    dim, heads, hidden : int
        Channels of tokens, attention heads, channels within the feed-forward parts.
    fused : int
        Maps whose pixels are patch tokens: the coarsest ones of the encoder, not all of them.
    attended : int
        Maps that see each other in the deformable encoder layers: the coarsest of those.
    encoder_layers, encoder_points : int
        Deformable encoder layers, and the places that each head samples on each map.
    layers : int
        Fusion layers.
    up : tuple of int
        Channels of the enlarged maps, from the finest fused one to that of the finest stride.
    classes : int
        K, background not counted.
    token_dim : int
        Channels of the tokens that a tracker gives for its points; 0 where points are described by the features along
        their trajectory, their displacement, visibility and confidence, so that any tracker will do.
    trajectories, point_to_patch, point_self, point_temporal, mlp, patch_to_point : bool
        Parts that the ablation switches off; without `trajectories` points stay in place.
    """

    encoder: str = "unet"
    encoder_widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    dim: int = 96
    heads: int = 4
    hidden: int = 192
    fused: int = 3
    attended: int = 2
    encoder_layers: int = 2
    encoder_points: int = 4
    layers: int = 3
    up: tuple[int, ...] = (64, 48, 32)
    classes: int = 3
    token_dim: int = 0
    trajectories: bool = True
    point_to_patch: bool = True
    point_self: bool = True
    point_temporal: bool = True
    mlp: bool = True
    patch_to_point: bool = True

    @classmethod
    def paper(cls) -> PointSegConfig:
        """Sizes near those of the paper: ResNet-50, tokens of 256 channels at four strides."""
        return cls("resnet50", (), 256, 8, 1024, 4, 4, up=(128, 64))


class PointPaths(NamedTuple):
    """Trajectories of N points in each of B clips of T frames, on the model's grid.

    Attributes
    ----------
    xy : float (B, N, T, 2)
        Px of the grid, finite.
    visible : float (B, N, T)
        1 where the point can be seen.
    confidence : float (B, N, T)
        0..1.
    tokens : float (B, N, T, C) or None
        What the tracker says of the points beside that.
    """

    xy: Tensor
    visible: Tensor
    confidence: Tensor
    tokens: Tensor | None = None


class Patches(NamedTuple):
    """What the encoder makes of F frames.

    Attributes
    ----------
    skips : tuple of float (F, C, h, w)
        Maps finer than the fused ones, finest first.
    fused : tuple of float (F, dim, h, w)
    """

    skips: tuple[Tensor, ...]
    fused: tuple[Tensor, ...]


class Fused(NamedTuple):
    """What the fusion layers make of F frames.

    Attributes
    ----------
    maps : tuple of float (F, dim, h, w)
        Of the last layer.
    tokens : float (F, K, dim)
        Class tokens of the last layer.
    coarse : tuple of float (F, K, h, w)
        Logits after each layer but the last, at the finest fused stride.
    """

    maps: tuple[Tensor, ...]
    tokens: Tensor
    coarse: tuple[Tensor, ...]


class PointSegNetwork(nn.Module):
    """See the module.

    A clip is split into steps so that long ones fit into memory: :meth:`encode` and :meth:`decode` know one frame at a
    time, :meth:`fuse` a whole window.
    """

    def __init__(self, config: PointSegConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PointSegConfig()
        self.encoder = _encoder(config)
        strides, widths = self.encoder.strides, self.encoder.widths
        if not config.attended <= config.fused < len(strides) or len(config.up) != len(strides) - config.fused + 1:
            raise ValueError(
                f"the encoder gives {len(strides)} maps: fused={config.fused} must be fewer and not under "
                f"attended={config.attended}, and up needs {len(strides) - config.fused + 1} widths"
            )
        self.strides = strides[-config.fused :]
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, config.dim, 1), FrameNorm(config.dim)) for width in widths[-config.fused :]
        )
        self.mix = DeformableEncoder(
            config.dim, config.encoder_layers, config.attended, config.heads, config.encoder_points, config.hidden
        )
        self.points = _PointTokens(config)
        self.place = nn.Linear(config.dim, config.dim)
        self.level = nn.Parameter(torch.randn(config.fused, config.dim) * 0.02)
        self.class_tokens = nn.Parameter(torch.randn(config.classes, config.dim) * 0.5)
        self.layers = nn.ModuleList(_FusionLayer(config) for _ in range(config.layers))
        self.coarse = nn.ModuleList(_CoarseMasks(config.dim) for _ in range(config.layers - 1))
        self.decoder = _PixelDecoder(config, widths[: -config.fused])

    def forward(self, frames: Tensor, points: PointPaths) -> tuple[Tensor, ...]:
        """Logits of all layers, coarse ones first.

        Parameters
        ----------
        frames : float (B, T, 1, H, W)
            Grey levels from 0 to 1.
        points : PointPaths

        Returns
        -------
        tuple of float (B, T, K, h, w)
            At the finest fused stride, of frames padded as the encoder pads them; the last (B, T, K, H, W).
        """
        lead = frames.shape[:2]
        patches = self.encode(frames.flatten(0, 1))
        fused = self.fuse(patches, points)
        last = self.decode(patches.skips, fused.maps, fused.tokens, (frames.shape[-2], frames.shape[-1]))
        return tuple(logits.unflatten(0, lead) for logits in (*fused.coarse, last))

    def encode(self, frames: Tensor) -> Patches:
        """Frames (F, 1, H, W), each on its own."""
        # On a CPU a third faster than maps that lie channel by channel.
        maps = self.encoder(frames.contiguous(memory_format=torch.channels_last))
        fused = [project(x) for project, x in zip(self.project, maps[-self.config.fused :], strict=True)]
        apart = self.config.fused - self.config.attended
        return Patches(maps[: -self.config.fused], (*fused[:apart], *self.mix(fused[apart:])))

    def fuse(self, patches: Patches, points: PointPaths) -> Fused:
        """Patches of B clips of T frames, all frames of a clip together, and points of the same clips."""
        maps = patches.fused
        if not self.config.trajectories:
            points = _standing(points)
        b, n, t = points.visible.shape
        xy = points.xy.transpose(1, 2).flatten(0, 1)
        frame = torch.arange(b * t, device=xy.device)[:, None].expand(-1, n)
        looks = [sample_points(x, frame, xy, stride) for x, stride in zip(maps, self.strides, strict=True)]
        content = self.points(torch.cat(looks, dim=-1), points)
        extent = self.strides[0] * xy.new_tensor(maps[0].shape[:-3:-1])
        where = self._code((xy + 0.5) / extent)
        patch_where = torch.cat([self._code(pixel_centres(x)) + self.level[i] for i, x in enumerate(maps)])
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)
        classes = self.class_tokens.expand(b * t, -1, -1)
        coarse: list[Tensor] = []
        sizes = [x.shape[-2] * x.shape[-1] for x in maps]
        for layer in self.layers:
            content, tokens, classes = layer(content, where, tokens, patch_where, classes, t)
            # The last layer's masks come from the pixel decoder.
            if len(coarse) < len(self.coarse):
                finest = tokens[:, : sizes[0]].transpose(1, 2).unflatten(2, maps[0].shape[-2:])
                coarse.append(self.coarse[len(coarse)](classes, finest))
        parts = tokens.split(sizes, dim=1)
        out = tuple(part.transpose(1, 2).unflatten(2, x.shape[-2:]) for part, x in zip(parts, maps, strict=True))
        return Fused(out, classes, tuple(coarse))

    def decode(
        self, skips: tuple[Tensor, ...], maps: tuple[Tensor, ...], tokens: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Logits (F, K, H, W) of F frames of that size from parts of :class:`Patches` and :class:`Fused`."""
        logits = self.decoder(skips, maps, tokens)
        scale = self.encoder.strides[0]
        return functional.interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=False)[
            ..., : size[0], : size[1]
        ]

    def _code(self, place: Tensor) -> Tensor:
        return self.place(sincos(place, self.config.dim // 4, shortest=0.02, longest=4.0))


class _PointTokens(nn.Module):
    """First tokens of points, from what is found along their trajectories or from a tracker's own tokens."""

    def __init__(self, config: PointSegConfig) -> None:
        super().__init__()
        self.token_dim = config.token_dim
        before = config.token_dim or config.fused * config.dim
        self.look = nn.Linear(before, config.dim)
        self.motion = nn.Sequential(nn.Linear(4, config.dim), nn.ReLU(), nn.Linear(config.dim, config.dim))

    def forward(self, looks: Tensor, points: PointPaths) -> Tensor:
        """Features (B * T, N, levels * dim) at the points to tokens (B * T, N, dim)."""
        if self.token_dim:
            if points.tokens is None:
                raise ValueError(
                    f"the network was made for tracker tokens of {self.token_dim} channels; there are none"
                )
            return self.look(points.tokens.transpose(1, 2).flatten(0, 1))
        shift = (points.xy - points.xy.mean(dim=2, keepdim=True)) / _MOTION_PX
        told = torch.cat([shift, points.visible[..., None], points.confidence[..., None]], dim=-1)
        return self.look(looks) + self.motion(told.transpose(1, 2).flatten(0, 1))


class _FusionLayer(nn.Module):
    """Points look at patches, at each other and along time; patches look at points; class tokens look at points."""

    def __init__(self, config: PointSegConfig) -> None:
        super().__init__()
        dim, heads = config.dim, config.heads

        def attention(wanted: bool) -> TokenAttention | None:
            return TokenAttention(dim, heads) if wanted else None

        self.point_to_patch = attention(config.point_to_patch)
        self.point_self = attention(config.point_self)
        self.point_temporal = attention(config.point_temporal)
        self.mlp = FeedForward(dim, config.hidden) if config.mlp else None
        self.patch_to_point = attention(config.patch_to_point)
        self.class_attention = TokenAttention(dim, heads)
        self.class_mlp = FeedForward(dim, config.hidden)

    def forward(
        self, points: Tensor, where: Tensor, patches: Tensor, patch_where: Tensor, classes: Tensor, frames: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layer.

        Parameters
        ----------
        points, where : float (B * T, N, dim)
            Tokens, and codes of their places.
        patches : float (B * T, P, dim)
        patch_where : float (P, dim)
        classes : float (B * T, K, dim)
        frames : int
            T.
        """
        if self.point_to_patch is not None:
            points = self.point_to_patch(points, where, patches, patch_where)
        if self.point_self is not None:
            points = self.point_self(points, where, points, where)
        if self.point_temporal is not None:
            path, code = (_by_point(x, frames) for x in (points, where))
            path = self.point_temporal(path, code, path, code)
            points = path.unflatten(0, (-1, points.shape[1])).transpose(1, 2).flatten(0, 1)
        if self.mlp is not None:
            points = self.mlp(points)
        if self.patch_to_point is not None:
            patches = self.patch_to_point(patches, patch_where, points, where)
        others = torch.cat([classes, points], dim=1)
        code = torch.cat([torch.zeros_like(classes), where], dim=1)
        classes = self.class_mlp(self.class_attention(classes, torch.zeros_like(classes), others, code))
        return points, patches, classes


class _CoarseMasks(nn.Module):
    """Masks of a layer that is not the last, on its finest patches."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.head = _class_head(dim, dim)
        self.norm = FrameNorm(dim)

    def forward(self, classes: Tensor, finest: Tensor) -> Tensor:
        """Logits (F, K, h, w) of class tokens (F, K, dim) on a map (F, dim, h, w)."""
        return inner_product(self.head(classes), self.norm(finest))


class _PixelDecoder(nn.Module):
    """Fused maps enlarged step by step with the encoder's finer maps, and their inner product with class tokens."""

    def __init__(self, config: PointSegConfig, skips: tuple[int, ...]) -> None:
        super().__init__()
        self.enter = _block(config.dim, config.up[0])
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 2, stride=2)
            for before, after in zip(config.up[:-1], config.up[1:], strict=True)
        )
        self.blocks = nn.ModuleList(
            _block(after + skip, after) for after, skip in zip(config.up[1:], reversed(skips), strict=True)
        )
        self.class_head = _class_head(config.dim, config.up[-1])

    def forward(self, skips: tuple[Tensor, ...], maps: tuple[Tensor, ...], tokens: Tensor) -> Tensor:
        """Logits (F, K, h, w) at the encoder's finest stride."""
        x = maps[-1]
        for finer in maps[-2::-1]:
            x = finer + functional.interpolate(x, size=finer.shape[-2:], mode="bilinear", align_corners=False)
        x = self.enter(x)
        for enlarge, block, skip in zip(self.enlarge, self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([enlarge(x), skip], dim=1))
        return inner_product(self.class_head(tokens), x)


def _encoder(config: PointSegConfig) -> FrameEncoder:
    if config.encoder in _OF_WIDTHS:
        return _OF_WIDTHS[config.encoder](config.encoder_widths)
    if config.encoder in _ENCODERS:
        return _ENCODERS[config.encoder]()
    known = ", ".join((*_OF_WIDTHS, *_ENCODERS))
    raise ValueError(f"there is no encoder {config.encoder!r}; there are {known}")


def inner_product(vectors: Tensor, features: Tensor) -> Tensor:
    """Class vectors (F, K, C + 1), the last channel an offset, with features (F, C, h, w): logits (F, K, h, w)."""
    scores = torch.bmm(vectors[..., :-1], features.flatten(2))
    return (scores + vectors[..., -1:]).unflatten(2, features.shape[-2:])


def _class_head(dim: int, width: int) -> nn.Sequential:
    """Class tokens to vectors for an inner product with maps of that width."""
    last = nn.Linear(dim, width + 1)
    with torch.no_grad():
        last.bias[-1] = _BACKGROUND
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.ReLU(), last)


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), FrameNorm(after), nn.LeakyReLU(0.01, inplace=True)
    )


def _by_point(x: Tensor, frames: int) -> Tensor:
    """Tokens (B * T, N, dim), frame by frame, to (B * N, T, dim)."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)


def _standing(points: PointPaths) -> PointPaths:
    """The same points without motion: where they are in the mean."""
    xy = points.xy.mean(dim=2, keepdim=True).expand_as(points.xy)
    return PointPaths(xy, torch.ones_like(points.visible), torch.ones_like(points.confidence), points.tokens)
