"""What two models say of the same images, and which of these one of them knows."""

import numpy as np
import pytest

from steps.dataset.split import TRAIN, VALIDATION, Split
from steps.evaluation.model_predictions import Judged
from steps.evaluation.predictions import Evaluation
from steps.evaluation.slices import NIGHT
from steps.pipeline.outputs import Selection

COUNT = 400
HALF_HOUR = np.timedelta64(30, "m")
TRAINING = Selection(
    table="file:/lake/images",
    version=3,
    source="file:/landing",
    input_size=(32, 32),
    block_minutes=60,
    guard_minutes=6,
    split_seed=1,
)


def judged(**columns) -> Judged:
    """Images of one camera, half an hour apart."""
    sha256 = np.array([f"{number:064x}" for number in range(COUNT)])
    return Judged(
        **{
            "labels": ["a", "b"],
            "sha256": sha256,
            "paths": np.array([f"file:/landing/{number}.jpg" for number in range(COUNT)]),
            "devices": np.array(["3"] * COUNT, dtype=object),
            "captured_at": np.datetime64("2026-07-13T00:00:01") + np.arange(COUNT) * HALF_HOUR,
            "brightness": np.full(COUNT, 90.0),
            "truth": np.array(["a"] * COUNT),
            "said": np.array(["a"] * COUNT),
            "probabilities": np.full((COUNT, 2), 0.5, np.float32),
        }
        | columns
    )


def test_a_comparison_measures_what_training_measured_and_the_same_of_each_slice():
    chance = np.random.default_rng(0)
    classes = chance.integers(0, 2, COUNT)
    probabilities = chance.dirichlet((1, 1), COUNT).astype(np.float32)
    brightness = chance.uniform(0, 120, COUNT)
    names = np.array(["a", "b"])
    said = judged(
        truth=names[classes],
        said=names[probabilities.argmax(axis=1)],
        probabilities=probabilities,
        brightness=brightness,
    )
    times = said.captured_at
    trained = Evaluation(
        ["a", "b"], probabilities, classes, list(said.paths), brightness, ["3"] * COUNT, times
    )
    night = brightness < NIGHT
    expected = trained.metrics()
    for name, rows in (("day", ~night), ("night", night), ("device=3", night | ~night)):
        expected |= {f"{k}@{name}": v for k, v in trained.only(rows).metrics().items()}
    assert said.metrics() == pytest.approx(expected)


def test_a_training_knows_what_its_own_split_gave_it():
    images = judged()
    seen = images.seen_in(TRAINING)
    split = Split(60, 6, 1)
    for number in range(COUNT):
        moment = images.captured_at[number].astype("datetime64[us]").item()
        part = split.part_of(moment, "3", images.sha256[number])
        assert seen[number] == (part in (TRAIN, VALIDATION))
    assert 0.4 < seen.mean() < 0.85


def test_without_a_time_the_bytes_decide_as_they_did_then():
    images = judged(captured_at=np.full(COUNT, "NaT", "datetime64[us]"))
    split = Split(60, 6, 1)
    parts = [split.part_of(None, "3", sha256) for sha256 in images.sha256]
    assert images.seen_in(TRAINING).tolist() == [part in (TRAIN, VALIDATION) for part in parts]


def test_images_of_another_place_were_not_seen():
    elsewhere = np.array([f"file:/landing-two/{number}.jpg" for number in range(COUNT)])
    assert not judged(paths=elsewhere).seen_in(TRAINING).any()
