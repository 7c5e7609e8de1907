"""From a recipe's name to released weights: read the YAML, train, write ``model.safetensors`` and ``model.json``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import torch
import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from echomotion.core import DataError
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.datasets.camus import CITATION
from echomotion.models.base import Progress
from echomotion.models.flow.pwcnet import PWCNetConfig
from echomotion.models.keypoints.echoglad import EchoGLADConfig, EchoGLADNetwork
from echomotion.models.keypoints.echonet_lvh import EchoNetLVHConfig, EchoNetLVHNetwork
from echomotion.models.keypoints.sknet import GRID, SKNetConfig, SKNetwork
from echomotion.models.keypoints.trnet_network import TRNetConfig
from echomotion.models.segmenters.ncmnet_network import NCMNetConfig
from echomotion.models.segmenters.pointseg_network import PointSegConfig
from echomotion.models.segmenters.unet import UNetConfig
from echomotion.models.trackers.echotracker import EchoTrackerConfig, EchoTrackerNetwork
from echomotion.models.trackers.judging import JudgeNetwork
from echomotion.models.trackers.learned import WORKING_ROWS
from echomotion.models.trackers.network import PointNetwork
from echomotion.models.trackers.specknet import SpeckNetConfig, SpeckNetNetwork
from echomotion.models.trackers.taptr import TAPTRConfig, TAPTRNetwork
from echomotion.models.view_classifier import SIDE, ViewClassifierConfig
from echomotion.models.weights import find_weights, save_weights
from echomotion.training.displays import DisplayTask, DisplayTraining
from echomotion.training.echomotion_tracker import EchomotionTrackerTask, EchomotionTrackerTraining
from echomotion.training.engine import Schedule, Task, fit
from echomotion.training.points import PointTask, PointTraining
from echomotion.training.pointseg import PointSegTask, PointSegTraining
from echomotion.training.pwcnet import PWCNetTask, PWCNetTraining
from echomotion.training.semi_supervised import SemiSupervisedTask, SemiSupervisedTraining
from echomotion.training.sknet import SKNetTask, SKNetTraining
from echomotion.training.trnet import TRNetTask, TRNetTraining
from echomotion.training.unet import UNetTask, UNetTraining
from echomotion.training.views import ViewTask, ViewTraining
from echomotion.version import __version__

RELEASED = "released"


class Release(BaseModel):
    """What the card of the trained weights says."""

    model_config = ConfigDict(extra="forbid")

    tag: str
    licence: str


class Recipe(BaseModel):
    """A training recipe; an unknown field is an error. `task` says how a model is trained where there are two ways."""

    model_config = ConfigDict(extra="forbid")

    model: str
    task: str = ""
    options: dict[str, Any]
    training: dict[str, Any]
    schedule: dict[str, Any]
    release: Release


def read_recipe(name: str) -> Recipe:
    """A recipe that ships with echomotion, by name, or one from a YAML file.

    Raises
    ------
    DataError
        When there is none, or it has a wrong or unknown field.
    """
    shipped = files("echomotion.training") / "recipes"
    names = sorted(item.name.removesuffix(".yaml") for item in shipped.iterdir() if item.name.endswith(".yaml"))
    if name in names:
        text = (shipped / f"{name}.yaml").read_text()
    elif Path(name).is_file():
        text = Path(name).read_text()
    else:
        raise DataError(f"there is no recipe {name!r}; there are {', '.join(names)}, or name a YAML file")
    try:
        return Recipe.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise DataError(f"recipe {name}: {_first_line(error)}") from None


def run_recipe(
    name: str,
    data: str | Path,
    folder: str | Path,
    *,
    max_minutes: float | None = None,
    labels: float | None = None,
    start: str | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train by a recipe, or go on with the run in `folder`; write its weights and card there.

    Parameters
    ----------
    name : str
        See :func:`read_recipe`.
    data : path
        Folder of the dataset.
    folder : path
        Receives ``state.pt``, ``curve.csv``, ``model.safetensors`` and ``model.json``.
    max_minutes : float, optional
    labels : float, optional
        Share of the masks that are shown, in place of the recipe's; for recipes that learn without masks as well.
    start : str, optional
        Weights to begin with, as for :func:`~echomotion.models.weights.find_weights`; ``"released"`` for the installed
        ones. A run that goes on has its own.
    progress : callable, optional

    Returns
    -------
    dict
        Figures of the best validation.

    Raises
    ------
    DataError
        When the recipe has a wrong field, there is no such training, or it cannot hide masks.
    ModelError
        When there are no weights to begin with, or they do not fit.
    """
    recipe = read_recipe(name)
    kind = recipe.task or recipe.model
    if kind not in _TASKS:
        raise DataError(f"recipe {name}: no training for {kind!r}; there is one for {', '.join(_TASKS)}")
    if labels is not None:
        if kind not in _HIDING:
            raise DataError(f"recipe {name}: cannot hide masks; labels is for recipes of {', '.join(_HIDING)}")
        recipe = recipe.model_copy(update={"training": {**recipe.training, "labels": labels}})
    schedule: Schedule = _checked(Schedule, recipe.schedule, name)
    torch.manual_seed(schedule.seed)
    first = None if start is None else find_weights(recipe.model, None if start == RELEASED else start)
    task, facts = _TASKS[kind](recipe, data, Path(folder), name)
    if first is not None:
        first.load_into(task.network)
        facts["start"] = {"tag": first.tag, "sha256": first.sha256}
    best = fit(task, schedule, folder, max_minutes=max_minutes, progress=progress)
    card = {
        "model": recipe.model,
        **recipe.release.model_dump(),
        "options": recipe.options,
        **facts,
        "recipe": recipe.model_dump(),
        "selection": best,
        "echomotion": __version__,
        "commit": _commit(),
    }
    save_weights(folder, task.network, card)
    return best


def _unet(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    training: UNetTraining = _checked(UNetTraining, recipe.training, name)
    config: UNetConfig = _checked(UNetConfig, recipe.options, name)
    facts = {
        "grid": [training.grid, training.grid],
        "normalisation": "grey levels divided by 255, black outside the fan",
        "classes": ["background", "lv_cavity", "lv_myocardium", "left_atrium"],
        "trained_on": "CAMUS, four-chamber ED and ES frames of the official training patients",
        "citation": CITATION,
    }
    return UNetTask(data, training, config), facts


def _points(network: type[PointNetwork], options: type[Any]) -> Callable[..., tuple[Task, dict[str, Any]]]:
    def build(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
        training: PointTraining = _checked(PointTraining, recipe.training, name)
        config = _checked(options, recipe.options, name)
        facts = {
            "grid": [WORKING_ROWS],
            "normalisation": "grey levels divided by 255",
            "trained_on": "own simulation of A4C, A2C, A3C, PLAX and PSAX views; no right-ventricular view",
        }
        return PointTask(data, training, network(config)), facts

    return build


def _echomotion_tracker(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    training: EchomotionTrackerTraining = _checked(EchomotionTrackerTraining, recipe.training, name)
    if unknown := sorted(set(recipe.options) - {"width"}):
        raise DataError(f"recipe {name}: unknown field {', '.join(unknown)}; options has width")
    facts: dict[str, Any] = {
        "grid": [WORKING_ROWS],
        "normalisation": "grey levels as they are; correlation takes out mean and contrast",
        "trained_on": "own simulation of A4C, A2C, A3C, PLAX and PSAX views; no right-ventricular view",
    }
    if training.templates is not None:
        facts["trained_on"] += "; A4C with the anatomy of training patients of CAMUS"
        facts["citation"] = CITATION
    return EchomotionTrackerTask(data, training, JudgeNetwork(**recipe.options)), facts


def _pointseg(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    training: PointSegTraining = _checked(PointSegTraining, recipe.training, name)
    config: PointSegConfig = _checked(PointSegConfig, recipe.options, name)
    facts = {
        "grid": [training.grid, training.grid],
        "normalisation": "grey levels divided by 255, black outside the fan",
        "classes": ["background", *training.targets],
        "points": {"tracker": training.tracker, "spacing_px": training.spacing_px},
        "trained_on": "CAMUS, four-chamber ED and ES frames of the official training patients, and beats simulated "
        "between them and from their anatomy",
        "citation": CITATION,
    }
    return PointSegTask(data, folder, training, config), facts


# Trainings that can be shown a part of the masks.
_HIDING = ("semi_supervised", "pointseg_small", "pointseg")
_SEMI_SUPERVISED: dict[str, type[NCMNetConfig] | type[UNetConfig]] = {"ncmnet": NCMNetConfig, "unet": UNetConfig}


def _semi_supervised(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    if recipe.model not in _SEMI_SUPERVISED:
        raise DataError(f"recipe {name}: {recipe.model} cannot learn without masks; {', '.join(_SEMI_SUPERVISED)} can")
    training: SemiSupervisedTraining = _checked(SemiSupervisedTraining, recipe.training, name)
    task = SemiSupervisedTask(data, folder, training, _checked(_SEMI_SUPERVISED[recipe.model], recipe.options, name))
    facts: dict[str, Any] = {
        "grid": [training.grid, training.grid],
        "normalisation": "grey levels divided by 255, black outside the fan",
        "classes": list(task.classes.values()),
        "trained_on": task.told,
    }
    if task.camus:
        facts["citation"] = CITATION
    return task, facts


def _keypoint_maps(network: type[Any], options: type[Any]) -> Callable[..., tuple[Task, dict[str, Any]]]:
    def build(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
        training: SKNetTraining = _checked(SKNetTraining, recipe.training, name)
        config = _checked(options, recipe.options, name)
        facts = {
            "grid": list(GRID),
            "normalisation": "grey levels divided by 255, black outside the fan",
            "points": list(PARASTERNAL_POINTS),
            "trained_on": "own simulation of the PLAX view alone; no real recording",
        }
        return SKNetTask(data, training, network(config)), facts

    return build


def _pwcnet(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    training: PWCNetTraining = _checked(PWCNetTraining, recipe.training, name)
    config: PWCNetConfig = _checked(PWCNetConfig, recipe.options, name)
    facts = {
        "grid": list(GRID),
        "normalisation": "grey levels divided by 255, black outside the fan",
        "trained_on": "own simulation of the PLAX and A4C views, without labels; no real recording",
    }
    return PWCNetTask(data, training, config), facts


def _trnet(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    training: TRNetTraining = _checked(TRNetTraining, recipe.training, name)
    config: TRNetConfig = _checked(TRNetConfig, recipe.options, name)
    task = TRNetTask(data, training, config)
    facts = {
        "grid": list(GRID),
        "normalisation": "grey levels divided by 255, black outside the fan",
        "points": list(PARASTERNAL_POINTS),
        "sknet": task.static_weights.sha256,
        "teacher": training.teacher,
        "trained_on": "own simulation of the PLAX view, without key-points; no real recording",
    }
    return task, facts


def _view_classifier(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    training: ViewTraining = _checked(ViewTraining, recipe.training, name)
    config: ViewClassifierConfig = _checked(ViewClassifierConfig, recipe.options, name)
    facts = {
        "grid": [SIDE, SIDE],
        "normalisation": "grey levels divided by 255, black outside the fan",
        "trained_on": "own simulation of A4C, A2C, A3C, PLAX and PSAX views, and pictures of no heart",
    }
    return ViewTask(data, training, config), facts


def _display_classifier(recipe: Recipe, data: str | Path, folder: Path, name: str) -> tuple[Task, dict[str, Any]]:
    training: DisplayTraining = _checked(DisplayTraining, recipe.training, name)
    config: ViewClassifierConfig = _checked(ViewClassifierConfig, recipe.options, name)
    facts = {
        "grid": [SIDE, SIDE],
        "normalisation": "grey levels divided by 255, black outside the fan",
        "trained_on": "CAMUS, four-chamber ED and ES frames of the official training patients, half of them mirrored",
        "citation": CITATION,
    }
    return DisplayTask(data, training, config), facts


_TASKS: dict[str, Callable[[Recipe, str | Path, Path, str], tuple[Task, dict[str, Any]]]] = {
    "unet": _unet,
    "pointseg_small": _pointseg,
    "pointseg": _pointseg,
    "semi_supervised": _semi_supervised,
    "sknet": _keypoint_maps(SKNetwork, SKNetConfig),
    "echonet_lvh": _keypoint_maps(EchoNetLVHNetwork, EchoNetLVHConfig),
    "echoglad": _keypoint_maps(EchoGLADNetwork, EchoGLADConfig),
    "trnet": _trnet,
    "pwcnet": _pwcnet,
    "specknet": _points(SpeckNetNetwork, SpeckNetConfig),
    "echotracker": _points(EchoTrackerNetwork, EchoTrackerConfig),
    "taptr": _points(TAPTRNetwork, TAPTRConfig),
    "echomotion_tracker": _echomotion_tracker,
    "view_classifier": _view_classifier,
    "display_classifier": _display_classifier,
}


def _checked(kind: type[Any], values: dict[str, Any], name: str) -> Any:
    """A config dataclass from plain values; an unknown or wrong field names itself."""
    unknown = sorted(set(values) - set(kind.__dataclass_fields__))
    if unknown:
        known = ", ".join(kind.__dataclass_fields__)
        raise DataError(f"recipe {name}: unknown field {', '.join(unknown)}; {kind.__name__} has {known}")
    kinds = get_type_hints(kind)  # pydantic leaves unknown fields of a dataclass within a dataclass out in silence
    values = {
        key: _checked(kinds[key], value, name) if is_dataclass(kinds[key]) and isinstance(value, dict) else value
        for key, value in values.items()
    }
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise DataError(f"recipe {name}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]


def _commit() -> str:
    """The commit of a checkout, empty elsewhere: it makes a card traceable."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""
