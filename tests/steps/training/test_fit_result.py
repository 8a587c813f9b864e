"""Which epoch of a training is the best."""

import numpy as np
import pytest

from steps.training.fit_result import FitResult


def _epoch(loss: float, error: float) -> dict[str, float]:
    return {"validation_loss": loss, "validation_loss_error": error}


@pytest.mark.parametrize(
    ("epochs", "best", "lowest"),
    [
        ([(0.5, 0.1)], 0, 0),
        ([(0.5, 0.1), (0.3, 0.1)], 1, 1),
        ([(0.3, 0.1), (0.39, 0.2)], 1, 0),
        ([(0.3, 0.1), (0.41, 0.2)], 0, 0),
        # the bound is the lowest epoch's, not that of an epoch within it
        ([(0.3, 0.1), (0.39, 0.2), (0.45, 0.2)], 1, 0),
        ([(0.3, 0.1), (0.1, 0.01), (0.2, 0.2)], 1, 1),
        ([(0.3, 0.0), (0.3, 0.0)], 1, 0),
    ],
)
def test_the_last_epoch_that_is_not_worse_by_more_than_chance_is_the_best(epochs, best, lowest):
    result = FitResult()
    for number, (loss, error) in enumerate(epochs):
        result.add(_epoch(loss, error), [np.array(number)])
    assert (result.best, result.lowest) == (best, lowest)
    assert result.weights == [np.array(best)]


def test_the_weights_that_a_promise_was_made_for_ship():
    first, last = [np.zeros(1)], [np.ones(1)]
    result = FitResult(weights=first, last_weights=last)
    assert result.shipped() is last and result.shipped(is_promised=True) is first
    assert FitResult(weights=first).shipped() is first
