"""How each operation grows with the number of images: CPU seconds, elapsed seconds and memory.

    python -m benchmarks.scale --files 1000 10000 100000
    python -m benchmarks.scale --files 1000 5000 20000 --images <folder of JPEG files>

For each size, in a lake of its own and each operation in a process of its own: ingest, ingest with
nothing new and with 100 new files, the queries of docs/search.md, upkeep, filling a cache, an epoch
from it, scoring, and scoring when all but 100 are scored. The images are small, from ten cameras,
in 256 folders that are named by a hash; or given ones repeated. Other work on the machine changes
elapsed seconds, and CPU seconds much less. The last line is JSON: the rows, and for each operation
how many times its CPU seconds grew between the first and the last size.
"""

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
from PIL import Image
from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.images import PROJECT, images_folder
from benchmarks.ingest import repeat
from benchmarks.machine import Cost, machine, measure
from steps.dataset.batches import Shard
from steps.dataset.cache_filling import find_or_fill
from steps.dataset.split import TRAIN
from steps.ingestion.tables import IMAGES, SCORES, view_tables
from steps.lake.session import spark_session
from steps.pipeline.outputs import IngestOutputs, Selection
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import LATEST, resolve_input
from steps.scoring.table import Scoring, ScoringModel
from steps.settings.profile import Profile, load_profile

SIDE = 32
"""Pixels of a prepared image along each side."""
BASES = 64
CAMERAS = 10
MINUTES = 5
"""Between two images of a camera: 2,880 images a day of all."""
START = datetime(2020, 1, 1, tzinfo=UTC)
NEW = 100


def main() -> None:
    """Measure each operation at each size, and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--images", type=Path, help="JPEG files to repeat; default: small ones")
    parser.add_argument("--only", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--work", type=Path, help="folder for the lakes; default: a temporary one")
    parser.add_argument("--run", choices=IN_PROCESS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        IN_PROCESS[options.run](profile_of(options.work))
        return
    if options.images:
        options.images = images_folder(options.images)
    print(machine(), flush=True)
    rows = [row for files in sorted(options.files) for row in measure_size(files, options)]
    print(json.dumps({"rows": rows, "growth": growth(rows)}))


def measure_size(files: int, options: argparse.Namespace) -> list[dict[str, float | str]]:
    """Measure each operation in a lake of so many files."""
    rows = []
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        home = Path(folder)
        zone = home / "landing"
        if options.images:
            repeat(options.images, zone, files)
        else:
            make_images(zone, 0, files)
        for name in (name for name in OPERATIONS if name in options.only):
            if name == "100 new":
                make_images(zone, files, NEW)
            cost = run(home, OPERATIONS[name])
            rows.append({"files": files, "operation": name} | cost._asdict())
            print("   ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def make_images(zone: Path, first: int, count: int) -> None:
    """Write small JPEGs, each one of its own by a comment; two labels, by turns."""
    bases = []
    for number in range(BASES):
        file = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(file, "JPEG")
        bases.append(file.getvalue())
    for number in range(first, first + count):
        text = f"{number:012}".encode()
        base = bases[number % BASES]
        content = base[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + base[2:]
        at = START + timedelta(minutes=MINUTES * (number // CAMERAS))
        folder = zone / hashlib.sha256(text).hexdigest()[:2]
        if number - first < 10_000:
            folder.mkdir(parents=True, exist_ok=True)
        name = f"{at:%Y-%m-%dT%H%%3A%M%%3A%S}_rpi_sensor_{number % CAMERAS}_porch"
        (folder / f"{name}_{number // CAMERAS % 2}.jpg").write_bytes(content)


def overrides(home: Path) -> str:
    """The profile's values that keep everything in a folder."""
    places = {"lake": "lake", "cache": "cache", "release.key_file": "key.pem"}
    return ",".join(f"{key}={home / name}" for key, name in places.items())


def profile_of(home: Path) -> Profile:
    """The profile of a lake."""
    return load_profile("local", overrides(home))


def run(home: Path, command: list[str]) -> Cost:
    """Run a command of ``OPERATIONS`` in the lake of a folder, and measure it."""
    if command[0].startswith("steps."):
        arguments = ["--override", overrides(home)]
    else:
        arguments = ["--work", str(home)]
    if command[0] == "steps.ingest":
        arguments += ["--source", str(home / "landing")]
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
    }
    log = home / "log.txt"
    with log.open("wb") as output:
        full = [sys.executable, "-m", *command, *arguments]
        places = {"cwd": home, "env": environment}
        process = subprocess.Popen(full, stdout=output, stderr=subprocess.STDOUT, **places)
        cost = measure(process)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-5000:]}")
    return cost


def growth(rows: list[dict]) -> dict[str, float]:
    """How many times the files grew, and the CPU seconds of each operation."""
    sizes = sorted({row["files"] for row in rows})
    found: dict[str, float] = {"files": sizes[-1] / sizes[0]}
    for name in {row["operation"]: None for row in rows}:
        first, last = (
            next(row for row in rows if (row["files"], row["operation"]) == (size, name))
            for size in (sizes[0], sizes[-1])
        )
        found[name] = round(last["cpu_s"] / first["cpu_s"], 2)
    return found


def _ingested() -> IngestOutputs:
    """What the newest ingest wrote."""
    with mlflow.start_run():
        return read_outputs(resolve_input("ingest", LATEST), IngestOutputs)


def query(profile: Profile) -> None:
    """Run each query of docs/search.md, with all its rows."""
    text = (PROJECT / "docs" / "search.md").read_text(encoding="utf-8")
    with spark_session(profile, "scale") as spark:
        view_tables(spark, profile)
        IMAGES.create_view(spark, profile, version=1)
        for sql in re.findall(r"```sql\n(.*?)```", text, re.DOTALL):
            spark.sql(sql).write.format("noop").mode("overwrite").save()


def _selection() -> Selection:
    ingested = _ingested()
    shared = ingested.model_dump(include=set(Selection.model_fields))
    split = {"block_minutes": 60, "guard_minutes": 0, "split_seed": 0}
    return Selection(**shared, **split, input_size=(SIDE, SIDE))


def fill(profile: Profile) -> None:
    """Fill the cache."""
    find_or_fill(_selection(), profile, lambda: spark_session(profile, "scale"))


def read_epoch(profile: Profile) -> None:
    """Read the batches of an epoch."""
    cache = find_or_fill(_selection(), profile, lambda: spark_session(profile, "scale"))
    rows = sum(batch.weights.sum() for batch in Shard(cache, TRAIN, 64).epoch(seed=0))
    assert rows == cache.rows(TRAIN), f"{rows} of {cache.rows(TRAIN)} rows were read"


def score(profile: Profile) -> None:
    """Score what is not scored."""
    home = Path(profile.lake).parent
    if not (home / "model").exists():
        command = f"from benchmarks.scoring import export; export({str(home)!r})"
        subprocess.run([sys.executable, "-c", command], check=True)
    with spark_session(profile, "scale") as spark:
        model = ScoringModel("scale", "1", str(home / "model"))
        Scoring(spark, profile, "scale@champion", lambda: model, "scale").score_images(_ingested())


def forget(profile: Profile) -> None:
    """Score again, when the answers for all but 100 images are there."""
    with spark_session(profile, "scale") as spark:
        paths = SCORES.read(spark, profile).select("path").limit(NEW).collect()
        forgotten = F.col("path").isin([row["path"] for row in paths])
        SCORES.load(spark, profile).delete(forgotten)
    score(profile)


IN_PROCESS = {"query": query, "fill": fill, "epoch": read_epoch, "score": score, "again": forget}
OPERATIONS = {
    "ingest": ["steps.ingest"],
    "nothing new": ["steps.ingest"],
    "100 new": ["steps.ingest"],
    "queries": ["benchmarks.scale", "--run", "query"],
    "upkeep": ["steps.upkeep"],
    "cache": ["benchmarks.scale", "--run", "fill"],
    "epoch": ["benchmarks.scale", "--run", "epoch"],
    "score": ["benchmarks.scale", "--run", "score"],
    "score 100": ["benchmarks.scale", "--run", "again"],
}

if __name__ == "__main__":
    main()
