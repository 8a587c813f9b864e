"""The plan of a training: all that decides its weights besides its images."""

import math
from dataclasses import dataclass
from typing import Literal

REFERENCE_BATCH = 16
"""The batch size that a learning rate is stated for."""

Precision = Literal["auto", "float32", "mixed_float16"]


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights, together with the cache and the number of ranks.

    The defaults are those of train.

    Attributes:
        network: a name in ``steps.training.networks.NETWORKS``.
        width: multiplies the network's channels.
        dropout: share of features dropped before the classifier, 0–1.
        weights: initial weights: ``none`` (random), ``imagenet``, or a file.
        learning_rate: Adam's highest, for a batch of 16; see :func:`peak_rate`.
        batch_size: images per batch, over all ranks together.
        epochs: passes over the training split, at most; each ends with a validation.
        epoch_steps: steps of an epoch, about, or more: it reads few images several times.
        seed: of the weights, the order, the augmentation and the dropout.
        augmentation: multiplies the strength of the augmentation; 0 is none.
        patience: epochs without a lower validation loss that end the training; 0 never does.
        class_weights: whether rare classes count for more, so that all count the same.
        precision: ``float32``, ``mixed_float16``, or ``auto``: mixed if there is a GPU.
        threads: TensorFlow's threads per rank.
    """

    network: str = "compact"
    width: float = 1.0
    dropout: float = 0.1
    weights: str = "none"
    learning_rate: float = 3e-3
    batch_size: int = 16
    epochs: int = 30
    epoch_steps: int = 20
    seed: int = 0
    augmentation: float = 1.0
    patience: int = 15
    class_weights: bool = True
    precision: Precision = "auto"
    threads: int = 1

    def rank_batch(self, ranks: int) -> int:
        """Return the images per batch of one of so many ranks."""
        return max(1, self.batch_size // ranks)


def peak_rate(plan: Plan, ranks: int = 1) -> float:
    """Return the highest learning rate: the plan's, scaled by the square root of the batch.

    The batch is that of all ranks together, against the 16 that the plan's rate is stated for.
    The square root, because Adam divides by the gradient's own spread (Malladi et al. 2022,
    "On the SDEs and scaling rules for adaptive gradient algorithms").

    >>> peak_rate(Plan(learning_rate=0.003, batch_size=64))
    0.006
    """
    batch = plan.rank_batch(ranks) * ranks
    return plan.learning_rate * math.sqrt(batch / REFERENCE_BATCH)
