"""The training of a network, on one rank of any number."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import numpy as np

from steps.dataset.batches import Batch, Shard
from steps.dataset.cache import Cache
from steps.dataset.split import TRAIN, VALIDATION
from steps.errors import UserError
from steps.training.augmentation import augmentation
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.model import prepare_model
from steps.training.plan import Plan
from steps.training.ranks import Horovod, SingleProcess

AVERAGED = 0.1
"""The share of a training's steps that the averaged weights reach back, about."""


class Diverged(UserError):
    """The loss is no number any more: nothing is learned from here on."""


def fit(
    plan: Plan,
    cache: Cache,
    ranks: SingleProcess | Horovod,
    after_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, metrics: None,
    keep: Callable[[Checkpoint], None] | None = None,
    start: Checkpoint | None = None,
) -> FitResult:
    """Train a network from the cache.

    Each rank reads its own shard; gradients and metrics are averaged over the ranks, weighted by
    the images that they saw, so that a short last batch counts for what it holds; the moving
    statistics of batch normalisation are their plain mean. Validated and kept are weights
    averaged over the last tenth of the steps, which hang less on the last step and hold better
    in light that training has not met (Izmailov et al. 2018, "Averaging weights leads to wider
    optima and better generalization"; here exponentially). After an epoch all ranks hold the
    same, which is why one checkpoint serves them all.

    Args:
        plan: how to train.
        cache: the prepared images.
        ranks: this rank among the others.
        after_epoch: is told each epoch's metrics, on every rank; it may raise to end the
            training.
        keep: is given a checkpoint after each epoch.
        start: the checkpoint to go on from.

    Raises:
        Diverged: the loss is not finite.
    """
    model, optimizer = prepare_model(plan, cache, ranks.size)
    import keras  # after the threads are set

    augment = augmentation(cache.input_size, plan.augmentation, plan.seed)
    averages = [keras.Variable(v, trainable=False) for v in model.trainable_variables]
    everything = model.variables + optimizer.variables + averages + augment.variables
    fitted = FitResult()
    if start is not None:
        fitted = copy.deepcopy(start.fitted)
        for variable, value in zip(everything, start.variables, strict=True):
            variable.assign(value)
    ranks.share(everything)
    train = Shard(cache, TRAIN, plan.rank_batch(ranks.size), ranks.rank, ranks.size)
    reach = max(1.0, AVERAGED * train.steps() * plan.epochs)
    augmented, train_step, sums_of = _compiled(
        model, optimizer, augment, averages, reach, ranks, _class_weights(plan, cache)
    )
    validation = Shard(cache, VALIDATION, plan.rank_batch(ranks.size), ranks.rank, ranks.size)
    for epoch in range(len(fitted.epochs), plan.epochs):
        if plan.patience and epoch > fitted.lowest + plan.patience:
            break
        started = time.monotonic()
        shuffled = train.epoch(plan.seed * 10_000 + epoch)
        loss, seen = _totals(_steps(augmented, train_step, shuffled))
        with _exchanged(model.trainable_variables, averages):
            sums = _totals(sums_of(b.pixels, b.classes, b.weights) for b in validation.epoch(None))
            weights = model.get_weights()
        total, squares, right, count = (float(total) for total in ranks.sum(sums))
        validation_loss = total / count
        variance = max(squares / count - validation_loss**2, 0)
        metrics = {
            "loss": float(loss / seen),
            "validation_loss": validation_loss,
            "validation_loss_error": math.sqrt(variance / count),
            "validation_accuracy": right / count,
            "learning_rate": float(optimizer.learning_rate),
            "epoch_seconds": time.monotonic() - started,
        }
        if not math.isfinite(metrics["loss"] + metrics["validation_loss"]):
            raise Diverged(
                f"the loss is no number any more in epoch {epoch + 1}; pass a lower learning "
                f"rate: -P learning_rate={plan.learning_rate / 3:.2g}"
            )
        fitted.add(metrics, weights)
        if keep is not None:
            keep(Checkpoint(fitted, [np.asarray(variable) for variable in everything]))
        after_epoch(epoch, metrics)
    return fitted


def _class_weights(plan: Plan, cache: Cache) -> np.ndarray:
    """``float32 [classes]``: by these each class counts the same, and an image 1 on average."""
    counts = np.array([cache.counts[TRAIN].get(label, 0) for label in cache.labels], np.float32)
    if not plan.class_weights:
        return np.ones_like(counts)
    return counts.sum() / (len(counts) * np.maximum(counts, 1))


def _compiled(model, optimizer, augment, averages, reach: float, ranks, class_weights: np.ndarray):
    import keras
    import tensorflow as tf

    height, width = model.input_shape[1:3]
    signature = [
        tf.TensorSpec([None, height, width, 3], tf.uint8),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.float32),
    ]
    variables = [variable.value for variable in model.trainable_variables]
    moving = [v for v in model.non_trainable_variables if v.name.startswith("moving_")]

    def losses_of(pixels, classes, weights, training):
        probabilities = model(pixels, training=training)
        losses = keras.losses.sparse_categorical_crossentropy(classes, probabilities)
        return losses * weights, probabilities

    @tf.function(input_signature=signature[:1])
    def augmented(pixels):
        return augment(pixels, training=True)

    @tf.function(input_signature=[*signature, signature[0]])
    def train_step(pixels, classes, weights, following):
        balanced = weights * tf.gather(class_weights, classes)
        with tf.GradientTape() as tape:
            losses, _ = losses_of(pixels, classes, balanced, training=True)
            loss = tf.reduce_sum(losses)
            scaled = optimizer.scale_loss(loss)  # for half precision; else it stays as it is
        gradients = tape.gradient(scaled, variables)
        with tf.control_dependencies(gradients):  # so that it fills the wait for their exchange
            following = augment(following, training=True)
        statistics = [tf.convert_to_tensor(variable.value) for variable in moving]
        *sums, loss, count = ranks.sum([*gradients, *statistics, loss, tf.reduce_sum(weights)])
        gradients, statistics = sums[: len(gradients)], sums[len(gradients) :]
        for variable, total in zip(moving, statistics, strict=True):
            variable.assign(total / ranks.size)
        if count > 0:  # else this last batch is padding on every rank
            optimizer.apply_gradients(
                [(g / count, v) for g, v in zip(gradients, model.trainable_variables, strict=True)]
            )
            for average, variable in zip(averages, variables, strict=True):
                average.assign(average + (variable - average) / reach)
        return loss, count, following

    @tf.function(input_signature=signature)
    def sums_of(pixels, classes, weights):
        losses, probabilities = losses_of(pixels, classes, weights, training=False)
        right = tf.cast(tf.argmax(probabilities, 1, tf.int32) == classes, tf.float32)
        totals = losses, losses * losses, right * weights, weights  # a weight is 1, or 0: padding
        return [tf.reduce_sum(total) for total in totals]

    return augmented, train_step, sums_of


def _steps(augmented, train_step, batches: Iterator[Batch]) -> Iterator[tuple]:
    """The steps of an epoch; each augments the next one's images while the ranks exchange."""
    batch = next(batches)
    pixels = augmented(batch.pixels)
    for following in chain(batches, [None]):
        next_pixels = following.pixels if following else batch.pixels[:0]
        *sums, pixels = train_step(pixels, batch.classes, batch.weights, next_pixels)
        yield sums
        batch = following or batch


@contextmanager
def _exchanged(variables, others) -> Iterator[None]:
    """Give the variables the others' values for as long as it lasts."""
    own = [np.array(variable) for variable in variables]
    for variable, other in zip(variables, others, strict=True):
        variable.assign(other)
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)


def _totals(steps: Iterable[tuple]) -> list:
    """The sum of each of the values that the steps return."""
    return [sum(column) for column in zip(*steps, strict=True)]
