"""What a training is told: all that decides its weights beside its images."""

import math
from dataclasses import dataclass

REFERENCE_BATCH = 16
"""The batch that a learning rate is stated for."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights, together with the cache and the number of ranks.

    The defaults are those of train.

    Attributes:
        width: multiplies the network's channels.
        dropout: share of features dropped before the classifier, 0–1.
        augmentation: multiplies the strength of the augmentation; 0 is none.
        learning_rate: Adam's at its highest, for a batch of 16; see :func:`peak_rate`.
        batch_size: images a batch, over all ranks together.
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

    def rank_batch(self, ranks: int) -> int:
        """Images a batch of one of so many ranks."""
        return max(1, self.batch_size // ranks)


def peak_rate(plan: Plan, ranks: int = 1) -> float:
    """The highest learning rate: the plan's, scaled by the square root of the batch.

    The batch is that of all ranks together, against the 16 that the plan's rate is stated for.
    The square root, because Adam divides by the gradient's own spread (Malladi et al. 2022,
    "On the SDEs and scaling rules for adaptive gradient algorithms").

    >>> peak_rate(Plan(learning_rate=0.003, batch_size=64))
    0.006
    """
    batch = plan.rank_batch(ranks) * ranks
    return plan.learning_rate * math.sqrt(batch / REFERENCE_BATCH)
