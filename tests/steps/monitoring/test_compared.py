"""Which answers and which control labels count, on a lake of small images."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter

import numpy as np
import pytest
from drawing import jpeg

from benchmarks.made_lake import commit, image_rows, made_profile, write_rows, write_table
from steps.ingestion.label_rows import SCHEMA, LabelRow
from steps.ingestion.tables import LABELS, SCORES
from steps.monitoring.accuracy import estimate_accuracy
from steps.monitoring.compared import SCORED, Comparison, Version

pytestmark = pytest.mark.slow

NOW = datetime(2026, 8, 1, tzinfo=UTC)
TRAINED = NOW - timedelta(days=20)


@pytest.fixture
def lake(tmp_path):
    """A device with an image each two hours, for twenty days before a training and after it."""
    profile, zone = made_profile(tmp_path), f"file:{tmp_path / 'zone'}"
    times = [NOW - timedelta(hours=hours) for hours in range(40 * 24, 0, -2)]
    content = jpeg(0)
    images = [
        (f"{at:%Y-%m-%dT%H:%M:%S}_rpi_sensor_a_front_0.jpg", content + number.to_bytes(4, "big"))
        for number, at in enumerate(times)
    ]
    rows = list(image_rows(images, zone))
    for row, at in zip(rows, times, strict=True):
        row["ingested_at"] = at
    commit(profile, write_rows(rows, profile))
    return profile, rows, Version("porch", "2", zone, TRAINED, "run")


def score(row, label="0", version="2", **others) -> dict:
    scored = {"sha256": row["sha256"], "model": "porch", "model_version": version, "label": label}
    return scored | {"scored_by": "spark", "scored_at": NOW, "score": 0.75} | others


def label(row, how="control", name="0", at=NOW) -> dict:
    return LabelRow(uuid.uuid4().hex, row["sha256"], name, "ann", how, at)._asdict()


def test_answers_count_from_the_second_week_on_and_not_those_of_training_images(lake):
    profile, rows, version = lake
    elsewhere = {"sha256": None, "scored_by": "edge:a", "score": 0.5}
    scores = [*map(score, rows), score(rows[0], version="1"), score(rows[0]) | elsewhere]
    scores.append(score(rows[0]) | elsewhere | {"scored_by": "edge:b"})
    write_table(SCORES, profile, scores, SCORED)
    watched = Comparison(profile, version).device("a").watched
    assert len(watched.usual_scores.times) == 7 * 12
    assert len(watched.scores.times) == 13 * 12 + 1
    assert np.unique(watched.scores.uncertainty).tolist() == [0.25, 0.5]
    assert len(watched.training) == len(watched.frames) == 240


def test_only_control_labels_of_new_images_that_were_answered_count(lake):
    profile, rows, version = lake
    *new, later = sorted(rows[-11:], key=itemgetter("sha256"))
    assert estimate_accuracy(Comparison(profile, version)) is None
    labels = [
        *map(label, new),
        label(later, how="key"),
        label(rows[0], how="key"),
        label(rows[-12]),
    ]
    write_table(LABELS, profile, labels, SCHEMA)
    answers = ["0"] * 7 + ["1"] * 2 + ["unsure"]
    scores = [score(row, answer) for row, answer in zip(new, answers, strict=True)]
    write_table(SCORES, profile, [*scores, score(later, "1"), score(rows[0], "1")], SCORED)
    estimate = estimate_accuracy(Comparison(profile, version))
    assert estimate is not None
    assert (estimate.images, estimate.unanswered) == (9, 1)
    assert estimate.accuracy == 7 / 9 and estimate.low < 7 / 9 < estimate.high


def test_a_device_without_training_images_is_compared_with_its_first_week(lake):
    profile, _, version = lake
    early = replace(version, trained_at=NOW - timedelta(days=50))
    compared = Comparison(profile, early).device("a")
    assert compared.basis == "its own first 7 days"
    assert (len(compared.known), len(compared.new)) == (7 * 12, 33 * 12)


def test_the_control_sample_has_what_its_order_passed_however_that_was_labelled(lake):
    """Its order leaves out what has a label; corrections and new names change no sample."""
    profile, rows, version = lake
    new = sorted(rows[-9:-1], key=itemgetter("sha256"))
    before, after = NOW - timedelta(hours=1, minutes=59), NOW + timedelta(hours=1)
    labels = [label(row, how="key", at=before) for row in new[:4]]
    labels += [label(row, at=before) for row in new[4:6]]
    labels += [label(row, how="grid", at=before) for row in new[6:]]  # were not passed
    labels += [label(new[4], how="grid", name="1", at=NOW)]
    for how, name in (("rename", "empty"), ("rename", "shoe"), ("undo", "empty")):
        labels += [label(row, how=how, name=name, at=after) for row in new[:4] + new[5:]]
        after += timedelta(minutes=1)
    write_table(LABELS, profile, labels, SCHEMA)
    write_table(SCORES, profile, list(map(score, new)), SCORED)
    estimate = estimate_accuracy(Comparison(profile, version))
    assert estimate is not None and (estimate.images, estimate.accuracy) == (6, 5 / 6)


def test_one_image_of_a_clock_that_was_not_set_does_not_end_the_first_days(lake):
    profile, _, version = lake
    comparison = Comparison(profile, replace(version, trained_at=NOW - timedelta(days=41)))
    vars(comparison.index)["times"] = comparison.index.times * (np.arange(40 * 12) > 0)
    compared = comparison.device("a")
    assert (len(compared.known), len(compared.new)) == (7 * 12 + 1, 33 * 12 - 1)
