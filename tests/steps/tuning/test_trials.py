"""The trials of a search: which of them are pruned."""

import pytest

from steps.tuning.trials import should_prune


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.9, 0.8], False),  # too early to say
        ([0.9, 0.8, 0.5], True),
        ([0.9, 0.4, 0.9], False),  # the lowest so far counts
        ([0.9, 0.8, 0.7, 0.2], False),
    ],
)
def test_a_trial_that_is_worse_than_half_of_the_others_is_pruned(losses, expected):
    finished = [[0.9, 0.6, 0.45, 0.1], [0.9, 0.6, 0.3, 0.3], [0.9, 0.9, 0.9, 0.9]]
    assert should_prune(losses, finished, epochs=9) == expected
    assert not should_prune(losses, finished[:2], epochs=9)
