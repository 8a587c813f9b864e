"""How two models compare on the same images, and which of these a training used."""

import numpy as np
import pytest
from made_predictions import make_predictions

from steps.dataset.split import TRAIN, VALIDATION, SplitRule
from steps.evaluation.comparison import seen_by_champion
from steps.pipeline.outputs import Selection

COUNT = 400
TRAINING = Selection(
    table="file:/lake/images",
    version=3,
    source="file:/landing",
    input_size=(32, 32),
    block_minutes=60,
    guard_minutes=6,
    split_seed=1,
)


def test_a_training_used_what_its_own_split_gave_it():
    images = make_predictions(COUNT)
    used = seen_by_champion(images, TRAINING)
    split = SplitRule(60, 6, 1)
    for number in range(COUNT):
        moment = images.captured_at[number].astype("datetime64[us]").item()
        part = split.split_of(moment, "3", images.sha256[number])
        assert used[number] == (part in (TRAIN, VALIDATION))
    assert 0.4 < used.mean() < 0.85


def test_without_a_time_the_bytes_decide_as_they_did_in_training():
    images = make_predictions(COUNT, captured_at=np.full(COUNT, "NaT", "datetime64[us]"))
    split = SplitRule(60, 6, 1)
    parts = [split.split_of(None, "3", sha256) for sha256 in images.sha256]
    used = seen_by_champion(images, TRAINING)
    assert used.tolist() == [part in (TRAIN, VALIDATION) for part in parts]


def test_images_of_another_source_were_not_used():
    elsewhere = np.array([f"file:/landing-two/{number}.jpg" for number in range(COUNT)])
    assert not seen_by_champion(make_predictions(COUNT, paths=elsewhere), TRAINING).any()


@pytest.mark.parametrize(
    ("own", "share"),
    [
        ((), (0.4, 0.85)),
        (("train",), (0.4, 0.85)),
        (("validation",), (0.4, 0.85)),
        (("test",), (1, 1)),
    ],
)
def test_what_a_set_with_its_own_test_split_leaves_to_the_rule_is_used(own, share):
    used = seen_by_champion(make_predictions(COUNT), TRAINING, own)
    assert share[0] <= used.mean() <= share[1]
