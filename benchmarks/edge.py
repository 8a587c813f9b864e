"""What the device's agent costs, against the least that does the same.

    make run                        # once: there has to be a released model
    python -m benchmarks.edge --rounds 7

Against a script with nothing but onnxruntime and Pillow: JPEG to score, pixels to score, start to
first score, peak memory. Against MLflow's pyfunc of the same model: peak memory. Against the
files: the bytes that a pull takes from a real MLflow server, and those of a poll that finds
nothing new. int8 against fp32: size, latency, accuracy. The last line is JSON.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlflow

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine, peak_megabytes
from benchmarks.traffic import Counted
from edge.inference.record import INT8_FILE, MODEL_FILE, ModelRecord
from edge.protocol.release import RELEASE_FILE, Release
from steps.registry.local_server import tracking_server
from steps.release.pyfunc import pyfunc_arguments
from steps.settings.profile import PROJECT

DEVICE_PYTHON = str(PROJECT / ".venv-edge" / "bin" / "python")
# A small process in between: what is started counts its parent's memory as its own until it has
# become another program.
LAUNCH = """
import json, os, subprocess, sys, time
begin = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - begin, usage.ru_maxrss / 1024, status]))
"""
PYFUNC = """
import base64, sys
import mlflow, pandas
content = base64.b64encode(open(sys.argv[2], "rb").read()).decode()
print(mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame({"image": [content]})))
"""


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models",
        type=Path,
        default=PROJECT / "data" / "device" / "package-onnx",
        help="folder of a pulled model; default: where make run pulls it to",
    )
    add_images(parser)
    parser.add_argument("--files", type=int, default=300, help="images a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    options.images = images_folder(options.images)
    current = options.models / "current"
    if not (current / RELEASE_FILE).exists():
        parser.error(f"there is no pulled model in {options.models}; run: make run")
    images = sorted(options.images.glob("*.jpg"))[: options.files]
    print(f"{machine()}, {len(images)} images a round", flush=True)
    figures = scoring(current, options)
    print(figures, flush=True)
    figures |= starting(options.models, images[0], options.rounds)
    print(figures, flush=True)
    figures |= running(options.models, options.images, figures["bare_memory_mb"])
    print(figures, flush=True)
    figures |= transfer(options.models)
    print(json.dumps(figures | int8(current) | {"files": len(images), "rounds": options.rounds}))


def scoring(model: Path, options: argparse.Namespace) -> dict[str, float]:
    """Ratios of latencies, in the device's own environment."""
    command = [DEVICE_PYTHON, "-m", "benchmarks.device_scoring", "--model", str(model)]
    command += ["--images", str(options.images), "--files", str(options.files)]
    command += ["--rounds", str(options.rounds)]
    done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def starting(models: Path, image: Path, rounds: int) -> dict[str, float]:
    """Seconds from the start of a process to its first score, and its peak memory."""
    current = models / "current"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "images")
        folder.mkdir()
        (folder / image.name).symlink_to(image)
        pyfunc = str(Path(temporary, "pyfunc"))
        with pyfunc_arguments(current) as arguments:
            mlflow.pyfunc.save_model(pyfunc, **arguments)
        bare = [str(Path(__file__).with_name("bare_onnxruntime.py")), str(current / MODEL_FILE)]
        ways = {
            "ours": [
                DEVICE_PYTHON,
                "-m",
                "edge",
                "score",
                "--models",
                str(models),
                "--camera",
                f"folder:{folder}",
                "--count",
                "1",
            ],
            "bare": [DEVICE_PYTHON, *bare, str(image)],
            "pyfunc": [sys.executable, "-c", PYFUNC, pyfunc, str(image)],
        }
        for command in ways.values():  # from the disk into memory
            started(command)
        measured = [{way: started(command) for way, command in ways.items()} for _ in range(rounds)]

    def ratio(field: int, other: str) -> float:
        pairs = [(round_["ours"][field], round_[other][field]) for round_ in measured]
        return round(statistics.median(ours / theirs for ours, theirs in pairs), 3)

    return {
        "start_vs_bare": ratio(0, "bare"),
        "memory_vs_bare": ratio(1, "bare"),
        "memory_vs_pyfunc": ratio(1, "pyfunc"),
        "start_seconds": round(statistics.median(one["ours"][0] for one in measured), 3),
        "memory_mb": round(statistics.median(one["ours"][1] for one in measured), 1),
        "bare_memory_mb": round(statistics.median(one["bare"][1] for one in measured), 1),
        "pyfunc_memory_mb": round(statistics.median(one["pyfunc"][1] for one in measured), 1),
    }


def started(command: list[str]) -> tuple[float, float]:
    """Run a program that ends after its first score: seconds, and MB of peak resident memory."""
    launched = subprocess.run(
        [DEVICE_PYTHON, "-c", LAUNCH, *command], cwd=PROJECT, check=True, stdout=subprocess.PIPE
    )
    seconds, megabytes, status = json.loads(launched.stdout)
    if status:
        raise subprocess.CalledProcessError(status, command)
    return seconds, megabytes


AGENT = """
device = "1"
trust_clock = true
landing.url = "{folder}"
store = {{folder = "{folder}/store", free_megabytes = 0}}
camera = {{kind = "folder", source = "{images}"}}
score.period_seconds = 0.1
model = {{server = "http://127.0.0.1:9", name = "{name}"}}
page.port = 0
"""
AGENT_SECONDS = 15


def running(models: Path, images: Path, bare_memory: float) -> dict[str, float]:
    """The agent that runs for months, with its store, its page and its sender: the seconds until
    it has a model, and its peak memory after some 150 images."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(models, Path(folder, "store", "models", models.name), symlinks=True)
        config = Path(folder, "agent.toml")
        config.write_text(AGENT.format(folder=folder, images=images, name=models.name))
        begin = time.perf_counter()
        agent = subprocess.Popen(
            [DEVICE_PYTHON, "-m", "edge", "run", "--config", str(config)],
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            said = []
            while not said or "scoring with " not in said[-1]:
                said.append(agent.stderr.readline())
                if not said[-1]:
                    raise RuntimeError("the agent ended: " + "".join(said))
            seconds = time.perf_counter() - begin
            time.sleep(AGENT_SECONDS)
            peak = peak_megabytes(agent.pid)
        finally:
            agent.terminate()
            agent.communicate(timeout=30)
    return {
        "agent_start_seconds": round(seconds, 3),
        "agent_memory_mb": round(peak, 1),
        "agent_memory_vs_bare": round(peak / bare_memory, 3),
    }


def transfer(models: Path) -> dict[str, float]:
    """Bytes of a pull and of a poll that finds nothing new, from the registry of the pipeline."""
    with (
        tempfile.TemporaryDirectory() as into,
        tracking_server() as server,
        Counted(server) as way,
    ):
        command = [DEVICE_PYTHON, "-m", "edge", "pull", "--server", way.address]
        command += ["--model", models.name, "--into", into]
        subprocess.run(command, cwd=PROJECT, check=True)
        pulled = way.bytes
        subprocess.run(command, cwd=PROJECT, check=True)
        polled = way.bytes - pulled
        stated = Path(into, models.name, "current", RELEASE_FILE).read_text(encoding="utf-8")
        files = sum(file.bytes for file in Release.parse(stated).files)
    return {
        "poll_bytes": polled,
        "pull_vs_files": round(pulled / files, 4),
        "pull_bytes": pulled,
        "files_bytes": files,
    }


def int8(model: Path) -> dict[str, float | None]:
    """int8 against fp32 in size, and in accuracy on the test images, as export measured it."""
    metrics = ModelRecord.read(model).file_metrics
    sizes = [(model / name).stat().st_size for name in (INT8_FILE, MODEL_FILE)]
    return {
        "int8_vs_fp32_size": round(sizes[0] / sizes[1], 3),
        "int8_accuracy": metrics.get(INT8_FILE, {}).get("accuracy"),
        "fp32_accuracy": metrics.get(MODEL_FILE, {}).get("accuracy"),
    }


if __name__ == "__main__":
    main()
