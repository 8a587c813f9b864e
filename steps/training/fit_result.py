"""What a training gave, after its last epoch or on the way there."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class FitResult:
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

    fitted: FitResult
    variables: list[np.ndarray]
