"""How long the whole job takes for one clip, from the file to the finished folder, after start-up.

    python -m benchmarks.analysis_speed CLIP [--threads 2] [--json FILE]

Seconds on the clock and of the processor for reading, segmentation, tracking, measuring and writing. On a machine that
does other work the clock says little; the processor's seconds on one thread bound it from above.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch

from echomotion.analysis import analyze
from echomotion.io import read_clip
from echomotion.report.save import save_analysis


def stages(path: Path, folder: Path) -> dict[str, tuple[float, float]]:
    """Seconds (clock, processor) of each part of the job, and of all."""
    marks = [("", time.perf_counter(), time.process_time())]

    def mark(name: str) -> None:
        marks.append((name, time.perf_counter(), time.process_time()))

    seen: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        # What goes on before a stage's last report is that stage; the rest is measuring.
        if done >= total and stage not in seen:
            seen.append(stage)
            mark(stage)

    clip = read_clip(path)
    mark("read")
    result = analyze(clip, progress=progress)
    mark("measure")
    save_analysis(result, folder / "out")
    mark("write")
    spent = {now[0]: (now[1] - before[1], now[2] - before[2]) for before, now in pairwise(marks)}
    return spent | {"all": (marks[-1][1] - marks[0][1], marks[-1][2] - marks[0][2])}


def main() -> None:
    """Print the seconds of each stage and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        spent = stages(options.clip, Path(folder))
    for name, (clock, processor) in spent.items():
        print(f"{name:10} clock {clock:6.2f} s  processor {processor:6.2f} s")
    if options.json:
        options.json.write_text(json.dumps(spent, indent=1))


if __name__ == "__main__":
    main()
