"""The training of a network, on one rank of any number."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from steps.training.batches import Shard
from steps.training.cache import Cache
from steps.training.ranks import Alone, Horovod
from steps.training.split import TRAIN, VALIDATION

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights, together with the cache and the number of ranks.

    Attributes:
        learning_rate: Adam's at its highest; it warms up over one epoch and then follows half
            a cosine down to a tenth.
        batch_size: pictures a batch, over all ranks together.
        epochs: passes over the training part.
        seed: of the weights, the order, the augmentation and the dropout.
        threads: TensorFlow's threads a rank.
    """

    network: str
    width: float
    dropout: float
    weights: str
    learning_rate: float
    batch_size: int
    epochs: int
    seed: int
    threads: int = 1


@dataclass
class Fitted:
    """What a training gave.

    Attributes:
        weights: of the epoch with the lowest validation loss.
        epochs: per epoch: loss, validation_loss, validation_accuracy, epoch_seconds.
        best: index of that epoch.
    """

    weights: list[np.ndarray] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0


def fit(
    plan: Plan,
    cache: Cache,
    ranks: Alone | Horovod,
    after_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, metrics: None,
) -> Fitted:
    """Train a network from the cache.

    Each rank reads its own shard; gradients, metrics and the moving statistics of batch
    normalisation are averaged over the ranks, weighted by the pictures that they saw, so that
    a short last batch counts for what it holds.

    Args:
        plan: how to train.
        cache: the prepared pictures.
        ranks: this rank among the others.
        after_epoch: is told each epoch's metrics, on every rank; it may raise to end the
            training.
    """
    model, optimizer = prepare_model(plan, cache, ranks.size)
    ranks.share(model.variables + optimizer.variables)
    train_step, sums_of = _compiled(model, optimizer, ranks)
    train = Shard(cache, TRAIN, _rank_batch(plan, ranks), ranks.rank, ranks.size)
    validation = Shard(cache, VALIDATION, _rank_batch(plan, ranks), ranks.rank, ranks.size)
    fitted = Fitted()
    for epoch in range(plan.epochs):
        started = time.monotonic()
        shuffled = train.epoch(plan.seed * 10_000 + epoch)
        loss, seen = _totals(train_step(b.pixels, b.classes, b.weights) for b in shuffled)
        _average_moving_statistics(model, ranks)
        sums = _totals(sums_of(b.pixels, b.classes, b.weights) for b in validation.epoch(None))
        validation_loss, right, count = (float(total) for total in ranks.sum(sums))
        metrics = {
            "loss": float(loss / seen),
            "validation_loss": validation_loss / count,
            "validation_accuracy": right / count,
            "epoch_seconds": time.monotonic() - started,
        }
        if (
            not fitted.epochs
            or metrics["validation_loss"] < fitted.epochs[fitted.best]["validation_loss"]
        ):
            fitted.best = epoch
            fitted.weights = model.get_weights()
        fitted.epochs.append(metrics)
        after_epoch(epoch, metrics)
    return fitted


def prepare_model(
    plan: Plan, cache: Cache, ranks: int = 1
) -> tuple["keras.Model", "keras.Optimizer"]:
    """The network with its first weights, and its optimizer; TensorFlow is set up on the way."""
    tf = configure_tensorflow(plan.threads)
    import keras

    from steps.training.networks import build

    keras.utils.clear_session()
    keras.utils.set_random_seed(plan.seed)
    tf.config.experimental.enable_op_determinism()
    model = build(
        plan.network,
        cache.input_size,
        len(cache.labels),
        plan.width,
        plan.dropout,
        plan.weights,
        plan.seed,
    )
    steps = Shard(cache, TRAIN, max(1, plan.batch_size // ranks), 0, ranks).steps()
    schedule = keras.optimizers.schedules.CosineDecay(
        plan.learning_rate / 10,
        decay_steps=max(1, steps * (plan.epochs - 1)),
        alpha=0.1,
        warmup_target=plan.learning_rate,
        warmup_steps=steps,
    )
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def configure_tensorflow(threads: int):
    """Import TensorFlow, quiet and with so many threads; returns the module."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # a worker that trained before keeps the threads that it started with
        pass
    return tf


def _rank_batch(plan: Plan, ranks: Alone | Horovod) -> int:
    return max(1, plan.batch_size // ranks.size)


def _compiled(model, optimizer, ranks):
    import keras
    import tensorflow as tf

    height, width = model.input_shape[1:3]
    signature = [
        tf.TensorSpec([None, height, width, 3], tf.uint8),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.float32),
    ]
    variables = [variable.value for variable in model.trainable_variables]

    def loss_of(pixels, classes, weights, training):
        probabilities = model(pixels, training=training)
        losses = keras.losses.sparse_categorical_crossentropy(classes, probabilities)
        return tf.reduce_sum(losses * weights), probabilities

    @tf.function(input_signature=signature)
    def train_step(pixels, classes, weights):
        with tf.GradientTape() as tape:
            loss, _ = loss_of(pixels, classes, weights, training=True)
        gradients = tape.gradient(loss, variables)
        *gradients, loss, count = ranks.sum([*gradients, loss, tf.reduce_sum(weights)])
        if count > 0:  # else this last batch is padding on every rank
            optimizer.apply_gradients(
                [(g / count, v) for g, v in zip(gradients, model.trainable_variables, strict=True)]
            )
        return loss, count

    @tf.function(input_signature=signature)
    def sums_of(pixels, classes, weights):
        loss, probabilities = loss_of(pixels, classes, weights, training=False)
        right = tf.cast(tf.argmax(probabilities, 1, tf.int32) == classes, tf.float32)
        return loss, tf.reduce_sum(right * weights), tf.reduce_sum(weights)

    return train_step, sums_of


def _totals(steps: Iterable[tuple]) -> list:
    """The sum of each of the values that the steps return."""
    return [sum(column) for column in zip(*steps, strict=True)]


def _average_moving_statistics(model, ranks) -> None:
    moving = [v for v in model.non_trainable_variables if v.name.startswith("moving_")]
    if ranks.size > 1 and moving:
        for variable, total in zip(moving, ranks.sum([v.value for v in moving]), strict=True):
            variable.assign(total / ranks.size)
