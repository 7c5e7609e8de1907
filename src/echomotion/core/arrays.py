"""Checks and read-only copies shared by the core types."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from echomotion.core.errors import DataError


def frozen_array(
    value: Any, name: str, *, shape: tuple[int | None, ...], dtype: DTypeLike, finite: bool = True
) -> NDArray[Any]:
    """Return `value` as a read-only array of the wanted type, or raise :class:`DataError`.

    Parameters
    ----------
    value : array-like
        What the caller handed in; it is never changed. It is copied unless it is already a
        read-only array of the right type, or an array nobody else can write to.
    name : str
        How the argument is called in the message.
    shape : tuple of int or None
        Wanted length per axis; None accepts any length.
    dtype : dtype-like
        Type of the result.
    finite : bool
        Refuse NaN and infinity (floating types only).
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be made an array ({error})") from None
    if array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    ):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise DataError(f"{name} has shape {array.shape}; ({wanted}) is needed")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} holds {array.dtype} values; numbers are needed")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{name} contains NaN or infinite values; remove or replace them first")
    out = array.astype(dtype, copy=False)
    if out.flags.writeable:
        out = out.copy() if out is array or np.shares_memory(out, array) else out
        out.setflags(write=False)
    return out
