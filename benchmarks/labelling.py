"""The page on which images are labelled: how soon an image is there, at any size of the table.

For each number of rows a table is made (images of the simulated porch up to 1,000, small grey ones
above), the server is started as a process of its own, and headless Chromium presses keys.

    python -m benchmarks.labelling
    python -m benchmarks.labelling --rows 1000 1000000 --keys 50
    python -m benchmarks.labelling --rows 1000 --compacted
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.browser import browsing
from benchmarks.machine import machine, peak_megabytes
from benchmarks.made_lake import (
    MADE_AT,
    SERVE,
    commit,
    frame_name,
    image_rows,
    made_profile,
    write_rows,
)
from edge.cameras.camera import CameraSettings
from edge.cameras.jpeg import encode_pixels
from edge.cameras.simulated import SimulatedCamera
from steps.ingestion.tables import IMAGES
from steps.lake.session import spark_session
from steps.settings.profile import PROJECT

DISTINCT = 50
REAL_SIZE = 1000
"""Rows up to which the images have a camera's size."""
PERIOD_MINUTES = 1.0
KEY_SECONDS = 0.12

MEASURE = """
window.measured = [];
addEventListener("keydown", event => {
  const before = at("stage").dataset.sha256, pressed = event.timeStamp;
  const painted = () => {
    const shown = document.querySelector("#stage img");
    if (at("stage").dataset.sha256 === before || !shown?.complete || !shown.naturalWidth)
      return requestAnimationFrame(painted);
    const {port1, port2} = new MessageChannel();
    port1.onmessage = () => measured.push(performance.now() - pressed);
    requestAnimationFrame(() => port2.postMessage(0));  // answered once that frame is painted
  };
  requestAnimationFrame(painted);
}, true), 0
"""


def main() -> None:
    """Measure, and print a line of JSON last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--keys", type=int, default=200, help="keys to press at each size")
    parser.add_argument(
        "--compacted", action="store_true", help="let Spark write a file a day, as upkeep does"
    )
    options = parser.parse_args()
    print(machine(), flush=True)
    found = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as home:
            write_table(Path(home), rows)
            if options.compacted:
                compact(Path(home))
            found[rows] = measure(Path(home), options.keys)
        print(f"{rows:9,} rows  {json.dumps(found[rows])}", flush=True)
    most, least = max(options.rows), min(options.rows)
    result = {
        f"first_image_seconds_{most // 1000}k": found[most]["first_image_seconds"],
        "next_image_p95_ms": max(one["next_image_p95_ms"] for one in found.values()),
        f"memory_growth_{least // 1000}k_to_{most // 1000}k": round(
            found[most]["megabytes"] / found[least]["megabytes"], 2
        ),
    }
    print(json.dumps(result))


def write_table(home: Path, rows: int) -> None:
    """Write a table of images that differ in a comment of their JPEG, and in their time."""
    zone = f"file:{home / 'zone'}"
    distinct = enumerate(distinct_images(rows <= REAL_SIZE))
    templates = list(image_rows(((frame_name(n), content) for n, content in distinct), zone))
    commit(made_profile(home), write_rows(vary(templates, rows, zone), made_profile(home), 4000))


def compact(home: Path) -> None:
    """Write the table again by Spark, in one file a day."""
    profile = made_profile(home)
    table = Path(IMAGES.path(profile))
    with spark_session(profile, "benchmark") as spark:
        rows = spark.read.option("basePath", str(table)).parquet(f"{table}/date=*").coalesce(1)
        rows.write.format("delta").partitionBy("date").save(f"{table}.new")
    shutil.rmtree(table)
    Path(f"{table}.new").rename(table)


def distinct_images(real_size: bool) -> Iterator[bytes]:
    """Some JPEGs that differ."""
    if real_size:
        camera = SimulatedCamera(CameraSettings(period=timedelta(minutes=30), seed=1))
        yield from (encode_pixels(frame.image) for frame in camera.frames(DISTINCT))
        return
    rng = np.random.default_rng(1)
    for _ in range(DISTINCT):
        grey = np.kron(rng.integers(0, 256, (4, 4), np.uint8), np.ones((12, 16), np.uint8))
        with tempfile.SpooledTemporaryFile() as file:
            Image.fromarray(grey).save(file, "JPEG")
            file.seek(0)
            yield file.read()


def vary(templates: list[dict[str, Any]], rows: int, zone: str) -> Iterator[dict[str, Any]]:
    """The rows of images that were taken one after the other."""
    for number in range(rows):
        row = templates[number % len(templates)]
        comment = str(number).encode()
        jpeg = row["content"]
        marked = jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + jpeg[2:]
        at = MADE_AT + timedelta(minutes=PERIOD_MINUTES * number)
        yield row | {
            "path": f"{zone}/{frame_name(number, PERIOD_MINUTES)}",
            "sha256": sha256(marked).hexdigest(),
            "content": marked,
            "captured_at": at,
            "date": at.date(),
        }


def measure(home: Path, keys: int) -> dict[str, float]:
    """Start the server, open its page, and press keys."""
    started = time.monotonic()
    command = [sys.executable, "-c", SERVE, str(home), f"file:{home / 'zone'}", "benchmark"]
    with (
        tempfile.TemporaryDirectory() as profile,
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        ready = time.monotonic()
        with browsing(Path(profile), "about:blank") as page:
            launched = time.monotonic()
            page("Page.navigate", url=address)
            page.wait("document.querySelector('#stage img')?.naturalWidth > 0")
            first = time.monotonic() - launched
            # the images of the random order lie all over the table
            page.run("F = at('filters').querySelector('form'), F.order.value = 'control', begin()")
            page.press("n")
            page.type("package")
            page.press("Enter")
            page.wait("!defining && item() && document.querySelector('#stage img').complete")
            page.run(MEASURE)
            for _ in range(keys):
                page.press("1")
                time.sleep(KEY_SECONDS)
            page.wait(f"measured.length >= {keys} && !waiting.length", 60)
            times = np.array(page.run("measured"))
        megabytes = peak_megabytes(server.pid)
        server.kill()
    return {
        "start_seconds": round(ready - started, 2),
        "first_image_seconds": round(first, 2),
        "next_image_p50_ms": round(float(np.median(times)), 1),
        "next_image_p95_ms": round(float(np.quantile(times, 0.95)), 1),
        "megabytes": round(megabytes),
    }


if __name__ == "__main__":
    main()
