"""Ingest against the usual notebook design, and against what decoder and disk allow.

    python -m benchmarks.ingest --files 2000 --rounds 3

In each round, in one Spark session that is warm and in an order that turns: (1) this project's
ingest, by its defaults; (2) the port: Spark's binaryFile, a Python UDF for the metadata and another
for the statistics, each decoding the image again, appended to Delta with Spark's own
compression, and without a ledger, quarantine or marks of copies; (3) the limit: decoding and
counting in plain processes on all cores, which are up already, and then Spark's own copy of the
same bytes into Delta, uncompressed, the two times added. The last line is JSON.
"""

import argparse
import io
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

from PIL import Image, ImageStat
from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine
from steps.ingest import Parameters
from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.lake.session import spark_session
from steps.landing.arrivals import Limits
from steps.landing.listing import list_landing_zone
from steps.settings.profile import Profile, load_profile


def main() -> None:
    """Run the rounds, print a line for each and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--files", type=int, default=2000, help="images a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compression", default="snappy", help="the port's, as Spark names it")
    parser.add_argument("--work", type=Path, help="folder for the copies; default: a temporary one")
    options = parser.parse_args()
    options.images = images_folder(options.images)
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        home = Path(folder)
        local = load_profile("local")
        profile = local.model_copy(update={"lake": str(home / "lake")})
        processes = multiprocessing.get_context("spawn").Pool(os.cpu_count())
        with processes, spark_session(profile, "benchmark") as spark:
            ways = {
                "decode": partial(decode, processes),
                "copy": partial(copy, spark, profile),
                "ingest": partial(ingest, spark, profile),
                "port": partial(port, spark, profile, options.compression),
            }
            repeat(options.images, home / "warm", 200, number=-1)
            for way in ways.values():
                way(home / "warm")
            rounds = []
            for number in range(options.rounds):
                zone = home / f"round{number}"
                repeat(options.images, zone, options.files, number)
                rounds.append(measure(turned(ways, number), zone, number))
                shutil.rmtree(profile.lake)
                shutil.rmtree(zone)
    print(
        json.dumps(
            {
                "ingest_vs_port": median_of(rounds, "port", "ingest"),
                "ingest_vs_limit": median_of(rounds, "limit", "ingest"),
                "files": options.files,
                "rounds": options.rounds,
                "ingest_files_a_second": round(
                    statistics.median(options.files / times["ingest"] for times in rounds), 1
                ),
            }
        )
    )


def measure(ways: dict[str, Callable], zone: Path, number: int) -> dict[str, float]:
    """One round: the seconds of each way over the same files."""
    times = {name: timed(way, zone) for name, way in ways.items()}
    times["limit"] = times["decode"] + times["copy"]
    seconds = "  ".join(f"{name} {times[name]:5.1f} s" for name in sorted(times))
    print(
        f"round {number + 1}: {seconds}   port/ingest {times['port'] / times['ingest']:.2f}   "
        f"limit/ingest {times['limit'] / times['ingest']:.2f}",
        flush=True,
    )
    return times


def turned(ways: dict[str, Callable], by: int) -> dict[str, Callable]:
    """The ways, beginning with another one."""
    names = list(ways)
    return {name: ways[name] for name in names[by % len(names) :] + names[: by % len(names)]}


def repeat(images: Path, zone: Path, files: int, number: int = 0) -> None:
    """Fill a landing zone with images under new names; a few bytes behind each image's end
    make it one of its own."""
    originals = sorted(images.glob("*.jpg"))
    zone.mkdir()
    for place in range(files):
        original = originals[place % len(originals)]
        hour, minute, second = place // len(originals) % 24, place % 60, place // 60 % 60
        time_of_day = f"{hour:02}%3A{minute:02}%3A{second:02}"
        view, _, label = original.name[original.name.index("_rpi") :].rpartition("_")
        content = original.read_bytes() + f"{number} {place}".encode()
        (zone / f"{original.name[:11]}{time_of_day}{view}{place}_{label}").write_bytes(content)


def ingest(spark: SparkSession, profile: Profile, zone: Path) -> None:
    """This project's, from the listing to the marks of copies, by its defaults."""
    landing = list_landing_zone(str(zone))
    rules = Rules(source=landing.source, pattern=profile.file_name, run_id="benchmark")
    usual = Parameters()
    limits = Limits(usual.max_files_per_batch, usual.max_megabytes_per_batch * 1_000_000)
    ingest_files(lambda: spark, profile, landing.files, rules, limits)


def port(spark: SparkSession, profile: Profile, compression: str, zone: Path) -> None:
    """The usual notebook: two Python UDFs over binaryFile, each decoding the image."""
    from pyspark.sql import functions as F

    @F.udf(
        "width INT, height INT, format STRING, mode STRING, dpi DOUBLE, exif MAP<STRING, STRING>"
    )
    def metadata(content):
        image = Image.open(io.BytesIO(content))
        image.load()
        exif = {str(k): str(v) for k, v in image.getexif().items()}
        dpi = float(image.info["dpi"][0]) if "dpi" in image.info else None
        return image.width, image.height, image.format, image.mode, dpi, exif

    @F.udf(
        "mean ARRAY<DOUBLE>, median ARRAY<INT>, stddev ARRAY<DOUBLE>, extrema ARRAY<ARRAY<INT>>, "
        "entropy DOUBLE, histogram ARRAY<INT>"
    )
    def numbers(content):
        image = Image.open(io.BytesIO(content))
        found = ImageStat.Stat(image)
        extrema = [list(pair) for pair in found.extrema]
        return found.mean, found.median, found.stddev, extrema, image.entropy(), found.h

    (
        binary_files(spark, zone)
        .withColumn("sha256", F.sha2("content", 256))
        .withColumn("metadata", metadata("content"))
        .withColumn("statistics", numbers("content"))
        .write.format("delta")
        .mode("append")
        .option("compression", compression)
        .save(f"{profile.lake}/port")
    )


def copy(spark: SparkSession, profile: Profile, zone: Path) -> None:
    """Spark's own copy of the bytes into Delta."""
    binary_files(spark, zone).write.format("delta").mode("append").save(f"{profile.lake}/copy")


def binary_files(spark: SparkSession, zone: Path):
    """What Spark's file source reads of a zone."""
    return spark.read.format("binaryFile").load(str(zone))


def decode(processes: Pool, zone: Path) -> None:
    """Decode and count each image, in as many plain processes as there are cores."""
    files = [str(path) for path in zone.iterdir()]
    for _ in processes.imap_unordered(histogram, files, chunksize=16):
        pass


def histogram(path: str) -> list[int]:
    """The counts of an image's values."""
    return Image.open(path).histogram()


def timed(work: Callable, *arguments) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def median_of(rounds: list[dict[str, float]], above: str, below: str) -> float:
    """The median over the rounds of a ratio of two ways."""
    return round(statistics.median(times[above] / times[below] for times in rounds), 3)


if __name__ == "__main__":
    main()
