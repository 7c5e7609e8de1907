"""Errors that a user can act on.

Every message is one line: what was wrong, in which file or argument, and what to do about it.
"""

from __future__ import annotations


class EchoMotionError(Exception):
    """Base of every error that echomotion raises on purpose."""


class ClipError(EchoMotionError):
    """A recording cannot be read, or its content is not a usable cine."""


class NotACineError(ClipError):
    """A file holds no ultrasound cine and need not: a still, a report, a recording of another modality."""


class DataError(EchoMotionError, ValueError):
    """A value handed to echomotion has the wrong shape, type or range."""


class ModelError(EchoMotionError):
    """A model is unknown, has no weights, or its weights do not fit."""


class OutputError(EchoMotionError):
    """A result cannot be written where it was asked for."""


class DatasetError(EchoMotionError):
    """A dataset folder is missing, incomplete or laid out differently."""


class EchoMotionWarning(UserWarning):
    """Something that a reader of the results must know, and that does not stop the work."""
