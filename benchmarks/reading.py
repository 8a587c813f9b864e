"""What reading costs a training: the Petastorm cache against JPEG files and against memory."""

import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.caches import SIDE
from steps.dataset.batches import Batch, Shard
from steps.dataset.cache import Cache
from steps.dataset.split import TRAIN, VALIDATION
from steps.training.fit import fit
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess


def input_ratio(cache: Cache, home: Path, batch: int) -> float:
    """Seconds of the notebook's epoch over the cache's."""
    cached = cached_seconds(cache, batch, epochs=3) / cache.rows("train")
    started = time.perf_counter()
    rows = notebook_epoch(home / "jpeg")
    return (time.perf_counter() - started) / rows / cached


def cached_seconds(cache: Cache, batch: int, epochs: int) -> float:
    """The median seconds of an epoch's input from the cache, after one that is left out."""
    shard, seconds = Shard(cache, "train", batch), []
    for seed in range(epochs + 1):
        started = time.perf_counter()
        for _ in shard.epoch(seed):
            pass
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


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
    """Seconds of an epoch fed from arrays by tf.data, over that of one fed from the cache.

    Epochs of one training take turns, so that both meet the same machine.
    """
    own = Shard.epoch
    arrays: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for part in (TRAIN, VALIDATION):
        batches = list(own(Shard(cache, part, plan.batch_size), None))
        keep = np.concatenate([b.weights for b in batches]) > 0
        arrays[part] = tuple(
            np.concatenate([getattr(b, name) for b in batches])[keep]
            for name in ("pixels", "classes")
        )
    epoch = 0

    def by_turns(shard: Shard, seed: int | None) -> Iterator[Batch]:
        nonlocal epoch
        epoch += seed is not None  # the validation part, which follows, has none
        return own(shard, seed) if epoch % 2 else _from_memory(*arrays[shard.split], shard, seed)

    Shard.epoch = by_turns
    try:
        epochs = fit(replace(plan, epochs=2 * plan.epochs), cache, SingleProcess()).epochs
    finally:
        Shard.epoch = own
    return epoch_seconds(epochs[1::2]) / epoch_seconds(epochs[::2])


def _from_memory(pixels, classes, shard: Shard, seed: int | None) -> Iterator[Batch]:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((pixels, classes))
    if seed is not None:
        data = data.shuffle(len(classes), seed=seed)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1  # as Petastorm has one beside TensorFlow's
    for some, true in data.batch(shard.batch_size).prefetch(2).with_options(options):
        yield Batch(some, true, np.ones(len(true), np.float32))


def epoch_seconds(epochs: list[dict[str, float]]) -> float:
    """The median of a training's epochs but the first, which compiles."""
    return statistics.median(epoch["epoch_seconds"] for epoch in epochs[1:])


def peak(cache: Cache) -> int:
    """The highest memory, in MB, of a process that does nothing but read two epochs."""
    program = (
        "import json, sys; from steps.dataset.cache import Cache; "
        "from steps.dataset.batches import Shard; c = Cache(**json.loads(sys.argv[1])); "
        "[sum(1 for _ in Shard(c, 'train', 32).epoch(s)) for s in range(2)]; "
        "from benchmarks.machine import peak_megabytes; print(round(peak_megabytes()))"
    )
    command = [sys.executable, "-c", program, json.dumps(asdict(cache))]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
