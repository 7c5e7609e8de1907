"""What a computation takes: seconds and memory, and a yardstick that makes seconds comparable between machines."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")

YARDSTICK = "MONAI ResNet-18 (spatial_dims=2, n_input_channels=1), 24 frames of 256 x 256, float32"
_YARDSTICK_FRAMES, _YARDSTICK_SIDE = 24, 256


@dataclass(frozen=True)
class Use(Generic[T]):
    """A result and what it took.

    Attributes
    ----------
    result : object
    seconds : float
    peak_memory_mb : float
        The most main memory (MiB) that the process held meanwhile, interpreter and libraries included.
    peak_is_own : bool
        False where the system cannot forget earlier peaks: the figure is then that of the process so far.
    peak_gpu_memory_mb : float
        The most that PyTorch held on the GPU (MiB); NaN without one.
    """

    result: T
    seconds: float
    peak_memory_mb: float
    peak_is_own: bool
    peak_gpu_memory_mb: float


def measured(work: Callable[[], T]) -> Use[T]:
    """Do `work`, and say what it took."""
    own = _forget_peak()
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    result = work()
    if gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    gpu_mb = torch.cuda.max_memory_allocated() / 2**20 if gpu else math.nan
    return Use(result, seconds, _peak_mb(), own, gpu_mb)


def yardstick_seconds(repeats: int = 2) -> float:
    """Seconds of the forward pass that :data:`YARDSTICK` names, on the device that PyTorch would use; best of some.

    Raises
    ------
    ImportError
        Without MONAI (``echomotion[train]``).
    """
    from monai.networks.nets import resnet18

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = resnet18(spatial_dims=2, n_input_channels=1).to(device).eval()
    frames = torch.zeros(_YARDSTICK_FRAMES, 1, _YARDSTICK_SIDE, _YARDSTICK_SIDE, device=device)
    with torch.inference_mode():
        network(frames[:1])
        return min(measured(lambda: network(frames)).seconds for _ in range(repeats))


def machine_facts() -> dict[str, Any]:
    """The machine in words, without its name."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _forget_peak() -> bool:
    """Set the high-water mark of memory to what is held now; only Linux can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_mb() -> float:
    """High-water mark of the process's memory in MiB."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return math.nan
    # In KiB, but in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
