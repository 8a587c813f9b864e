"""The result of a training, after its last epoch or between two."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class FitResult:
    """The result of a training.

    Attributes:
        weights: averaged, of the best epoch.
        epochs: per epoch: loss, validation_loss, validation_loss_error, validation_accuracy,
            learning_rate, epoch_seconds.
        best: index of the best epoch.
        last_weights: of a last fit on all images but the test split; empty if there was none.
    """

    weights: list[NDArray[np.float32]] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    last_weights: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def lowest(self) -> int:
        """Index of the epoch with the lowest validation loss; 0 before the first."""
        losses = [epoch["validation_loss"] for epoch in self.epochs]
        return losses.index(min(losses)) if losses else 0

    def shipped(self, is_promised: bool = False) -> list[NDArray[np.float32]]:
        """Return the weights that ship: of the last fit, unless a promise was made for the others.

        Args:
            is_promised: whether the validation split has shown how rarely ``weights`` are wrong.
        """
        return self.weights if is_promised or not self.last_weights else self.last_weights

    def add(self, metrics: dict[str, float], weights: list[NDArray[np.float32]]) -> None:
        """Add an epoch; it is the best unless an earlier one is better by more than chance.

        The one-standard-error rule (Breiman et al. 1984, "Classification and regression trees",
        3.4.3): of the epochs whose validation loss is within its standard error of the lowest,
        the last one. A small validation split is soon predicted correctly; the network still
        learns, and its averaged weights settle.
        """
        self.epochs.append(metrics)
        lowest = self.epochs[self.lowest]
        bound = lowest["validation_loss"] + lowest["validation_loss_error"]
        if metrics["validation_loss"] <= bound:
            self.best = len(self.epochs) - 1
            self.weights = weights


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch, from which it resumes as if never interrupted.

    Attributes:
        result: of the epochs so far.
        variables: of the network, the optimizer, the averages and the augmentation, in this
            order; the states of random numbers are among them.
    """

    result: FitResult
    variables: list[NDArray[Any]]
