"""Ingest against the usual notebook design, and against what decoder and disk allow.

    python -m benchmarks.ingest --files 2000 --rounds 3

In each round, in one Spark session that is warm: (1) this project's ingest; (2) the port: Spark's
binaryFile, a Python UDF for the metadata and another for the statistics, each decoding the picture
again, appended to Delta; (3) the limit: decoding and counting in plain processes on all cores, and
then Spark's own copy of the same bytes into Delta, the two times added. The last line is JSON.
"""

import argparse
import io
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from pyspark.sql import SparkSession

from benchmarks.machine import machine
from steps.lake.arrivals import Limits
from steps.lake.copies import mark_copies
from steps.lake.landing import look
from steps.lake.rows import Rules
from steps.lake.session import spark_session
from steps.lake.stream import take_in
from steps.settings.profile import PROJECT, Profile, load_profile

PICTURES = PROJECT.parent / "shared" / "data" / "package-images" / "images"


def main() -> None:
    """Run the rounds, print a line for each and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of JPEG files")
    parser.add_argument("--files", type=int, default=2000, help="pictures a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder for the copies; default: a temporary one")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        home = Path(folder)
        local = load_profile("local")
        profile = local.model_copy(update={"lake": str(home / "lake")})
        with spark_session(profile, "benchmark") as spark:
            repeat(options.pictures, home / "warm", 200)
            for way in (ingest, port, copy):
                way(spark, profile, home / "warm")
            rounds = [
                measure(spark, profile, options.pictures, home, options.files, number)
                for number in range(options.rounds)
            ]
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


def measure(
    spark: SparkSession, profile: Profile, pictures: Path, home: Path, files: int, number: int
) -> dict[str, float]:
    """One round: the seconds of each way over the same files."""
    zone = home / f"round{number}"
    repeat(pictures, zone, files, number)
    times = {"decode": timed(decode, zone), "copy": timed(copy, spark, profile, zone)}
    for name, way in (("ingest", ingest), ("port", port)):
        times[name] = timed(way, spark, profile, zone)
    times["limit"] = times["decode"] + times["copy"]
    seconds = "  ".join(f"{name} {taken:6.1f} s" for name, taken in times.items())
    print(
        f"round {number + 1}: {seconds}   port/ingest {times['port'] / times['ingest']:.2f}   "
        f"limit/ingest {times['limit'] / times['ingest']:.2f}",
        flush=True,
    )
    shutil.rmtree(profile.lake)
    shutil.rmtree(zone)
    return times


def repeat(pictures: Path, zone: Path, files: int, number: int = 0) -> None:
    """Fill a landing zone with pictures under new names; a few bytes behind each picture's end
    make it one of its own."""
    originals = sorted(pictures.glob("*.jpg"))
    zone.mkdir()
    for place in range(files):
        original = originals[place % len(originals)]
        hour, minute, second = place // len(originals) % 24, place % 60, place // 60 % 60
        time_of_day = f"{hour:02}%3A{minute:02}%3A{second:02}"
        rest = original.name[original.name.index("_rpi") :].replace("_front", f"_front{place}")
        content = original.read_bytes() + f"{number} {place}".encode()
        (zone / f"{original.name[:11]}{time_of_day}{rest}").write_bytes(content)


def ingest(spark: SparkSession, profile: Profile, zone: Path) -> None:
    """This project's, from the listing to the marks of copies."""
    landing = look(str(zone))
    rules = Rules(source=landing.source, pattern=profile.file_name, run_id="benchmark")
    take_in(spark, profile, landing.files, rules, Limits(1000, 512_000_000))
    mark_copies(spark, profile)


def port(spark: SparkSession, profile: Profile, zone: Path) -> None:
    """The usual notebook: two Python UDFs over binaryFile, each decoding the picture."""
    from pyspark.sql import functions as F

    @F.udf("width INT, height INT, format STRING, mode STRING, exif MAP<STRING, STRING>")
    def metadata(content):
        picture = Image.open(io.BytesIO(content))
        picture.load()
        exif = {str(k): str(v) for k, v in picture.getexif().items()}
        return picture.width, picture.height, picture.format, picture.mode, exif

    @F.udf("mean ARRAY<DOUBLE>, stddev ARRAY<DOUBLE>, entropy DOUBLE, histogram ARRAY<INT>")
    def numbers(content):
        from PIL import ImageStat

        picture = Image.open(io.BytesIO(content))
        found = ImageStat.Stat(picture)
        return found.mean, found.stddev, picture.entropy(), picture.histogram()

    (
        binary_files(spark, zone)
        .withColumn("metadata", metadata("content"))
        .withColumn("statistics", numbers("content"))
        .write.format("delta")
        .mode("append")
        .save(f"{profile.lake}/port")
    )


def copy(spark: SparkSession, profile: Profile, zone: Path) -> None:
    """Spark's own copy of the bytes into Delta."""
    binary_files(spark, zone).write.format("delta").mode("append").save(f"{profile.lake}/copy")


def binary_files(spark: SparkSession, zone: Path):
    """What Spark's file source reads of a zone."""
    return spark.read.format("binaryFile").load(str(zone))


def decode(zone: Path) -> None:
    """Decode and count each picture, in as many plain processes as there are cores."""
    files = [str(path) for path in zone.iterdir()]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for _ in pool.imap_unordered(histogram, files, chunksize=16):
            pass


def histogram(path: str) -> list[int]:
    """The counts of a picture's values."""
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
