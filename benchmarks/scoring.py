"""Spark and REST scoring against decoding and onnxruntime in plain processes.

    python -m benchmarks.scoring --files 2000 --rounds 3

The limit: as many plain processes as there are cores, started and with the model loaded, each
decoding images and scoring them one by one on one thread. Spark: the same files through the
step's own code into Delta, in a session that has scored before; how long the first row takes in a
new session is measured beside. REST: `mlflow models serve` with a process a core, and wrk with 1, 4
and 16 connections that post one image a request; where there are fewer connections than cores,
the limit too is of no more processes. The last line is JSON.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.images import add_images, images_folder
from benchmarks.ingest import repeat
from benchmarks.machine import machine
from benchmarks.scoring_rest import measure_rest, require_wrk
from edge.inference.prepare import PREPARE_VERSION
from edge.inference.record import MODEL_FILE, ModelRecord
from edge.inference.scoring import Scorer
from edge.protocol.release import sha256_of
from steps.lake.session import spark_session
from steps.scoring.table import Scoring, ScoringModel
from steps.settings.profile import load_profile

SIZE = (128, 128)


def main() -> None:
    """Measure each way in each round and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--files", type=int, default=2000, help="images a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of REST, by number of clients")
    parser.add_argument("--only", choices=["spark", "rest"], help="one of the two; default: both")
    parser.add_argument("--work", type=Path, help="folder for the copies; default: a temporary one")
    options = parser.parse_args()
    options.images = images_folder(options.images)
    if options.only != "spark":
        require_wrk()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        home = Path(folder)
        subprocess.run(  # in a process of its own: TensorFlow's threads stay out of the measuring
            [sys.executable, "-c", f"from benchmarks.scoring import export; export({str(home)!r})"],
            check=True,
        )
        some = next(options.images.glob("*.jpg"))
        with multiprocessing.get_context("spawn").Pool(
            os.cpu_count(), initializer=load, initargs=(str(home / "model"), some)
        ) as pool:
            found: dict[str, float] = {}
            if options.only != "rest":
                found |= measure_spark(pool, home, options)
            if options.only != "spark":
                images = sorted(options.images.glob("*.jpg"))[:200]
                found |= measure_rest(
                    partial(limit, pool), home / "pyfunc", images, options.rounds, options.seconds
                )
    print(json.dumps(found | {"files": options.files, "rounds": options.rounds}))


def export(home: str) -> None:
    """A compact network with random weights, as it is released, and as a pyfunc."""
    import mlflow

    from steps.release.onnx_graph import to_onnx
    from steps.release.pyfunc import pyfunc_arguments
    from steps.training.networks import build_network
    from steps.training.plan import Plan

    folder = Path(home, "model")
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(to_onnx(build_network(Plan(), SIZE, 2)))
    ModelRecord(
        labels=["0", "1"],
        input_size=SIZE,
        prepare_version=PREPARE_VERSION,
        files={MODEL_FILE: sha256_of(folder / MODEL_FILE)},
    ).write(folder)
    with pyfunc_arguments(folder) as arguments:
        mlflow.pyfunc.save_model(Path(home, "pyfunc"), **arguments)


def load(folder: str, image: Path) -> None:
    """In a plain process: the model, once."""
    global scorer
    scorer = Scorer(folder, threads=1)
    scorer.predict([image])


def score(path: str) -> float:
    """In a plain process: one image, from its file to its score."""
    return scorer.predict([path])[0].score


def limit(pool, files: list[str], most: int | None = None) -> float:
    """Seconds that the plain processes take for files, no more than `most` of them at work."""
    alone = most is not None and most < os.cpu_count()
    chunk = -(-len(files) // most) if alone else 16
    started = time.perf_counter()
    for _ in pool.imap_unordered(score, files, chunksize=chunk):
        pass
    return time.perf_counter() - started


def measure_spark(pool, home: Path, options: argparse.Namespace) -> dict[str, float]:
    """Spark against the limit over the same files, and the time to the first row."""
    local = load_profile("local")
    profile = local.model_copy(update={"lake": str(home / "lake")})
    model = ScoringModel("benchmark", "1", str(home / "model"))
    repeat(options.images, home / "first", 2)
    repeat(options.images, home / "warm", 200)
    ratios, rates = [], []
    began = time.perf_counter()
    with spark_session(profile, "benchmark") as spark:
        session = time.perf_counter() - began
        scoring = Scoring(spark, profile, "benchmark-onnx@champion", lambda: model, "benchmark")
        began = time.perf_counter()
        scoring.score_files(str(home / "first"))
        first = time.perf_counter() - began
        scoring.score_files(str(home / "warm"))
        for number in range(options.rounds):
            zone = home / f"round{number}"
            repeat(options.images, zone, options.files, number)
            plain = limit(pool, [str(path) for path in zone.iterdir()])
            began = time.perf_counter()
            scoring.score_files(str(zone))
            taken = time.perf_counter() - began
            plain = (plain + limit(pool, [str(path) for path in zone.iterdir()])) / 2
            ratios.append(plain / taken)
            rates.append(options.files / taken)
            print(
                f"Spark round {number + 1}: limit {options.files / plain:6.0f} a second, Spark "
                f"{options.files / taken:6.0f} a second, ratio {plain / taken:.2f}",
                flush=True,
            )
            shutil.rmtree(zone)
    print(f"Spark: session {session:.1f} s, first rows after {first:.1f} s more", flush=True)
    return {
        "spark_vs_limit": round(statistics.median(ratios), 3),
        "spark_images_a_second": round(statistics.median(rates), 1),
        "spark_session_seconds": round(session, 1),
        "spark_first_rows_seconds": round(first, 1),
    }


if __name__ == "__main__":
    main()
