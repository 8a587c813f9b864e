"""The training of a network, on one rank of any number."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steps.dataset.batches import Batch, Shard
from steps.dataset.cache import Cache
from steps.dataset.split import VALIDATION
from steps.errors import UserError
from steps.training.augmentation import build_augmentation
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.model import prepare_model, training_shard
from steps.training.plan import Plan
from steps.training.ranks import Horovod, SingleProcess
from steps.training.train_step import compile_steps

if TYPE_CHECKING:
    import keras

AVERAGED = 0.1
"""The share of a training's steps that the averaged weights go back over, roughly."""


class DivergedError(UserError):
    """The loss is not finite: the network no longer learns."""


def fit(
    plan: Plan,
    cache: Cache,
    ranks: SingleProcess | Horovod,
    after_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, metrics: None,
    save: Callable[[Checkpoint], None] | None = None,
    resume_from: Checkpoint | None = None,
) -> FitResult:
    """Train a network from the cache.

    Each rank reads its own shard; gradients and metrics are averaged over the ranks, weighted by
    the images that they saw, so that a short last batch counts for its images; the moving
    statistics of batch normalisation are their plain mean. The weights that are validated and
    returned are averaged over the last tenth of the steps: they depend less on the last step and
    predict better in light that the training has not seen (Izmailov et al. 2018, "Averaging
    weights leads to wider optima and better generalization"; here exponentially). After an epoch
    all ranks have the same state, so one checkpoint serves them all.

    Args:
        plan: how to train.
        cache: the prepared images, or a frozen network's features of them.
        ranks: this rank among the others.
        after_epoch: is called with each epoch's metrics, on every rank; it may raise to end the
            training.
        save: is called with a checkpoint after each epoch.
        resume_from: the checkpoint to resume from.

    Raises:
        DivergedError: the loss is not finite.
    """
    model, optimizer = prepare_model(plan, cache, ranks.size, ranks.operations)
    import keras  # after the threads are set

    augment = (
        keras.Model(model.input, model.input)  # the copies in the cache are augmented
        if cache.has_features
        else build_augmentation(cache.input_size, plan.augmentation, plan.seed)
    )
    averages = [keras.Variable(v, trainable=False) for v in model.trainable_variables]
    state = model.variables + optimizer.variables + averages + augment.variables
    result = FitResult()
    if resume_from is not None:
        result = copy.deepcopy(resume_from.result)
        for variable, value in zip(state, resume_from.variables, strict=True):
            variable.assign(value)
    ranks.share(state)
    train = training_shard(plan, cache, ranks.rank, ranks.size)
    validation = Shard(cache, VALIDATION, plan.rank_batch(ranks.size), ranks.rank, ranks.size)
    reach = max(1.0, AVERAGED * train.steps() * plan.epochs)
    augmented, train_step, validation_step = compile_steps(
        model, optimizer, augment, averages, reach, ranks, _class_weights(plan, cache)
    )
    for epoch in range(len(result.epochs), plan.epochs):
        if plan.patience and epoch > result.lowest + plan.patience:
            break
        started = time.monotonic()
        shuffled = train.epoch(plan.seed * 10_000 + epoch)
        loss, count = _sum_columns(_run_steps(augmented, train_step, shuffled))
        with _exchanged(model.trainable_variables, averages):
            batches = validation.epoch(None)
            sums = _sum_columns(validation_step(b.inputs, b.classes, b.weights) for b in batches)
            weights = model.get_weights()
        metrics = {
            "loss": float(loss / count),
            **_validation_metrics(ranks.sum(sums)),
            "learning_rate": float(optimizer.learning_rate),
            "epoch_seconds": time.monotonic() - started,
        }
        if not math.isfinite(metrics["loss"] + metrics["validation_loss"]):
            raise DivergedError(
                f"the loss is not finite in epoch {epoch + 1}; pass a lower learning rate: "
                f"-P learning_rate={plan.learning_rate / 3:.2g}"
            )
        result.add(metrics, weights)
        if save is not None:
            save(Checkpoint(result, [np.asarray(variable) for variable in state]))
        after_epoch(epoch, metrics)
    return result


def _validation_metrics(sums: Iterable[Any]) -> dict[str, float]:
    """Return the mean loss, its standard error, and the accuracy, from the sums of all images."""
    losses, squares, correct, count = map(float, sums)
    loss = losses / count
    variance = max(squares / count - loss**2, 0)
    return {
        "validation_loss": loss,
        "validation_loss_error": math.sqrt(variance / count),
        "validation_accuracy": correct / count,
    }


def _class_weights(plan: Plan, cache: Cache) -> NDArray[np.float32]:
    """Return weights ``float32 [classes]`` by which all classes count the same, 1 on average."""
    counts = np.array(
        [cache.counts[cache.fitted].get(label, 0) for label in cache.labels], np.float32
    )
    if not plan.class_weights:
        return np.ones_like(counts)
    return np.asarray(counts.sum() / (len(counts) * np.maximum(counts, 1)), np.float32)


def _run_steps(
    augmented: Callable[..., Any], train_step: Callable[..., Any], batches: Iterator[Batch]
) -> Iterator[Sequence[Any]]:
    """Run the steps of an epoch; each augments the next one's images while the ranks exchange."""
    batch = next(batches)
    inputs = augmented(batch.inputs)
    for following in chain(batches, [None]):
        next_inputs = following.inputs if following else batch.inputs[:0]
        *sums, inputs = train_step(inputs, batch.classes, batch.weights, next_inputs)
        yield sums
        batch = following or batch


@contextmanager
def _exchanged(variables: "list[keras.Variable]", others: "list[keras.Variable]") -> Iterator[None]:
    """Give the variables the values of the others within the block."""
    own = [np.array(variable) for variable in variables]
    for variable, other in zip(variables, others, strict=True):
        variable.assign(other)
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)


def _sum_columns(rows: Iterable[Sequence[Any]]) -> list[Any]:
    return [sum(column) for column in zip(*rows, strict=True)]
