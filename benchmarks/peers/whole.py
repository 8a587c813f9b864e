"""The whole pipeline, from Enter to a model to deploy, beside the script that a user would write.

    python -m benchmarks.peers.whole --rounds 3

Cold commands that take turns: `mlflow run .` in a new lake and store of runs, with all its steps,
reports, registry and signed release; and seventy lines of Keras: the same network and split, as
many trials and epochs, in memory, ending with an ONNX file. Neither searches what makes a step of
training longer, the width and the batch: otherwise their draws decide. The last line is JSON, the
ratio of the medians.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when started by its path

from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine
from benchmarks.peers.environments import PROJECT, peer_command, seconds_of

SAME_STEPS = "tuning.space.width=null,tuning.space.batch_size=null"


def main() -> None:
    """Print each round and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--trial-epochs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    images = images_folder(options.images)
    counts = [str(options.trials), str(options.trial_epochs), str(options.epochs)]
    names = ("tune_trials", "tune_epochs", "train_epochs")
    asked = [f"{name}={count}" for name, count in zip(names, counts, strict=True)]
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    plain = peer_command("keras", "plain_pipeline.py", images)
    print(machine(), flush=True)
    for number in range(options.rounds):
        for way in ("ours", "plain")[:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                home = Path(folder)
                places = f"override=lake={home}/lake,cache={home}/cache,{SAME_STEPS}"
                given = [f"source={images}", places, "network=compact", *asked]
                flags = [word for one in given for word in ("-P", one)]
                ours = ["mlflow", "run", "--env-manager", "local", str(PROJECT), *flags]
                command = ours if way == "ours" else [*plain, str(home / "model.onnx"), *counts]
                seconds[way].append(seconds_of(command, home))
                shutil.rmtree(home / "lake", ignore_errors=True)
        shown = (f"{way} {times[-1]:.0f}" for way, times in seconds.items())
        print(f"round {number + 1}, seconds: {', '.join(shown)}", flush=True)
    ours, others = (statistics.median(times) for times in seconds.values())
    found = {"pipeline_vs_plain": round(ours / others, 2), "rounds": options.rounds}
    print(json.dumps(found | {"ours_seconds": round(ours), "plain_seconds": round(others)}))


if __name__ == "__main__":
    main()
