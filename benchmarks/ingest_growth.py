"""How ingest grows with the files in the landing zone, and what it takes of memory.

    python -m benchmarks.ingest_growth --files 1000 4000 16000

For each size, in a process and a lake of its own and over small generated JPEGs: listing the
landing zone, taking everything in, and taking in one more file afterwards. The last line is JSON.
"""

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import Memory, machine
from steps.lake.arrivals import Limits
from steps.lake.copies import mark_copies
from steps.lake.landing import look
from steps.lake.rows import Rules
from steps.lake.session import spark_session
from steps.lake.stream import take_in
from steps.settings.profile import load_profile

FILES_A_BATCH = 1000


def main() -> None:
    """Measure each size and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--work", type=Path, help="folder for the pictures")
    options = parser.parse_args()
    print(machine())
    print("  files   list s   ingest s   files/s   one more s   java MB   python MB")
    rows = []
    for files in options.files:
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            row = _in_a_process_of_its_own(Path(folder), files)
        rows.append(row)
        print(
            f"{files:7}  {row['list']:7.2f}  {row['ingest']:9.1f}  {files / row['ingest']:8.1f}  "
            f"{row['one_more']:11.1f}  {row['java_mb']:8}  {row['python_mb']:10}",
            flush=True,
        )
    print(json.dumps({"growth": rows}))


def _in_a_process_of_its_own(home: Path, files: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(home, files, queue))
    process.start()
    row = queue.get()
    process.join()
    return row


def _measure(home: Path, files: int, queue) -> None:
    zone = home / "landing"
    zone.mkdir()
    for number in range(files):
        _picture(zone, number)
    profile = load_profile("local").model_copy(update={"lake": str(home / "lake")})
    with Memory() as memory, spark_session(profile, "growth") as spark:

        def ingest() -> float:
            started = time.perf_counter()
            landing = look(str(zone))
            rules = Rules(source=landing.source, pattern=profile.file_name)
            take_in(spark, profile, landing.files, rules, Limits(FILES_A_BATCH, 512_000_000))
            mark_copies(spark, profile)
            return time.perf_counter() - started

        started = time.perf_counter()
        look(str(zone))
        listed = time.perf_counter() - started
        first = ingest()
        _picture(zone, files)
        one_more = ingest()
    shutil.rmtree(home / "lake")
    queue.put(
        {
            "files": files,
            "list": round(listed, 3),
            "ingest": round(first, 1),
            "one_more": round(one_more, 1),
            "java_mb": memory.peak["java"],
            "python_mb": memory.peak["python"],
        }
    )


def _picture(zone: Path, number: int) -> None:
    """A small JPEG of its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
    day, second = divmod(number, 1000)
    time_of_day = f"{second // 60:02}%3A{second % 60:02}%3A00"
    name = f"2026-07-{day % 28 + 1:02}T{time_of_day}_rpi_sensor_{day // 28}_porch_{number % 2}.jpg"
    Image.fromarray(pixels).save(zone / name)


if __name__ == "__main__":
    main()
