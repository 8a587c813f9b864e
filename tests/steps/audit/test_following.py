"""Which of a shortcut and the label a network follows, where they disagree."""

import numpy as np
import pandas as pd
import pytest
from made_predictions import make_predictions

from steps.audit.cues import Cue
from steps.audit.following import follow

COUNT = 20


def _test(right: list[bool], **columns):
    """Predictions of images labelled ``a``, an hour apart; right or wrong as they are told."""
    probabilities = [[0.9, 0.1] if one else [0.1, 0.9] for one in right]
    hours = np.datetime64("2026-07-13T00:00") + np.arange(COUNT) * np.timedelta64(1, "h")
    return make_predictions(
        COUNT, probabilities=np.array(probabilities), captured_at=hours, **columns
    )


def _cue(says_b: int) -> Cue:
    """A cue that predicts ``b`` for the first images, and the label for all others."""
    labels = ["b"] * says_b + ["a"] * (COUNT - says_b)
    predicted = pd.Series(labels, index=[f"{number:064x}" for number in range(COUNT)])
    return Cue("brightness", 0.9, 0.5, 0.001, predicted, {})


@pytest.mark.parametrize(
    ("says_b", "wrong", "images", "followed", "is_followed"),
    [
        (0, 0, 0, 0, False),  # they never disagree
        (8, 0, 8, 0, False),
        (8, 4, 8, 4, False),
        (8, 8, 8, 8, True),
        (8, 7, 8, 7, True),
        (8, 20, 8, 8, False),  # it always predicts b
        (3, 3, 3, 3, False),  # too few to say
    ],
)
def test_what_is_followed(says_b, wrong, images, followed, is_followed):
    found = follow(_cue(says_b), _test([False] * wrong + [True] * (COUNT - wrong)))
    assert (found.images, found.followed, found.is_followed) == (images, followed, is_followed)


def test_the_frames_of_an_hour_are_one():
    same = np.array(["2026-07-13T04:10"] * COUNT, "datetime64[us]")
    test = make_predictions(
        COUNT, probabilities=np.tile([[0.1, 0.9]], (COUNT, 1)), captured_at=same
    )
    found = follow(_cue(COUNT), test)
    assert found.followed == COUNT and not found.is_followed


def test_images_that_the_audit_did_not_read_do_not_count():
    cue = _cue(8)
    partly = Cue("brightness", 0.9, 0.5, 0.001, cue.predicted.iloc[:5], {})
    assert follow(partly, _test([False] * COUNT)).images == 5


def test_a_network_that_always_predicts_the_same_follows_nothing():
    truth = np.array(["a"] * 8 + ["b"] * 12)
    cue = _cue(8)
    cue.predicted.iloc[8:] = "b"
    found = follow(cue, _test([False] * COUNT, truth=truth))
    assert found.followed == 8 and found.chance == 1 and not found.is_followed


def test_a_third_label_is_neither():
    test = _test([False] * COUNT, labels=["a", "c"])
    assert follow(_cue(8), test).images == 0
