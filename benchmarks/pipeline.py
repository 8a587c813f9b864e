"""How soon an unchanged chain answers, against importing MLflow and asking it one thing.

    python -m benchmarks.pipeline [--rounds 7] [--home FOLDER]

The chain runs once, small, in a temporary folder, or is found finished in FOLDER. Then, in turn
and each in a process of its own: the floor (`import mlflow`, one search), the chain by
`python -m steps.main`, and by `mlflow run`, which imports MLflow once more before it starts the
same. Medians of seconds; the last line is JSON, `warm_vs_floor` that of `python -m steps.main`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from steps.settings.profile import PROJECT

FLOOR = (
    "import mlflow; mlflow.MlflowClient().search_runs(['0'], \"tags.step = 'main'\", max_results=1)"
)
QUICK = {"tune_trials": 2, "tune_epochs": 1, "train_epochs": 2}
PICTURES = 96


def main() -> None:
    """Print the seconds of each round and the ratios of the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--home", type=Path, help="where a chain ran before, or is to run")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="chain-") as folder:
        home = (options.home or Path(folder)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        ways = _ways(home)
        _finish(home, ways["main"])
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(options.rounds):
            for name, command in ways.items():
                seconds[name].append(_time(command, home))
            shown = "  ".join(f"{name} {taken[-1]:.2f} s" for name, taken in seconds.items())
            print(f"round {number + 1}: {shown}", flush=True)
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    print(
        json.dumps(
            {
                "floor_seconds": round(middle["floor"], 2),
                "warm_vs_floor": round(middle["main"] / middle["floor"], 2),
                "mlflow_run_vs_floor": round(middle["mlflow run"] / middle["floor"], 2),
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
    asked = [word for key, value in given.items() for word in ("-P", f"{key}={value}")]
    return {
        "floor": [sys.executable, "-c", FLOOR],
        "main": [sys.executable, "-m", "steps.main", *flags],
        "mlflow run": ["mlflow", "run", str(PROJECT), "--env-manager", "local", *asked],
    }


def _finish(home: Path, chain: list[str]) -> None:
    """Run the chain until nothing of it is left to run."""
    if not (home / "landing").is_dir():
        taken = ["--to", str(home / "landing"), "--count", str(PICTURES), "--period", "60"]
        subprocess.run([sys.executable, "-m", "edge", "capture", *taken], cwd=PROJECT, check=True)
    _time(chain, home)


def _time(command: list[str], home: Path) -> float:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    store = f"sqlite:///{home}/mlflow.db"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": str(PROJECT),
        "MLFLOW_TRACKING_URI": store,
    }
    started = time.perf_counter()
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return taken


if __name__ == "__main__":
    main()
