"""The cache, Horovod and SparkTrials, each against a peer or a limit in the same run.

    python -m benchmarks.training --rounds 3

Ratios of speeds, above 1 where this project's way is the faster one, medians over the rounds. What
is compared does the same work: as many images and batches a process, one thread of TensorFlow,
epochs that begin together; the first, which compiles, is left out.

- cache_vs_jpeg: an epoch's input from the Petastorm cache, against the usual notebook: JPEG bytes
  in Parquet, decoded and resized by a TransformSpec in every epoch.
- cache_vs_memory: the same training fed from the cache, against arrays in memory by tf.data.
- horovod_vs_side_by_side: two ranks with a thread each, against two unconnected trainings;
  horovod_speedup, against one training that has the machine to itself.
- sparktrials_vs_side_by_side: two trials on two slots, against two plain processes; start-up apart.

The last line is JSON.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.caches import cache_of, write_caches
from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine
from benchmarks.reading import epoch_seconds, input_ratio, memory_ratio, peak
from steps.dataset.cache import Cache
from steps.environment import ranks_inherit
from steps.training.fit import fit
from steps.training.plan import Plan
from steps.training.ranks import Horovod, SingleProcess


def main() -> None:
    """Run the rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--files", type=int, default=480, help="images in the cache")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="of a training; the first is apart")
    parser.add_argument("--batch", type=int, default=32, help="images a batch and process")
    parser.add_argument(
        "--only", nargs="+", help="some of: input, memory, horovod, trials, peak (memory)"
    )
    options = parser.parse_args()
    options.images = images_folder(options.images)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cache = write_caches(options.images, home, options.files)
        plan = Plan(batch_size=options.batch, epochs=options.epochs, patience=0)
        ways: dict[str, Callable[[], dict[str, float]]] = {
            "input": lambda: {"cache_vs_jpeg": input_ratio(cache, home, options.batch)},
            "memory": lambda: {"cache_vs_memory": memory_ratio(cache, plan)},
            "horovod": lambda: horovod_ratios(cache, cache_of(cache, home, 2), plan),
            "trials": lambda: {"sparktrials_vs_side_by_side": trials_ratio(cache, plan)},
            "peak": lambda: {
                f"peak_mb_{times}x": peak(cache_of(cache, home, times)) for times in (1, 4)
            },
        }
        results: dict[str, float] = {}
        for way in options.only or ways:
            rounds = [ways[way]() for _ in range(options.rounds)]
            for name in rounds[0]:
                values = [found[name] for found in rounds]
                results[name] = round(statistics.median(values), 3)
                print(f"{name:30} {'  '.join(f'{value:.3f}' for value in values)}", flush=True)
    print(json.dumps(results | vars_of(options)))


def vars_of(options: argparse.Namespace) -> dict:
    """What the numbers hang on."""
    return {"files": options.files, "rounds": options.rounds, "batch": options.batch}


def horovod_ratios(cache: Cache, twice: Cache, plan: Plan) -> dict[str, float]:
    """Images a second of two ranks over those of two trainings that know nothing of each other.

    And over those of one training that has the machine to itself. The ranks share twice the
    images in twice the batch, so that each does what one alone does.
    """
    import horovod

    together = replace(plan, batch_size=2 * plan.batch_size)
    with ranks_inherit():
        ranked = horovod.run(_rank, (together, twice), num_proc=2, use_gloo=True)[0]
    apart = side_by_side(cache, plan)
    alone = side_by_side(cache, plan, processes=1)
    print(
        f"  one epoch: two ranks {ranked:.2f} s, side by side {apart:.2f} s, alone {alone:.2f} s",
        flush=True,
    )
    return {
        "horovod_vs_side_by_side": apart / ranked,
        "horovod_speedup": 2 * alone / ranked,
    }


def _rank(plan: Plan, cache: Cache) -> float:
    return epoch_seconds(fit(plan, cache, Horovod(plan)).epochs)


def side_by_side(cache: Cache, plan: Plan, processes: int = 2) -> float:
    """Seconds an epoch of plain processes that train at the same time."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(processes)
    with spawn.Pool(processes, _meet_at, (barrier,)) as pool:
        return statistics.mean(pool.starmap(_alone, [(plan, cache)] * processes, chunksize=1))


def _meet_at(barrier) -> None:
    """Let a process wait for its neighbour after each epoch, apart from what is timed."""
    global _meet
    _meet = barrier.wait


def _meet() -> None:
    """A process without a neighbour."""


def _alone(plan: Plan, cache: Cache) -> float:
    return epoch_seconds(fit(plan, cache, SingleProcess(), lambda epoch, metrics: _meet()).epochs)


def trials_ratio(cache: Cache, plan: Plan) -> float:
    """Seconds an epoch side by side over that of equal trials on two slots of Spark."""
    import hyperopt

    from steps.lake.session import spark_session
    from steps.settings.profile import load_profile

    apart = side_by_side(cache, plan)
    local = load_profile("local")
    spark_settings = local.spark.model_copy(update={"master": "local[2]"})
    with spark_session(local.model_copy(update={"spark": spark_settings}), "benchmark") as spark:
        trials = hyperopt.SparkTrials(parallelism=2, spark_session=spark)

        def objective(_: float) -> dict:
            return {"loss": 0.0, "status": "ok", "seconds": _alone(plan, cache)}

        hyperopt.fmin(
            objective,
            hyperopt.hp.uniform("any", 0, 1),
            algo=hyperopt.rand.suggest,
            max_evals=2,
            max_queue_len=2,
            trials=trials,
            rstate=np.random.default_rng(0),
            show_progressbar=False,
            return_argmin=False,
        )
        seconds = [result["seconds"] for result in trials.results]
    print(f"  one epoch: trials {seconds[0]:.2f} s, side by side {apart:.2f} s", flush=True)
    return apart / statistics.mean(seconds)


if __name__ == "__main__":
    main()
