"""The time of scoring in the device's environment, against onnxruntime and Pillow alone.

    make run                        # once: there has to be a released model
    .venv-edge/bin/python -m benchmarks.device_scoring

Ratios of medians, from images that each way scores in turn. ``benchmarks.edge`` starts it, since
the device's environment is another one. The last line is JSON.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.bare_onnxruntime import Bare
from benchmarks.images import PROJECT, add_images, images_folder
from edge.inference.record import INT8_FILE, MODEL_FILE
from edge.inference.scoring import Scorer

MODEL = PROJECT / "data" / "device" / "package-onnx" / "current"
LORES = (240, 320)
WARM_UP = 20


def main() -> None:
    """Measure on the images of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL, help="folder of a release")
    add_images(parser)
    parser.add_argument("--files", type=int, default=300, help="images a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    options.images = images_folder(options.images)
    if not (options.model / MODEL_FILE).exists():
        parser.error(f"there is no released model in {options.model}; run: make run")
    model, rounds = options.model, options.rounds
    images = [str(path) for path in sorted(options.images.glob("*.jpg"))[: options.files]]
    scorer, bare = Scorer(model, threads=1), Bare(str(model / MODEL_FILE), threads=1)
    bare_int8 = Bare(str(model / INT8_FILE), threads=1)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*bare.size, 3), np.uint8)
    lores = rng.integers(0, 256, (*LORES, 3), np.uint8)
    ways: dict[str, Callable[[str], object]] = {
        "jpeg": lambda path: scorer.predict([path]),
        "bare_jpeg": lambda path: bare.run(bare.decode(path)),
        "array": lambda _: scorer.predict([pixels]),
        "bare_array": lambda _: bare.run(pixels),
        "lores": lambda _: scorer.predict([lores]),
        "int8": lambda _: bare_int8.run(pixels),
    }
    measured = [_medians(ways, images) for _ in range(rounds)]

    def ratio(ours: str, theirs: str) -> float:
        return round(statistics.median(ms[ours] / ms[theirs] for ms in measured), 3)

    print(
        json.dumps(
            {
                "jpeg_vs_bare": ratio("jpeg", "bare_jpeg"),
                "array_vs_bare": ratio("array", "bare_array"),
                "int8_vs_fp32_latency": ratio("int8", "bare_array"),
                **{
                    f"{way}_ms": round(statistics.median(ms[way] for ms in measured), 3)
                    for way in ("jpeg", "array", "lores", "int8")
                },
                "files": len(images),
                "rounds": rounds,
            }
        )
    )


def _medians(ways: dict[str, Callable], images: list[str]) -> dict[str, float]:
    """Milliseconds an image; the ways take turns, so that a slow moment hits all alike, in an
    order drawn each time, so that what one leaves in the processor's caches does too."""
    ms: dict[str, list[float]] = {way: [] for way in ways}
    draw = random.Random(0)
    for turn, path in enumerate(images[:WARM_UP] + images):
        for way, score in draw.sample(list(ways.items()), len(ways)):
            begin = time.perf_counter()
            score(path)
            if turn >= WARM_UP:
                ms[way].append(1000 * (time.perf_counter() - begin))
    return {way: statistics.median(times) for way, times in ms.items()}


if __name__ == "__main__":
    main()
