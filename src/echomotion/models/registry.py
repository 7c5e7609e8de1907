"""Models by name: declared once by a decorated function, created and listed from here."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from echomotion.core import ModelError
from echomotion.models.base import FlowEstimator, KeypointDetector, Segmenter, Tracker, ViewClassifier
from echomotion.models.weights import find_weights, installed_variants

KINDS = ("tracker", "segmenter", "keypoint_detector", "flow", "view")

# Modules that declare models; imported when the registry is first asked, so that `import echomotion` stays quick.
_MODULES = (
    "echomotion.models.trackers.lucas_kanade",
    "echomotion.models.trackers.block_matching",
    "echomotion.models.trackers.multilag_matching",
    "echomotion.models.trackers.echomotion_tracker",
    "echomotion.models.trackers.specknet",
    "echomotion.models.trackers.echotracker",
    "echomotion.models.trackers.taptr",
    "echomotion.models.segmenters.unet",
    "echomotion.models.segmenters.pointseg",
    "echomotion.models.segmenters.ncmnet",
    "echomotion.models.keypoints.sknet",
    "echomotion.models.keypoints.trnet",
    "echomotion.models.keypoints.tracked",
    "echomotion.models.keypoints.echonet_lvh",
    "echomotion.models.keypoints.echoglad",
    "echomotion.models.flow.pwcnet",
    "echomotion.models.view_classifier",
    "echomotion.models.display_classifier",
)

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """A declared model: how to build it and what its options are."""

    kind: str
    name: str
    build: Callable[..., Any]
    config: type[Any]
    summary: str
    learned: bool


@dataclass(frozen=True)
class ModelInfo:
    """What a user sees of a model before running it.

    Attributes
    ----------
    kind, name, summary : str
    options : dict
        Option names with their defaults.
    learned : bool
        Whether the model has trained weights; a conventional method has none.
    parameters : int or None
        Trainable parameters; 0 for a conventional method, None when no weights are installed.
    weights : str
        ``"not needed"``, ``"missing"``, or the tag of the installed weights.
    sha256, licence : str
        Of the installed weights; the licence of a conventional method is that of the code.
    variants : tuple of str
        Other installed weights, to be chosen as ``weights="name"``.
    """

    kind: str
    name: str
    summary: str
    options: dict[str, Any]
    learned: bool
    parameters: int | None
    weights: str
    sha256: str
    licence: str
    variants: tuple[str, ...] = ()


_entries: dict[tuple[str, str], Entry] = {}


def register(kind: str, *, learned: bool = False) -> Callable[[Builder], Builder]:
    """Declare a model by decorating the function that builds it from its config dataclass.

    The function's name is the model's name, the first line of its docstring its summary, and the
    type of its first argument, a frozen dataclass, defines the options.

    Parameters
    ----------
    kind : {"tracker", "segmenter", "keypoint_detector", "flow", "view"}
    learned : bool
        The model needs trained weights; its builder then takes them as a keyword ``weights``
        (a :class:`~echomotion.models.weights.Weights`).
    """
    if kind not in KINDS:
        raise ModelError(f"unknown kind of model {kind!r}; known are {', '.join(KINDS)}")

    def declare(build: Builder) -> Builder:
        hints = typing.get_type_hints(build)
        config = next(iter(hints.values()))
        summary = (build.__doc__ or "").strip().splitlines()[0]
        name = build.__name__
        _entries[(kind, name)] = Entry(kind, name, build, config, summary, learned)
        return build

    return declare


def _known(kind: str) -> dict[str, Entry]:
    for module in _MODULES:
        importlib.import_module(module)
    return {entry.name: entry for (entry_kind, _), entry in sorted(_entries.items()) if entry_kind == kind}


def _create(kind: str, name: str, weights: str | None, options: dict[str, Any]) -> Any:
    known = _known(kind)
    if name not in known:
        raise ModelError(f"there is no {kind.replace('_', ' ')} {name!r}; there are {', '.join(known)}")
    entry = known[name]
    fields = {f.name for f in dataclasses.fields(entry.config)}
    unknown = sorted(set(options) - fields)
    if unknown:
        raise ModelError(
            f"{name} has no option {', '.join(map(repr, unknown))}; it has {', '.join(sorted(fields)) or 'none'}"
        )
    if not entry.learned:
        if weights is not None:
            raise ModelError(f"{name} is a conventional method and takes no weights")
        return entry.build(entry.config(**options))
    return entry.build(entry.config(**options), weights=find_weights(name, weights))


def create_tracker(name: str, *, weights: str | None = None, **options: Any) -> Tracker:
    """Build a point tracker.

    Parameters
    ----------
    name : str
        A name from :func:`list_models`.
    weights : str, optional
        The name of an installed variant, or a folder with ``model.json`` and ``model.safetensors``; the installed
        release otherwise.
    **options
        Fields of the model's config.

    Raises
    ------
    ModelError
        Unknown name or option (the message lists the valid ones), or weights that are missing or do not fit.
    """
    return cast(Tracker, _create("tracker", name, weights, options))


def create_segmenter(name: str, *, weights: str | None = None, **options: Any) -> Segmenter:
    """Build a segmenter; arguments and errors as in :func:`create_tracker`."""
    return cast(Segmenter, _create("segmenter", name, weights, options))


def create_keypoint_detector(name: str, *, weights: str | None = None, **options: Any) -> KeypointDetector:
    """Build a detector of key-points; arguments and errors as in :func:`create_tracker`."""
    return cast(KeypointDetector, _create("keypoint_detector", name, weights, options))


def create_flow_estimator(name: str, *, weights: str | None = None, **options: Any) -> FlowEstimator:
    """Build an estimator of dense motion; arguments and errors as in :func:`create_tracker`."""
    return cast(FlowEstimator, _create("flow", name, weights, options))


def create_view_classifier(name: str, *, weights: str | None = None, **options: Any) -> ViewClassifier:
    """Build a classifier of views; arguments and errors as in :func:`create_tracker`."""
    return cast(ViewClassifier, _create("view", name, weights, options))


def list_models(kind: str | None = None) -> list[ModelInfo]:
    """All models, or those of one kind, with their options, installed weights and licences.

    Raises
    ------
    ModelError
        When `kind` is unknown.
    """
    if kind is not None and kind not in KINDS:
        raise ModelError(f"unknown kind of model {kind!r}; known are {', '.join(KINDS)}")
    return [_info(entry) for k in KINDS if kind in (None, k) for entry in _known(k).values()]


def _info(entry: Entry) -> ModelInfo:
    options = {
        f.name: f.default if f.default is not dataclasses.MISSING else None for f in dataclasses.fields(entry.config)
    }
    common = (entry.kind, entry.name, entry.summary, options, entry.learned)
    if not entry.learned:
        return ModelInfo(*common, 0, "not needed", "", "Apache-2.0")
    try:
        weights = find_weights(entry.name)
    except ModelError:
        return ModelInfo(*common, None, "missing", "", "")
    variants = tuple(installed_variants(entry.name))
    return ModelInfo(*common, weights.parameters, weights.tag, weights.sha256, weights.licence, variants)
