"""What follows from a plan alone."""

import pytest

from steps.training.plan import Plan, peak_rate


@pytest.mark.parametrize(
    ("batch", "ranks", "rate"), [(16, 1, 0.003), (64, 1, 0.006), (64, 2, 0.006), (4, 1, 0.0015)]
)
def test_the_learning_rate_grows_with_the_square_root_of_the_batch(batch, ranks, rate):
    assert peak_rate(Plan(learning_rate=0.003, batch_size=batch), ranks) == pytest.approx(rate)
