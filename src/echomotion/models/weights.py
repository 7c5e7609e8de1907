"""Trained weights on disk: one folder with ``model.json`` and ``model.safetensors``.

``model.json`` states what the numbers belong to: architecture and options, input grid and normalisation,
training data, commit, metrics, licence and the hash of the tensors. Loading compares all of it and fails loudly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file

from echomotion.core import ModelError

Config = TypeVar("Config", bound=Any)

CARD, TENSORS = "model.json", "model.safetensors"

# A package that ships weights names a function here that returns the folder holding one folder per model.
ENTRY_POINTS = "echomotion.weights"


@dataclass(frozen=True)
class Weights:
    """A folder of weights whose card has been read."""

    folder: Path
    card: dict[str, Any]

    @property
    def tag(self) -> str:
        """Version of the weights."""
        return str(self.card["tag"])

    @property
    def sha256(self) -> str:
        """Hash of the tensor file."""
        return str(self.card["sha256"])

    @property
    def licence(self) -> str:
        """Licence of the weights (not of the code)."""
        return str(self.card["licence"])

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return int(self.card["parameters"])

    def load_into(self, module: torch.nn.Module) -> None:
        """Fill a module with these weights.

        Raises
        ------
        ModelError
            When the file's hash is not the card's, or names and shapes do not match the module.
        """
        path = self.folder / TENSORS
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise ModelError(
                f"{path.name} of {self.card['model']} has hash {found[:12]}, its card says "
                f"{self.sha256[:12]}: the file is damaged, install it again"
            )
        state = {name: tensor.float() for name, tensor in load_file(path).items()}
        try:
            module.load_state_dict(state, strict=True)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise ModelError(f"the weights of {self.card['model']} do not fit the network: {first}") from None


def read_weights(folder: str | Path, model: str) -> Weights:
    """Read the card of a weights folder and check that it belongs to `model`.

    Raises
    ------
    ModelError
        When a file is missing or unreadable, or the weights belong to another model.
    """
    path = Path(folder)
    for name in (CARD, TENSORS):
        if not (path / name).is_file():
            raise ModelError(f"no {name} in {path}; a weights folder holds {CARD} and {TENSORS}")
    try:
        card = json.loads((path / CARD).read_text())
    except ValueError as error:
        raise ModelError(f"{path / CARD} is not valid JSON ({error})") from None
    missing = {"model", "tag", "sha256", "licence", "parameters", "options"} - set(card)
    if missing:
        raise ModelError(f"{path / CARD} lacks {', '.join(sorted(missing))}")
    if card["model"] != model:
        raise ModelError(f"the weights in {path} belong to {card['model']!r}, not to {model!r}")
    return Weights(path, card)


def card_config(kind: type[Config], told: Mapping[str, Any], model: str) -> Config:
    """The config dataclass that a card's options describe.

    Raises
    ------
    ModelError
        When this version does not know one of them.
    """
    unknown = sorted(set(told) - {field.name for field in fields(kind)})
    if unknown:
        raise ModelError(f"the weights of {model} name options that this version lacks: {', '.join(unknown)}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in told.items()})


def read_part(folder: str | Path, name: str, module: torch.nn.Module) -> None:
    """Fill a module with the part of that name of whatever network a folder of weights belongs to.

    Raises
    ------
    ModelError
        When there are no weights, or their part does not fit.
    """
    path = Path(folder) / TENSORS
    if not path.is_file():
        raise ModelError(f"{folder}: has no {TENSORS}; name a folder of weights")
    state = {
        key.removeprefix(f"{name}."): value for key, value in load_file(path).items() if key.startswith(f"{name}.")
    }
    try:
        module.load_state_dict({key: value.float() for key, value in state.items()})
    except RuntimeError as error:
        raise ModelError(f"{path}: its {name} does not fit: {str(error).splitlines()[0]}") from None


def find_weights(model: str, which: str | None = None) -> Weights:
    """The installed release of `model`, an installed variant of it (``"camus"``), or the weights in a folder.

    Raises
    ------
    ModelError
        When there are none: a model never runs on random numbers.
    """
    if which is not None:
        return read_weights(installed_variants(model).get(which, Path(which)), model)
    for root in _release_folders():
        if (root / model / CARD).is_file():
            return read_weights(root / model, model)
    raise ModelError(
        f"no weights are installed for {model!r}; install the package that ships them "
        "(echomotion-camus for models trained on CAMUS) or name a folder with weights"
    )


def has_weights(model: str) -> bool:
    """Whether a release of `model` is installed."""
    return any((root / model / CARD).is_file() for root in _release_folders())


def installed_variants(model: str) -> dict[str, Path]:
    """Folders of the installed weights of `model` other than its release, by the variant's name."""
    folders = [path for root in _release_folders() for path in sorted(root.glob(f"{model}-*"))]
    return {path.name.partition("-")[2]: path for path in folders if (path / CARD).is_file()}


def _release_folders() -> list[Path]:
    roots = [Path(__file__).parent / "released"]
    roots += [Path(point.load()()) for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda p: p.name)]
    return roots


def save_weights(folder: str | Path, module: torch.nn.Module, card: dict[str, Any]) -> Path:
    """Write a module as half-precision safetensors with its card, hash and parameter count added.

    Parameters
    ----------
    folder : path
        Made when absent; earlier weights in it are replaced.
    module : torch.nn.Module
    card : dict
        ``model``, ``tag``, ``licence``, ``options`` and whatever else a reader should know.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    state = {
        name: tensor.detach().cpu().half().contiguous() if tensor.is_floating_point() else tensor.detach().cpu()
        for name, tensor in module.state_dict().items()
    }
    partial = path / f".{TENSORS}.part"
    save_file(state, partial)
    full = {
        **card,
        "sha256": hashlib.sha256(partial.read_bytes()).hexdigest(),
        "parameters": sum(p.numel() for p in module.parameters()),
    }
    # The library makes files that only their owner can read.
    partial.chmod(0o644)
    partial.replace(path / TENSORS)
    text = path / f".{CARD}.part"
    text.write_text(json.dumps(full, indent=2) + "\n")
    text.replace(path / CARD)
    return path
