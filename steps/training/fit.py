"""The training of a network, on one rank of any number."""

import copy
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from steps.errors import UserError
from steps.training.augmentation import augmentation
from steps.training.batches import Shard
from steps.training.cache import Cache
from steps.training.ranks import Alone, Horovod
from steps.training.split import TRAIN, VALIDATION

if TYPE_CHECKING:
    import keras


REFERENCE_BATCH = 16
"""The batch that a learning rate is stated for."""

AVERAGED = 0.1
"""The share of a training's steps that the averaged weights reach back, about."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights, together with the cache and the number of ranks.

    The defaults are those of train.

    Attributes:
        width: multiplies the network's channels.
        dropout: share of features dropped before the classifier, 0–1.
        augmentation: multiplies the strength of the augmentation; 0 is none.
        learning_rate: Adam's at its highest, for a batch of 16; see :func:`peak_rate`.
        batch_size: pictures a batch, over all ranks together.
        epochs: passes over the training part, at most.
        patience: ends after so many epochs without a lower validation loss; 0 never does.
        class_weights: whether rare classes count for more, so that all count the same.
        precision: ``float32``, ``mixed_float16``, or ``auto``: mixed where there is a GPU.
        seed: of the weights, the order, the augmentation and the dropout.
        threads: TensorFlow's threads a rank.
    """

    network: str = "compact"
    width: float = 1.0
    dropout: float = 0.1
    weights: str = "none"
    learning_rate: float = 3e-3
    batch_size: int = 16
    epochs: int = 30
    seed: int = 0
    augmentation: float = 1.0
    patience: int = 0
    class_weights: bool = True
    precision: str = "auto"
    threads: int = 1


@dataclass
class Fitted:
    """What a training gave.

    Attributes:
        weights: averaged, of the epoch that is kept.
        epochs: per epoch: loss, validation_loss, validation_loss_error, validation_accuracy,
            learning_rate, epoch_seconds.
        best: index of that epoch.
    """

    weights: list[np.ndarray] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0

    @property
    def lowest(self) -> int:
        """Index of the epoch with the lowest validation loss; 0 before the first."""
        losses = [epoch["validation_loss"] for epoch in self.epochs]
        return losses.index(min(losses)) if losses else 0

    def add(self, metrics: dict[str, float], weights: list[np.ndarray]) -> None:
        """Note an epoch, and keep its weights where no epoch before is better by more than chance.

        The one-standard-error rule (Breiman et al. 1984, "Classification and regression trees",
        3.4.3): of the epochs whose validation loss is within its standard error of the lowest,
        the last one. A small validation part is soon all right; the network goes on learning, and
        its averaged weights settle.
        """
        self.epochs.append(metrics)
        lowest = self.epochs[self.lowest]
        bound = lowest["validation_loss"] + lowest["validation_loss_error"]
        if metrics["validation_loss"] <= bound:
            self.best = len(self.epochs) - 1
            self.weights = weights


@dataclass(frozen=True)
class Checkpoint:
    """A training after an epoch: what it takes to go on as if it had not been cut off.

    Attributes:
        fitted: what it gave so far.
        variables: of the network, the optimizer, the averages and the augmentation, in their
            order; states of random numbers are among them.
    """

    fitted: Fitted
    variables: list[np.ndarray]


class Diverged(UserError):
    """The loss is no number any more: nothing is learned from here on."""


def fit(
    plan: Plan,
    cache: Cache,
    ranks: Alone | Horovod,
    after_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, metrics: None,
    keep: Callable[[Checkpoint], None] | None = None,
    start: Checkpoint | None = None,
) -> Fitted:
    """Train a network from the cache.

    Each rank reads its own shard; gradients, metrics and the moving statistics of batch
    normalisation are averaged over the ranks, weighted by the pictures that they saw, so that
    a short last batch counts for what it holds. Validated and kept are weights averaged over the
    last tenth of the steps, which hang less on the last step and hold better in light that
    training has not met (Izmailov et al. 2018, "Averaging weights leads to wider optima and
    better generalization"; here exponentially). After an epoch all ranks hold the same, which
    is why one checkpoint serves them all.

    Args:
        plan: how to train.
        cache: the prepared pictures.
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
    fitted = Fitted()
    if start is not None:
        fitted = copy.deepcopy(start.fitted)
        for variable, value in zip(everything, start.variables, strict=True):
            variable.assign(value)
    ranks.share(everything)
    train = Shard(cache, TRAIN, _rank_batch(plan, ranks), ranks.rank, ranks.size)
    reach = max(1.0, AVERAGED * train.steps() * plan.epochs)
    train_step, sums_of = _compiled(
        model, optimizer, augment, averages, reach, ranks, _class_weights(plan, cache)
    )
    validation = Shard(cache, VALIDATION, _rank_batch(plan, ranks), ranks.rank, ranks.size)
    for epoch in range(len(fitted.epochs), plan.epochs):
        if plan.patience and epoch > fitted.lowest + plan.patience:
            break
        started = time.monotonic()
        shuffled = train.epoch(plan.seed * 10_000 + epoch)
        loss, seen = _totals(train_step(b.pixels, b.classes, b.weights) for b in shuffled)
        _average_moving_statistics(model, ranks)
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


def peak_rate(plan: Plan, ranks: int = 1) -> float:
    """The highest learning rate: the plan's, scaled by the square root of the batch.

    The batch is that of all ranks together, against the 16 that the plan's rate is stated for.
    The square root, because Adam divides by the gradient's own spread (Malladi et al. 2022,
    "On the SDEs and scaling rules for adaptive gradient algorithms").

    >>> peak_rate(Plan(learning_rate=0.003, batch_size=64))
    0.006
    """
    batch = max(1, plan.batch_size // ranks) * ranks
    return plan.learning_rate * math.sqrt(batch / REFERENCE_BATCH)


def prepare_model(
    plan: Plan, cache: Cache, ranks: int = 1
) -> tuple["keras.Model", "keras.Optimizer"]:
    """The network with its first weights, and its optimizer; TensorFlow is set up on the way.

    The learning rate warms up over the first epoch, from a tenth, and then follows half a
    cosine back to a tenth.
    """
    tf = configure_tensorflow(plan.threads)
    import keras

    keras.utils.set_random_seed(plan.seed)
    precision = plan.precision
    if precision == "auto":
        precision = "mixed_float16" if tf.config.list_physical_devices("GPU") else "float32"
    model = network_of(plan, cache, precision)
    steps = Shard(cache, TRAIN, max(1, plan.batch_size // ranks), 0, ranks).steps()
    rate = peak_rate(plan, ranks)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 10,
        decay_steps=max(1, steps * (plan.epochs - 1)),
        alpha=0.1,
        warmup_target=rate,
        warmup_steps=steps,
    )
    optimizer = keras.optimizers.Adam(schedule)
    if precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def network_of(plan: Plan, cache: Cache, precision: str = "float32") -> "keras.Model":
    """The plan's network for the cache's pictures and labels.

    Args:
        precision: ``float32``, or ``mixed_float16``: half precision inside, with variables
            that are float32 all the same.
    """
    tf = configure_tensorflow(plan.threads)
    import keras

    from steps.training.networks import build

    keras.utils.clear_session()
    tf.config.experimental.enable_op_determinism()
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(precision)
    try:
        return build(
            plan.network,
            cache.input_size,
            len(cache.labels),
            plan.width,
            plan.dropout,
            plan.weights,
            plan.seed,
        )
    finally:
        keras.mixed_precision.set_dtype_policy(before)


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


def _class_weights(plan: Plan, cache: Cache) -> np.ndarray:
    """``float32 [classes]``: by these each class counts the same, and a picture 1 on average."""
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

    def losses_of(pixels, classes, weights, training):
        probabilities = model(pixels, training=training)
        losses = keras.losses.sparse_categorical_crossentropy(classes, probabilities)
        return losses * weights, probabilities

    @tf.function(input_signature=signature)
    def train_step(pixels, classes, weights):
        pixels = augment(pixels, training=True)
        balanced = weights * tf.gather(class_weights, classes)
        with tf.GradientTape() as tape:
            losses, _ = losses_of(pixels, classes, balanced, training=True)
            loss = tf.reduce_sum(losses)
            scaled = optimizer.scale_loss(loss)  # for half precision; else it stays as it is
        gradients = tape.gradient(scaled, variables)
        *gradients, loss, count = ranks.sum([*gradients, loss, tf.reduce_sum(weights)])
        if count > 0:  # else this last batch is padding on every rank
            optimizer.apply_gradients(
                [(g / count, v) for g, v in zip(gradients, model.trainable_variables, strict=True)]
            )
            for average, variable in zip(averages, variables, strict=True):
                average.assign(average + (variable - average) / reach)
        return loss, count

    @tf.function(input_signature=signature)
    def sums_of(pixels, classes, weights):
        losses, probabilities = losses_of(pixels, classes, weights, training=False)
        right = tf.cast(tf.argmax(probabilities, 1, tf.int32) == classes, tf.float32)
        totals = losses, losses * losses, right * weights, weights  # a weight is 1, or 0: padding
        return [tf.reduce_sum(total) for total in totals]

    return train_step, sums_of


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


def _average_moving_statistics(model, ranks) -> None:
    moving = [v for v in model.non_trainable_variables if v.name.startswith("moving_")]
    if ranks.size > 1 and moving:
        for variable, total in zip(moving, ranks.sum([v.value for v in moving]), strict=True):
            variable.assign(total / ranks.size)
