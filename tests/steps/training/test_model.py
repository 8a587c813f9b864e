"""The network and its optimizer before the first step."""

import pytest

from steps.training.model import prepare_model, training_shard
from steps.training.plan import Plan

pytestmark = pytest.mark.slow


def test_the_learning_rate_warms_up_and_follows_half_a_cosine(bright_cache):
    plan = Plan(learning_rate=3e-3, batch_size=16, epochs=8, epoch_steps=1, width=0.5)
    _, optimizer = prepare_model(plan, bright_cache)
    steps = 6  # 95 images in batches of 16
    rates = []
    for step in range(steps * plan.epochs + 1):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates[0] == pytest.approx(3e-4)
    assert rates[steps] == max(rates) == pytest.approx(3e-3)
    assert rates[:steps] == sorted(rates[:steps])
    assert rates[steps:] == sorted(rates[steps:], reverse=True)
    assert rates[-1] == pytest.approx(3e-4)


@pytest.mark.parametrize(
    ("batch", "ranks", "least", "passes", "steps"),
    [(16, 1, 1, 1, 6), (16, 1, 20, 3, 18), (32, 1, 20, 7, 21), (16, 2, 20, 3, 18)],
)
def test_few_images_are_read_several_times_in_an_epoch(
    bright_cache, batch, ranks, least, passes, steps
):
    plan = Plan(batch_size=batch, epoch_steps=least)
    shard = training_shard(plan, bright_cache, 0, ranks)
    assert (shard.passes, shard.steps()) == (passes, steps)
