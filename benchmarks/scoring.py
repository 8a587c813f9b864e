"""Spark and REST scoring against decoding and onnxruntime in plain processes.

    python -m benchmarks.scoring --files 2000 --rounds 3

The limit: as many plain processes as there are cores, started and with the model loaded, each
decoding pictures and scoring them one by one on one thread. Spark: the same files through the
step's own code into Delta, in a session that has scored before; how long the first row takes in a
new session is measured beside. REST: `mlflow models serve` with a process a core, and clients that
post one picture a request. The last line is JSON.
"""

import argparse
import base64
import http.client
import json
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from mlflow.entities.model_registry import ModelVersion

from benchmarks.ingest import PICTURES, repeat
from benchmarks.machine import machine
from edge.record import MODEL_FILE, ModelRecord, sha256_of
from edge.scoring import PREPARE_VERSION, Scorer
from steps.lake.scores import Model, Scoring
from steps.lake.session import spark_session
from steps.settings.profile import load_profile

SIZE = (128, 128)
CLIENTS = (1, 4, 16)
START_SECONDS = 180


def main() -> None:
    """Measure each way in each round and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of JPEG files")
    parser.add_argument("--files", type=int, default=2000, help="pictures a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of REST, by number of clients")
    parser.add_argument("--work", type=Path, help="folder for the copies; default: a temporary one")
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        home = Path(folder)
        subprocess.run(  # in a process of its own: TensorFlow's threads stay out of the measuring
            [sys.executable, "-c", f"from benchmarks.scoring import export; export({str(home)!r})"],
            check=True,
        )
        with multiprocessing.get_context("spawn").Pool(
            os.cpu_count(), initializer=load, initargs=(str(home / "model"),)
        ) as pool:
            spark = measure_spark(pool, home, options)
            rest = measure_rest(pool, home, options)
    print(json.dumps(spark | rest | {"files": options.files, "rounds": options.rounds}))


def export(home: str) -> None:
    """A compact network with random weights, as it is released, and as a pyfunc."""
    import mlflow

    from steps.serving.onnx_graph import to_onnx
    from steps.serving.pyfunc import pyfunc_arguments
    from steps.training.networks import build

    folder = Path(home, "model")
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(to_onnx(build("compact", SIZE, 2)))
    ModelRecord(
        labels=["0", "1"],
        input_size=SIZE,
        prepare_version=PREPARE_VERSION,
        files={MODEL_FILE: sha256_of(folder / MODEL_FILE)},
    ).write(folder)
    mlflow.pyfunc.save_model(Path(home, "pyfunc"), **pyfunc_arguments(folder))


def load(folder: str) -> None:
    """In a plain process: the model, once."""
    global scorer
    scorer = Scorer(folder, threads=1)
    scorer.score([next(PICTURES.glob("*.jpg"))])


def score(path: str) -> float:
    """In a plain process: one picture, from its file to its score."""
    return float(scorer.score([path]).max())


def limit(pool, files: list[str]) -> float:
    """Seconds that the plain processes take for files."""
    started = time.perf_counter()
    for _ in pool.imap_unordered(score, files, chunksize=16):
        pass
    return time.perf_counter() - started


def measure_spark(pool, home: Path, options: argparse.Namespace) -> dict[str, float]:
    """Spark against the limit over the same files, and the time to the first row."""
    local = load_profile("local")
    profile = local.model_copy(update={"lake": str(home / "lake")})
    model = Model(ModelVersion("benchmark-onnx", "1", 0), str(home / "model"))
    repeat(options.pictures, home / "first", 2)
    repeat(options.pictures, home / "warm", 200)
    ratios, rates = [], []
    began = time.perf_counter()
    with spark_session(profile, "benchmark") as spark:
        session = time.perf_counter() - began
        scoring = Scoring(spark, profile, lambda: model, "benchmark")
        began = time.perf_counter()
        scoring.score_files(str(home / "first"))
        first = time.perf_counter() - began
        scoring.score_files(str(home / "warm"))
        for number in range(options.rounds):
            zone = home / f"round{number}"
            repeat(options.pictures, zone, options.files, number)
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
        "spark_pictures_a_second": round(statistics.median(rates), 1),
        "spark_session_seconds": round(session, 1),
        "spark_first_rows_seconds": round(first, 1),
    }


def measure_rest(pool, home: Path, options: argparse.Namespace) -> dict[str, float]:
    """REST at each number of clients against the limit, measured before and after each."""
    pictures = sorted(options.pictures.glob("*.jpg"))[:200]
    files = [str(path) for path in pictures] * 3
    bodies = [
        json.dumps(
            {"dataframe_split": {"columns": ["image"], "data": [[base64.b64encode(p).decode()]]}}
        ).encode()
        for p in (path.read_bytes() for path in pictures)
    ]
    results: dict[str, float] = {}
    with serving(home / "pyfunc", os.cpu_count()) as port:
        post(port, bodies, 4, 3)
        for clients in CLIENTS:
            ratios, rates, p50, p99 = [], [], [], []
            for _ in range(options.rounds):
                before = len(files) / limit(pool, files)
                latencies = in_a_process(port, bodies, clients, options.seconds)
                after = len(files) / limit(pool, files)
                rate = len(latencies) / options.seconds
                ratios.append(rate / ((before + after) / 2))
                rates.append(rate)
                p50.append(1000 * statistics.median(latencies))
                p99.append(1000 * statistics.quantiles(latencies, n=100)[98])
            middle = [round(statistics.median(values), 3) for values in (ratios, rates, p50, p99)]
            print(
                f"REST {clients:2} clients: {middle[1]:6.1f} requests a second, p50 "
                f"{middle[2]:6.1f} ms, p99 {middle[3]:6.1f} ms, ratio {middle[0]:.2f}",
                flush=True,
            )
            for name, value in zip(("vs_limit", "a_second", "p50", "p99"), middle, strict=True):
                results[f"rest_{name}_{clients}"] = value
    best = max(results[f"rest_vs_limit_{clients}"] for clients in CLIENTS)
    return {"rest_vs_limit": best} | results


@contextmanager
def serving(model: Path, workers: int) -> Iterator[int]:
    """`mlflow models serve` on a free port, ended at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model)]
        + ["--env-manager", "local", "--port", str(port), "--workers", str(workers)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
    )
    try:
        wait_for(port, server)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for(port: int, server: subprocess.Popen) -> None:
    """Until the server is healthy."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError("the scoring server did not come up")


def in_a_process(port: int, bodies: list[bytes], clients: int, seconds: float) -> list[float]:
    """Post from a process of its own, as from another machine."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(post, (port, bodies, clients, seconds))


def post(port: int, bodies: list[bytes], clients: int, seconds: float) -> list[float]:
    """The seconds of each request of so many clients, each with a connection of its own."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    def client(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/json"}
        while (began := time.perf_counter()) < until:
            connection.request("POST", "/invocations", bodies[place % len(bodies)], headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(content[:500])
            latencies.append(time.perf_counter() - began)
            place += 1

    threads = [Thread(target=client, args=(n * 7,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


if __name__ == "__main__":
    main()
