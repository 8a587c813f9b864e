"""How ingest grows with the files in the landing zone, and what it takes of memory.

    python -m benchmarks.ingest_growth --files 1000 4000 16000
    python -m benchmarks.ingest_growth --files 1000 4000 --images <folder of JPEG files>
    python -m benchmarks.ingest_growth --files --listing 16000 64000 256000

For each size, in a process and a lake of its own, over small generated JPEGs or given ones
repeated: listing the landing zone, ingesting everything, and ingesting one more file afterwards.
Then, without Spark, what listing a zone costs and what finding that nothing in it is new. The last
line is JSON.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.ingest import ingest, repeat, timed
from benchmarks.machine import Memory, machine, peak_megabytes
from steps.lake.session import spark_session
from steps.landing.arrivals import Arrivals, Limits
from steps.landing.zone import list_landing_zone
from steps.settings.profile import load_profile


def main() -> None:
    """Measure each size and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="*", default=[1000, 4000, 16000])
    parser.add_argument("--images", type=Path, help="JPEG files to repeat; default: small ones")
    parser.add_argument("--listing", type=int, nargs="*", default=[], help="files to list only")
    parser.add_argument("--work", type=Path, help="folder for the images")
    options = parser.parse_args()
    print(machine())
    growth = [_row(_measure, options.work, files, options.images) for files in options.files]
    listing = [_row(_list, options.work, files) for files in options.listing]
    print(json.dumps({"growth": growth, "listing": listing}))


def _row(measure, work: Path | None, *arguments) -> dict[str, float]:
    """What a measurement gives in a process and a folder of its own, printed."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=work) as folder, context.Pool(1) as process:
        row = process.apply(measure, (Path(folder), *arguments))
    print("   ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def _measure(home: Path, files: int, images: Path | None) -> dict[str, float]:
    zone = home / "landing"
    if images:
        repeat(images, zone, files)
    else:
        zone.mkdir()
        for number in range(files):
            _image(zone, number)
    profile = load_profile("local").model_copy(update={"lake": str(home / "lake")})
    with spark_session(profile, "growth") as spark:
        warm = home / "warm"
        warm.mkdir()
        _image(warm, 0)
        ingest(spark, profile, warm)
        with Memory() as memory:
            listed = timed(list_landing_zone, str(zone))
            first = timed(ingest, spark, profile, zone)
            _image(zone, files)
            one_more = timed(ingest, spark, profile, zone)
    return {
        "files": files,
        "megabytes": sum(file.bytes for file in list_landing_zone(str(zone)).files) // 1_000_000,
        "list_s": round(listed, 3),
        "ingest_s": round(first, 1),
        "files_a_second": round(files / first, 1),
        "one_more_s": round(one_more, 2),
        "java_mb": memory.peak["java"],
        "workers_mb": memory.peak["python"],
        "driver_mb": round(peak_megabytes()),
    }


def _list(home: Path, files: int) -> dict[str, float]:
    zone = home / "landing"
    zone.mkdir()
    for number in range(files):
        (zone / f"2026-07-13T00%3A00%3A00_rpi_sensor_3_porch{number}_0.jpg").touch()
    started = time.perf_counter()
    landing = list_landing_zone(str(zone))
    listed = time.perf_counter() - started
    profile = load_profile("local").model_copy(update={"lake": str(home / "lake")})
    arrivals = Arrivals(profile, landing.source)
    arrivals.record(landing.files, Limits(4000, 10**9))
    compared = timed(arrivals.select_new, landing.files)
    return {"files": files, "list_s": round(listed, 2), "nothing_new_s": round(compared, 2)}


def _image(zone: Path, number: int) -> None:
    """A small JPEG of its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
    day, second = divmod(number, 1000)
    time_of_day = f"{second // 60:02}%3A{second % 60:02}%3A00"
    name = f"2026-07-{day % 28 + 1:02}T{time_of_day}_rpi_sensor_{day // 28}_porch_{number % 2}.jpg"
    Image.fromarray(pixels).save(zone / name)


if __name__ == "__main__":
    main()
