"""A plan's network: built, with its optimizer; and trained, as an artifact of its run."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
from numpy.typing import NDArray

from steps.dataset.batches import Shard
from steps.dataset.cache import Cache
from steps.training.head import add_head, build_head
from steps.training.networks import build_network
from steps.training.plan import Plan, peak_rate
from steps.training.tensorflow_settings import configure_tensorflow

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.keras"


def prepare_model(
    plan: Plan, cache: Cache, ranks: int = 1, operations: int = 1
) -> tuple["keras.Model", "keras.Optimizer"]:
    """Configure TensorFlow; return the network with its initial weights, and its optimizer.

    The learning rate warms up over the first epoch, from a tenth, and then follows half a
    cosine back to a tenth.
    """
    tf = configure_tensorflow(plan.threads, operations)
    import keras

    keras.utils.set_random_seed(plan.seed)
    precision = plan.precision
    if precision == "auto":
        precision = "mixed_float16" if tf.config.list_physical_devices("GPU") else "float32"
    model = build_model(plan, cache, precision)
    steps = training_shard(plan, cache, 0, ranks).steps()
    rate = peak_rate(plan, ranks)
    decay = max(1, steps * (plan.epochs - 1))
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 10, decay, alpha=0.1, warmup_target=rate, warmup_steps=steps
    )
    optimizer = keras.optimizers.Adam(schedule)
    if precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def training_shard(plan: Plan, cache: Cache, rank: int, ranks: int) -> Shard:
    """Return what a rank reads in an epoch: few images several times, for some steps."""
    once = Shard(cache, cache.fitted, plan.rank_batch(ranks), rank, ranks)
    return replace(once, passes=max(1, round(plan.epoch_steps / once.steps())))


def build_model(plan: Plan, cache: Cache, precision: str = "float32") -> "keras.Model":
    """Build the plan's network for the cache's images and labels, or its head for features.

    Args:
        plan: names the network, and its initial weights.
        cache: the prepared images, or a frozen network's features of them.
        precision: ``float32``, or ``mixed_float16``: half precision inside, with variables
            that are float32 all the same.
    """
    import keras
    import tensorflow as tf

    keras.utils.clear_session()
    tf.config.experimental.enable_op_determinism()
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(precision)
    try:
        if cache.has_features:
            return build_head(plan, cache)
        return build_network(plan, cache.input_size, len(cache.labels))
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def assemble(plan: Plan, cache: Cache, weights: list[NDArray[np.float32]]) -> "keras.Model":
    """Return a trained network: pixels in, probabilities out.

    Args:
        plan: how it was trained.
        cache: on which images, or on a frozen network's features of them.
        weights: of the network, or of the head on these features.
    """
    configure_tensorflow(plan.threads)  # of this process, if the ranks had their own
    model = build_model(plan, cache)
    model.set_weights(weights)
    return add_head(model, plan, cache) if cache.has_features else model


def log_model(model: "keras.Model") -> None:
    """Log a network to the active run."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, MODEL_FILE))
        mlflow.log_artifact(str(Path(folder, MODEL_FILE)))


def load_model(train_run_id: str) -> "keras.Model":
    """Load the network of a run of train."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=train_run_id, artifact_path=MODEL_FILE, dst_path=folder
        )
        return keras.models.load_model(path)
