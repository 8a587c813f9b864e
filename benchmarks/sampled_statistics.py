"""What `statistics=sampled` gains and how far it is from the statistics of all pixels.

    python -m benchmarks.sampled_statistics [--images <folder of JPEG files>]

Each image is described both ways; the errors are the differences of a band's values, in levels
of 0–255 (entropy in bits). The last line is JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine
from steps.ingestion.image_metadata import describe


def main() -> None:
    """Print the errors' median, 99th percentile and largest, and the ratio of the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    options = parser.parse_args()
    options.images = images_folder(options.images)
    print(machine())
    errors: dict[str, list[float]] = {}
    seconds = {"full": 0.0, "sampled": 0.0}
    paths = sorted(options.images.glob("*.jpg"))
    for path in paths:
        content = path.read_bytes()
        found = {}
        for statistics in ("full", "sampled"):
            started = time.process_time()
            found[statistics] = describe(content, statistics=statistics)
            seconds[statistics] += time.process_time() - started
        pairs = zip(found["full"]["statistics"], found["sampled"]["statistics"], strict=True)
        for full, sampled in pairs:
            for name in ("mean", "median", "stddev", "min", "max"):
                errors.setdefault(name, []).append(abs(full[name] - sampled[name]))
        difference = abs(found["full"]["entropy"] - found["sampled"]["entropy"])
        errors.setdefault("entropy", []).append(difference)
    print("           median      99 %   largest")
    for name, values in errors.items():
        middle, high, largest = np.percentile(values, [50, 99, 100])
        print(f"{name:8}  {middle:7.2f}   {high:7.2f}   {largest:7.2f}")
    largest = {name: round(max(values), 2) for name, values in errors.items()}
    ratio = round(seconds["sampled"] / seconds["full"], 3)
    print(
        json.dumps(
            {"sampled_vs_full_seconds": ratio, "largest_error": largest, "files": len(paths)}
        )
    )


if __name__ == "__main__":
    main()
