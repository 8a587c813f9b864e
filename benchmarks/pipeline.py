"""How soon an unchanged pipeline answers, against importing MLflow and asking it one thing.

    python -m benchmarks.pipeline [--rounds 7] [--home FOLDER]

The pipeline runs once, small, in a temporary folder, or is found finished in FOLDER. Then, in turn
and each in a process of its own: the floor (`import mlflow`, one search); the pipeline by
`python -m steps.main`; the pipeline by `mlflow run`; and the limit of that, `mlflow run` of a
project that does nothing but the floor, so that MLflow is imported in two processes as always.
Medians of seconds, by the clock and of the processor, which other work changes less; the last line
is JSON, `warm_vs_floor` that of `python -m steps.main` by the clock.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.machine import machine
from steps.settings.profile import PROJECT

FLOOR = (
    "import mlflow; mlflow.MlflowClient().search_runs(['0'], \"tags.step = 'main'\", max_results=1)"
)
PROJECT_OF_THE_FLOOR = "entry_points: {main: {command: python floor.py}}"
QUICK = {"tune_trials": 2, "tune_epochs": 1, "train_epochs": 2}
COUNT = 96


def main() -> None:
    """Print the seconds of each round and the ratios of the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--home", type=Path, help="where a pipeline ran before, or is to run")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
        home = (options.home or Path(folder)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        ways = _ways(home)
        _finish(home, ways["main"])
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(options.rounds):
            for name, command in ways.items():
                seconds[name].append(_time(command, home))
            shown = (
                f"{name} {taken[-1][0]:.2f} ({taken[-1][1]:.2f})" for name, taken in seconds.items()
            )
            print(f"round {number + 1}, seconds (of the processor): {', '.join(shown)}", flush=True)
    clock, processor = (
        {name: statistics.median(one[kind] for one in taken) for name, taken in seconds.items()}
        for kind in (0, 1)
    )
    print(
        json.dumps(
            {
                "rounds": options.rounds,
                "images": COUNT,
                "floor_seconds": round(clock["floor"], 2),
                "warm_vs_floor": round(clock["main"] / clock["floor"], 2),
                "mlflow_run_vs_floor": round(clock["mlflow run"] / clock["floor"], 2),
                "mlflow_run_limit_vs_floor": round(clock["limit"] / clock["floor"], 2),
                "mlflow_run_vs_limit": round(clock["mlflow run"] / clock["limit"], 2),
                "warm_vs_floor_processor": round(processor["main"] / processor["floor"], 2),
                "mlflow_run_vs_floor_processor": round(
                    processor["mlflow run"] / processor["floor"], 2
                ),
            }
        )
    )


def _ways(home: Path) -> dict[str, list[str]]:
    places = {"lake": home / "lake", "cache": home / "cache", "promotion.min_accuracy": 0}
    given = {
        "source": home / "landing",
        "override": ",".join(f"{key}={value}" for key, value in places.items()),
        **QUICK,
    }
    flags = [word for key, value in given.items() for word in (f"--{key}", str(value))]
    mlflow_run = ["mlflow", "run", "--env-manager", "local"]
    asked = [word for key, value in given.items() for word in ("-P", f"{key}={value}")]
    return {
        "floor": [sys.executable, "-c", FLOOR],
        "main": [sys.executable, "-m", "steps.main", *flags],
        "mlflow run": [*mlflow_run, str(PROJECT), *asked],
        "limit": [*mlflow_run, str(_write_project_of_the_floor(home))],
    }


def _write_project_of_the_floor(home: Path) -> Path:
    folder = home / "floor"
    folder.mkdir(exist_ok=True)
    (folder / "MLproject").write_text(PROJECT_OF_THE_FLOOR)
    (folder / "floor.py").write_text(FLOOR)
    return folder


def _finish(home: Path, pipeline: list[str]) -> None:
    """Run the pipeline until nothing of it is left to run."""
    if not (home / "landing").is_dir():
        taken = ["--to", str(home / "landing"), "--count", str(COUNT), "--period", "60"]
        subprocess.run([sys.executable, "-m", "edge", "capture", *taken], cwd=PROJECT, check=True)
    _time(pipeline, home)


def _time(command: list[str], home: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    store = f"sqlite:///{home}/mlflow.db"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": str(PROJECT),
        "MLFLOW_TRACKING_URI": store,
    }
    started, before = time.perf_counter(), _processor_seconds()
    done = subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    taken = time.perf_counter() - started, _processor_seconds() - before
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return taken


def _processor_seconds() -> float:
    """Of the children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
