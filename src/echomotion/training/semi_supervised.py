"""Semi-supervised training of segmenters: few masks, many frames, and a teacher who is the average of the pupil.

Labelled frames give Dice and cross-entropy. On the others the pupil, who sees them through another machine, learns what
the teacher (the moving average of its own weights: Tarvainen and Valpola 2017, arXiv 1703.01780) says of them as they
were recorded, as far as the teacher is sure. Boundaries of frames that follow each other are held together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import APICAL_CLASSES, DataError, DatasetError
from echomotion.core.masks import LV_CAVITY
from echomotion.datasets.camus import is_camus, read_camus_pairs
from echomotion.datasets.echonet_dynamic import FILES
from echomotion.datasets.simulated import StoredSequence
from echomotion.datasets.splits import split_off
from echomotion.models.layers.efficientnet import EfficientNetLite0, load_imagenet
from echomotion.models.layers.fixed_norm import measured_statistics
from echomotion.models.layers.unet_encoder import UNetEncoder
from echomotion.models.losses import (
    believed_loss,
    boundary_constraint,
    contraction_loss,
    exclusive_mask_loss,
    pseudo_labels,
)
from echomotion.models.segmenters.ncmnet_network import NCMNetConfig, NCMNetwork
from echomotion.models.segmenters.unet import UNet, UNetConfig
from echomotion.models.weights import find_weights, read_part
from echomotion.simulate.joined import JoinedBeat
from echomotion.training.mixing import draw_pastes, pasted
from echomotion.training.sparse_videos import (
    PHASES,
    SparseVideo,
    draw_beat,
    draw_sparse,
    folder_videos,
    patient_pair,
    shown_few,
    stacked_draws,
)
from echomotion.training.unet_start import begin_as_unet, is_unet
from echomotion.training.videos import apical_labels, cached_beat, dice, scaled, simulated_beats

# Boundaries are compared over so many px, further than a wall moves in a frame.
_COARSE = 4
_CAVITY = next(label for label, name in APICAL_CLASSES.items() if name == LV_CAVITY)
# Frames that set the statistics of the encoder's normalisations.
_MEASURED = 32
# One in ten videos of a folder chooses between checkpoints.
_KEPT_BACK = 0.1


@dataclass(frozen=True)
class SemiSupervisedTraining:
    """Data side of a recipe.

    Attributes
    ----------
    grid, early_grid : int
        Side of the square grid in px that the model runs on, and during the first `early_share` of the run.
    early_share : float
    plain, late_plain, late_share : float
        Share of the clips placed about as they were recorded (``augment.draw_reach``); the same at the end of
        the run; and how long that end is, in parts of the run.
    frames, length : int
        Of a step, of all clips together; of a clip of a beat.
    labels : float
        Share of the patients (or videos) whose masks are shown, 0 to 1; at least one.
    label_seed : int
        Another seed shows those of others.
    phases : {"both", "ED", "ES"}
        Frames of CAMUS whose masks are shown.
    pairs, joined, simulated : float
        Shares of the steps with a patient's two frames (of all patients); with beats between the two frames of
        patients whose masks are both shown; with simulated beats, one frame of which has a mask.
    from_patients, parametric : int
        Simulated beats with patients' anatomy, where all masks of CAMUS are shown; and of drawn hearts, whose masks
        nobody had to draw.
    unlabelled : float
        Weight of what the teacher says; 0 is the supervised mode.
    rise : float
        Part of the run over which it rises to that.
    least : float
        Probability from which on the teacher is listened to.
    pasted : float
        Share of the clips without masks that get a piece of another clip of the step (:mod:`.mixing`).
    boundary : float
        Weight of the boundaries' constraint.
    contraction : float
        Weight of how the cavity's area changes between the two frames of a patient of CAMUS whose masks are both shown,
        for the ejection fraction.
    coarse : float
        Weight of what the network says before masked attention.
    pretrained : bool
        Whether an EfficientNet-Lite0 starts from ImageNet (extra ``imagenet``), and a network with the encoder of a
        U-Net as the installed `unet` (:mod:`.unet_start`). That knows all masks of CAMUS: where some of these are
        hidden, the network starts from nothing.
    start : str
        Folder of weights to begin from in place of that: a U-Net, or a network with the encoder of one, begins as the
        `unet` in it, of the same few masks, say; of any other network the encoder alone is taken over.
    cache : str
        Folder of motion and simulated sequences; the run's own where empty.
    """

    grid: int = 256
    early_grid: int = 192
    early_share: float = 0.5
    plain: float = 0.5
    late_plain: float = 0.9
    late_share: float = 0.4
    frames: int = 8
    length: int = 4
    labels: float = 1.0
    label_seed: int = 0
    phases: str = "both"
    pairs: float = 0.6
    joined: float = 0.3
    simulated: float = 0.1
    from_patients: int = 24
    parametric: int = 0
    unlabelled: float = 1.0
    rise: float = 0.3
    least: float = 0.7
    pasted: float = 0.0
    boundary: float = 0.5
    contraction: float = 0.0
    coarse: float = 0.5
    pretrained: bool = True
    start: str = ""
    cache: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.labels <= 1:
            raise DataError(f"labels is {self.labels:g}; a share of the patients over 0 and up to 1 keeps its masks")
        if self.phases not in PHASES:
            raise DataError(f"phases is {self.phases!r}; it is one of {', '.join(PHASES)}")


class SemiSupervisedTask:
    """CAMUS, or a folder of videos with some masks; selection by Dice of cavity and myocardium on other patients."""

    def __init__(
        self,
        data: str | Path,
        folder: str | Path,
        training: SemiSupervisedTraining,
        config: NCMNetConfig | UNetConfig,
    ) -> None:
        self.training = training
        self.folder = Path(training.cache) if training.cache else Path(folder) / "cache"
        # The training loop's moving average, once it runs.
        self.teacher: nn.Module | None = None
        self.share = 0.0
        side = round(1.5 * training.grid)
        self.beats: list[JoinedBeat] = []
        self.sequences: list[SparseVideo] = []
        self.classes = dict(APICAL_CLASSES)
        self.camus = is_camus(data)
        if self.camus:
            self._read_camus(data, side)
        else:
            self._read_folder(data, side)
        shown = sum(bool(video.labelled.any()) for video in self.videos)
        # What the card of the weights says.
        self.told = (
            f"{'CAMUS, four-chamber' if self.camus else Path(data).name}: masks of {shown} of {len(self.videos)} "
            + (f"training patients ({training.phases.replace('both', 'ED and ES')})" if self.camus else "videos")
        )
        if training.unlabelled > 0 and not (self.beats or any((~video.labelled).any() for video in self.videos)):
            raise DatasetError(
                f"{data}: every frame has a mask, so there is nothing to learn from without; set unlabelled to 0"
            )
        shares = {"pairs": self.videos, "joined": self.beats, "simulated": self.sequences}
        usable = {name: getattr(training, name) for name, items in shares.items() if items}
        total = sum(usable.values())
        if total <= 0:
            raise DataError("there is nothing to train on; give pairs, joined or simulated a share")
        self.shares = {name: share / total for name, share in usable.items()}
        self.network = self._made(config)

    def meet_teacher(self, teacher: nn.Module) -> None:
        """Take the moving average of the network as the teacher."""
        self.teacher = teacher

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Tensors as :class:`.sparse_videos.SparseDraw` and :class:`.mixing.Pastes` have them, clips first."""
        own = self.training
        self.share = share
        size = own.early_grid if share < own.early_share else own.grid
        plain = own.late_plain if share > 1 - own.late_share else own.plain
        kind = str(rng.choice(list(self.shares), p=list(self.shares.values())))
        items = self.videos if kind == "pairs" else self.sequences
        if kind == "joined":
            chosen = rng.integers(len(self.beats), size=max(1, own.frames // own.length))
            draws = [draw_beat(self.beats[i], own.phases, own.length, size, rng, plain) for i in chosen]
        else:
            length = min(own.length, min(len(video.frames) for video in items))
            numbers = self._mixed(items, max(1, own.frames // length), rng)
            draws = [draw_sparse(items[i], length, size, rng, plain) for i in numbers]
        without = np.array([not draw.labelled.any() for draw in draws])
        pastes = draw_pastes(without, size, own.pasted, rng)
        return tuple(torch.from_numpy(array) for array in (*stacked_draws(draws), *pastes))

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Masks where there are some, the teacher elsewhere, boundaries everywhere."""
        strong, weak, labels, labelled, near, source, where = batch
        own = self.training
        weight = own.unlabelled * min(1.0, self.share / own.rise if own.rise > 0 else 1.0)
        believed = None
        if weight > 0 and self.teacher is not None and not bool(labelled.all()):
            targets, sure = self._believed(self.teacher, weak, labels, labelled)
            strong, targets, sure = (pasted(values, source, where) for values in (strong, targets, sure))
            believed = targets[~labelled], sure[~labelled]
        logits, coarse = clip_logits(network, strong)
        total = exclusive_mask_loss(logits[labelled], labels[labelled])
        if coarse is not None and own.coarse:
            total = total + own.coarse * exclusive_mask_loss(coarse[labelled], labels[labelled])
        if believed is not None:
            total = total + weight * believed_loss(logits[~labelled], *believed)
        if own.boundary and bool(near.any()):
            foreground = logits.softmax(dim=2)[:, :, 1:].flatten(0, 1)
            coarse_view = functional.avg_pool2d(foreground, _COARSE).unflatten(0, logits.shape[:2])
            total = total + own.boundary * boundary_constraint(coarse_view, near)
        known = labelled.all(dim=1)
        # Of a beat at most one frame has a mask; clips with two are a patient's end-diastole and end-systole.
        if own.contraction and self.camus and labelled.shape[1] == 2 and bool(known.any()):
            cavity = logits[known].softmax(dim=2)[:, :, _CAVITY]
            total = total + own.contraction * contraction_loss(cavity, labels[known] == _CAVITY)
        return total

    @torch.no_grad()
    def _believed(self, teacher: nn.Module, weak: Tensor, labels: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (B, T, S, S) and how far they are believed: the teacher's where there is no mask."""
        targets, sure = labels.long(), torch.ones(labels.shape, device=labels.device)
        asked = ~labelled.all(dim=1)
        taught, _ = clip_logits(teacher, weak[asked])
        targets[~labelled], sure[~labelled] = pseudo_labels(taught[~labelled[asked]], self.training.least)
        return targets, sure

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice per class over the masks of the patients kept back."""
        network.eval()
        device = next(network.parameters()).device
        rows = []
        for video in self.selection:
            frames = torch.from_numpy(video.frames).to(device).float()[None] / 255
            # Two frames of a beat are no neighbours.
            parts = [frames] if video.near else list(frames.split(1, dim=1))
            logits = torch.cat([clip_logits(network, part)[0] for part in parts], dim=1)[0]
            found = logits.argmax(dim=1).cpu().numpy()
            rows += [
                [dice(found[t] == k, video.labels[t] == k) for k in range(1, len(self.classes))]
                for t in np.flatnonzero(video.labelled)
            ]
        network.train()
        names = list(self.classes.values())[1:]
        means = dict(zip(names, np.nanmean(rows, axis=0).tolist(), strict=True))
        # The atrium does not choose between checkpoints.
        deciding = [value for name, value in means.items() if name != "left_atrium"]
        return {"score": float(np.mean(deciding)), **means}

    def _read_camus(self, data: str | Path, side: int) -> None:
        own = self.training
        patients = read_camus_pairs(data, "fit")
        self.videos, kept = shown_few(
            [patient_pair(frames, side, own.phases) for frames in patients], own.labels, own.label_seed
        )
        self.selection = [patient_pair(frames, own.grid) for frames in read_camus_pairs(data, "selection")]
        shown = [frames for frames in patients if frames[0].patient in set(kept)]
        # Their motion comes from the masks of both ends.
        if own.joined and own.phases == "both":
            self.beats = [beat for frames in shown if (beat := cached_beat(self.folder, frames, side))]
        if own.simulated:
            # Patients are drawn from all, with both of their masks, so they are left out where some are hidden.
            from_patients = 0 if self._hides_masks() else own.from_patients
            sequences = simulated_beats(self.folder, data, from_patients, own.parametric)
            self.sequences = [_one_mask(name, sequence) for name, sequence in sequences]

    def _read_folder(self, data: str | Path, side: int) -> None:
        own = self.training
        if (Path(data) / FILES).is_file():
            self.classes = {0: "background", 1: "lv_cavity"}
        videos = list(folder_videos(data, side))
        known = [video for video in videos if video.labelled.any()]
        fit, kept_back = split_off(
            [video.name for video in known], max(1, round(_KEPT_BACK * len(known))), salt="folder"
        )
        if not fit:
            raise DatasetError(f"{data}: one video has masks; two are needed, one to learn from and one to choose by")
        smaller = [video for video in known if video.name in set(kept_back)]
        self.selection = [
            SparseVideo(
                v.name, scaled(v.frames, own.grid), scaled(v.labels, own.grid, nearest=True), v.labelled, v.near
            )
            for v in smaller
        ]
        shown, _ = shown_few([video for video in known if video.name in set(fit)], own.labels, own.label_seed)
        self.videos = shown + [video for video in videos if not video.labelled.any()]

    def _mixed(self, items: list[SparseVideo], count: int, rng: np.random.Generator) -> list[int]:
        """Half of the clips have masks, as long as there are others."""
        known = [i for i, video in enumerate(items) if video.labelled.any()]
        other = [i for i, video in enumerate(items) if not video.labelled.any()]
        few = count // 2 if other and self.training.unlabelled > 0 else 0
        return [int(i) for i in (*rng.choice(known, count - few), *(rng.choice(other, few) if few else ()))]

    def _made(self, config: NCMNetConfig | UNetConfig) -> nn.Module:
        if isinstance(config, UNetConfig):
            unet = UNet(config, len(self.classes))
            if self.training.start:
                find_weights("unet", self.training.start).load_into(unet)
            return unet
        if config.classes != len(self.classes) - 1:
            raise DataError(f"classes is {config.classes}; the data has {len(self.classes) - 1}: set it so")
        # The stubs of torch do not know the word.
        network: NCMNetwork = NCMNetwork(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        encoder = network.encoder
        start = self.training.start
        if start and isinstance(encoder, UNetEncoder) and is_unet(start):
            begin_as_unet(network, self._some_frames(self.training.grid), start)
        elif start:
            read_part(start, "encoder", encoder)
        elif isinstance(encoder, EfficientNetLite0):
            if self.training.pretrained:
                load_imagenet(encoder)
            with measured_statistics(encoder):
                encoder(self._some_frames(self.training.early_grid))
        elif isinstance(encoder, UNetEncoder) and self.training.pretrained and not self._hides_masks():
            begin_as_unet(network, self._some_frames(self.training.grid))
        return network

    def _hides_masks(self) -> bool:
        return self.camus and (self.training.labels < 1 or self.training.phases != "both")

    def _some_frames(self, size: int) -> Tensor:
        some = [video.frames[0] for video in self.videos[:: max(1, len(self.videos) // _MEASURED)]][:_MEASURED]
        return torch.from_numpy(scaled(some, size))[:, None].float() / 255


def clip_logits(network: nn.Module, frames: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits (B, T, K + 1, H, W) of clips (B, T, H, W), and coarse ones where the network gives some."""
    plain = network.module if hasattr(network, "module") else network
    if isinstance(plain, UNet):
        return network(frames.flatten(0, 1)[:, None]).unflatten(0, frames.shape[:2]), None
    found = network(frames[:, :, None])
    return found.logits, found.coarse


def _one_mask(name: str, sequence: StoredSequence) -> SparseVideo:
    """A simulated beat of which one frame, chosen by its name, has a mask."""
    labels = apical_labels(sequence)
    known = np.zeros(len(labels), bool)
    known[sum(name.encode()) % len(labels)] = True
    return SparseVideo(name, sequence.clip.frames, labels * known[:, None, None], known, True)
