"""The cache, Horovod and SparkTrials, each against a peer or a limit in the same run.

    python -m benchmarks.training --rounds 3

Ratios of speeds, above 1 where this project's way is the faster one, medians over the rounds:

- cache_vs_jpeg: an epoch's input from the Petastorm cache, against the usual notebook: JPEG bytes
  in Parquet, decoded and resized by a TransformSpec in every epoch.
- cache_vs_memory: the same training fed from the cache, against arrays in memory by tf.data.
- horovod_vs_side_by_side: two ranks with a thread each, against two unconnected trainings.
- sparktrials_vs_side_by_side: two trials on two slots, against two plain processes; start-up apart.

The last line is JSON.
"""

import argparse
import io
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.machine import machine
from edge.scoring import prepare
from steps.settings.profile import PROJECT
from steps.training.batches import Shard
from steps.training.cache import Cache
from steps.training.fit import Plan, fit
from steps.training.ranks import Alone, Horovod

PICTURES = PROJECT.parent / "shared" / "data" / "package-images" / "images"
SIDE = 128
GROUPS = 12


def main() -> None:
    """Run the rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of JPEG files")
    parser.add_argument("--files", type=int, default=480, help="pictures in the cache")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="of a training; the first is apart")
    parser.add_argument("--batch", type=int, default=32, help="pictures a batch and process")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cache = write_caches(options.pictures, home, options.files)
        plan = Plan(batch_size=options.batch, epochs=options.epochs)
        ways = {
            "cache_vs_jpeg": lambda: input_ratio(cache, home, options.batch),
            "cache_vs_memory": lambda: memory_ratio(cache, plan),
            "horovod_vs_side_by_side": lambda: horovod_ratio(cache, plan),
            "sparktrials_vs_side_by_side": lambda: trials_ratio(cache, plan),
        }
        results: dict[str, float] = {}
        for name, way in ways.items():
            rounds = [way() for _ in range(options.rounds)]
            results[name] = round(statistics.median(rounds), 3)
            print(f"{name:30} {'  '.join(f'{r:.3f}' for r in rounds)}", flush=True)
        one, two = (peak_megabytes(cache_of(cache, home, times)) for times in (1, 4))
        print(f"peak memory of an epoch's input: {one} MB, of four times the pictures: {two} MB")
    print(json.dumps(results | {"peak_mb_1x": one, "peak_mb_4x": two} | vars_of(options)))


def vars_of(options: argparse.Namespace) -> dict:
    """What the numbers hang on."""
    return {"files": options.files, "rounds": options.rounds, "batch": options.batch}


def write_caches(pictures: Path, home: Path, files: int) -> Cache:
    """The cache as the steps lay it out, and beside it Parquet of the JPEG bytes."""
    paths = sorted(pictures.glob("*.jpg"))
    chosen = [paths[n * len(paths) // files] for n in range(files)]
    groups = {"train": [], "validation": []}
    for part in groups:
        share = chosen if part == "train" else chosen[:: GROUPS // 2]
        for group in range(GROUPS):
            inside = share[group::GROUPS]
            groups[part].append(len(inside))
            contents = [path.read_bytes() for path in inside]
            labels = pa.array([int(path.stem[-1]) for path in inside], pa.int32())
            pixels = [prepare(content, (SIDE, SIDE)).tobytes() for content in contents]
            _write(home / "cache" / f"part={part}" / f"row_group={group}", pixels, labels, "pixels")
            if part == "train":
                _write(home / "jpeg" / f"row_group={group}", contents, labels, "content")
    counts = {part: {"0": 1, "1": 1} for part in groups}
    return Cache(str(home / "cache"), ["0", "1"], (SIDE, SIDE), groups, counts)


def _write(place: Path, values: list[bytes], labels: pa.Array, name: str) -> None:
    place.mkdir(parents=True)
    table = pa.table({name: pa.array(values, pa.binary()), "label": labels})
    pq.write_table(table, place / "x.parquet", compression="none")


def input_ratio(cache: Cache, home: Path, batch: int) -> float:
    """Seconds of the notebook's epoch over the cache's."""
    shard = Shard(cache, "train", batch)
    list(shard.epoch(0))
    started = time.perf_counter()
    rows = sum(int(b.weights.sum()) for seed in range(3) for b in shard.epoch(seed))
    cached = (time.perf_counter() - started) / rows
    started = time.perf_counter()
    rows = notebook_epoch(home / "jpeg")
    return (time.perf_counter() - started) / rows / cached


def notebook_epoch(folder: Path) -> int:
    """The usual design: decode and resize in the TransformSpec, with Petastorm's defaults."""
    from petastorm import TransformSpec, make_batch_reader

    def decode(frame):
        frame["pixels"] = [
            np.asarray(
                Image.open(io.BytesIO(content)).convert("RGB").resize((SIDE, SIDE)), np.float32
            ).ravel()
            for content in frame["content"]
        ]
        return frame[["pixels", "label"]]

    spec = TransformSpec(
        decode,
        edit_fields=[("pixels", np.float32, (SIDE * SIDE * 3,), False)],
        selected_fields=["pixels", "label"],
    )
    with make_batch_reader(f"file://{folder}", transform_spec=spec, num_epochs=1) as reader:
        return sum(len(group.label) for group in reader)


def memory_ratio(cache: Cache, plan: Plan) -> float:
    """Seconds of an epoch fed from arrays by tf.data, over that of one fed from the cache."""
    cached = _epoch_seconds(fit(plan, cache, Alone()).epochs)
    own = Shard.epoch
    arrays: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def from_memory(shard: Shard, seed: int | None):
        import tensorflow as tf

        from steps.training.batches import Batch

        if shard.part not in arrays:
            batches = list(own(shard, None))
            keep = np.concatenate([b.weights for b in batches]) > 0
            arrays[shard.part] = tuple(
                np.concatenate([getattr(b, name) for b in batches])[keep]
                for name in ("pixels", "classes")
            )
        pixels, classes = arrays[shard.part]
        data = tf.data.Dataset.from_tensor_slices((pixels, classes))
        if seed is not None:
            data = data.shuffle(len(classes), seed=seed)
        for some, true in data.batch(shard.batch_size).prefetch(2):
            yield Batch(some, true, np.ones(len(true), np.float32))

    Shard.epoch = from_memory
    try:
        return _epoch_seconds(fit(plan, cache, Alone()).epochs) / cached
    finally:
        Shard.epoch = own


def _epoch_seconds(epochs: list[dict[str, float]]) -> float:
    """Of an epoch but the first, which compiles."""
    return statistics.median(epoch["epoch_seconds"] for epoch in epochs[1:])


def horovod_ratio(cache: Cache, plan: Plan) -> float:
    """Pictures a second of two ranks over those of two trainings that know nothing of each other.

    A rank reads half of the pictures an epoch, in batches of the same size as a training alone.
    """
    import horovod

    together = replace(plan, batch_size=2 * plan.batch_size)
    ranked = horovod.run(_rank, (together, cache), num_proc=2, use_gloo=True)
    apart = side_by_side(cache, plan)
    print(f"  one epoch: two ranks {ranked[0]:.2f} s, side by side {apart:.2f} s", flush=True)
    return apart / (2 * ranked[0])


def _rank(plan: Plan, cache: Cache) -> float:
    return _epoch_seconds(fit(plan, cache, Horovod()).epochs)


def side_by_side(cache: Cache, plan: Plan) -> float:
    """Seconds an epoch of two plain processes that train at the same time."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return statistics.mean(pool.starmap(_alone, [(plan, cache)] * 2, chunksize=1))


def _alone(plan: Plan, cache: Cache) -> float:
    return _epoch_seconds(fit(plan, cache, Alone()).epochs)


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


def cache_of(cache: Cache, home: Path, times: int) -> Cache:
    """The training part so many times over, in as many more row groups."""
    if times == 1:
        return cache
    folder = home / f"{times}x"
    for number in range(times * GROUPS):
        place = folder / "part=train" / f"row_group={number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(home / "cache" / "part=train" / f"row_group={number % GROUPS}")
    rows = {"train": cache.group_rows["train"] * times}
    return replace(cache, url=str(folder), group_rows=rows)


def peak_megabytes(cache: Cache) -> int:
    """The highest memory of a process that does nothing but read two epochs."""
    program = (
        "import json, resource, sys; from steps.training.cache import Cache; "
        "from steps.training.batches import Shard; c = Cache(**json.loads(sys.argv[1])); "
        "[sum(1 for _ in Shard(c, 'train', 32).epoch(s)) for s in range(2)]; "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    command = [sys.executable, "-c", program, json.dumps(asdict(cache))]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
