"""Groups that a classifier of features was not trained on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_images import make_images

from steps.audit.expectation import expect, group_below_chance
from steps.audit.left_out import predict_left_out
from steps.dataset.cache import Cache

LABELS = ["label 0", "label 1"]
COPIES = 2


def _images(seed: int, days: int = 5) -> pd.DataFrame:
    images = make_images(seed, days).iloc[::4].reset_index(drop=True)
    times = pd.to_datetime(images["block"].str.split(" ").str[0], format="%Y-%m-%dT%H")
    return images.assign(captured_at=times, device_id=images["device"], path=images["sha256"])


def _features(images: pd.DataFrame, values: np.ndarray, folder: Path, tests: int = 0) -> Cache:
    """Write features; the training split has copies of each image, which say nothing.

    The last images are a test split that is small; without any, it is large and elsewhere.
    """
    half, end = len(images) // 2, len(images) - tests
    parts = {"train": slice(0, half), "validation": slice(half, end)}
    parts |= {"test": slice(end, None)} if tests else {}
    rows = {}
    for split, part in parts.items():
        copies = COPIES if split == "train" else 1
        found = [row.astype(np.float32).tobytes() for row in values[part]]
        noise = [np.zeros(values.shape[1], np.float32).tobytes()] * len(found) * (copies - 1)
        place = folder / f"split={split}" / "row_group=0"
        place.mkdir(parents=True)
        table = {
            **{name: images[name][part].tolist() * copies for name in ("sha256", "device_id")},
            "captured_at": images["captured_at"][part].tolist() * copies,
            "label": pa.array([0] * len(found) * copies, pa.int32()),
            "copy": pa.array(np.arange(copies).repeat(len(found)), pa.int32()),
            "features": found + noise,
        }
        pq.write_table(pa.table(table), place / "x.parquet")
        rows[split] = [len(found) * copies]
    mean, deviation = values.mean(axis=0).tolist(), values.std(axis=0).tolist()
    counts = {"test": dict.fromkeys(LABELS, tests // 2 or 30)}
    return Cache(str(folder), LABELS, (1, 1), rows, counts, mean=mean, deviation=deviation)


def _object_and_noise(images: pd.DataFrame, seed: int) -> np.ndarray:
    numbers = images["label"].str[-1].astype(int).to_numpy()
    values = np.random.default_rng(seed).normal(0, 1, (len(images), 20))
    values[:, :5] += 2 * numbers[:, None]
    return values


def test_with_a_small_test_split_all_images_are_cross_validated_by_blocks(tmp_path):
    images = _images(0)
    features = _features(images, _object_and_noise(images, 0), tmp_path, tests=8)
    found = predict_left_out(features, images, LABELS)["block"]
    assert sorted(found.sha256) == sorted(images["sha256"]) and found.correct.mean() > 0.95


def test_what_is_seen_of_the_object_holds_for_groups_that_are_left_out(tmp_path):
    images = _images(0)
    left_out = predict_left_out(
        _features(images, _object_and_noise(images, 0), tmp_path), images, LABELS
    )
    assert {*left_out} == {"day", "hour", "device"}
    for predictions in left_out.values():
        assert len(predictions) == len(images) and predictions.correct.mean() > 0.95
        assert predictions.truth.tolist() == images["label"].tolist()
    found = str(
        expect(left_out["day"].subset(np.arange(len(images)) < 20), images, left_out["day"])
    )
    assert "an unseen day of these 2 cameras" in found
    assert group_below_chance(left_out["day"], left_out) == ""


def test_a_classifier_that_knows_a_label_by_its_light_is_below_chance_in_other_light(tmp_path):
    images = _images(1)
    bright = (images["brightness"] > images["brightness"].median()).to_numpy()
    by_day = images["device"] == "cam0"
    swapped = bright ^ by_day.to_numpy()  # by one device the bright ones are of the other label
    images["label"] = np.where(swapped, *LABELS)
    values = np.repeat(bright[:, None].astype(float), 3, axis=1)
    left_out = predict_left_out(_features(images, values, tmp_path), images, LABELS)
    reason = group_below_chance(left_out["device"], left_out)
    assert reason.startswith("it is right on 0% of the ") and "of device cam" in reason


@pytest.mark.parametrize("kind", ["day", "device"])
def test_a_label_that_only_one_group_has_is_not_predicted_without_it(tmp_path, kind):
    images = _images(2, days=2)
    groups = images[kind].unique()
    images["label"] = np.where(images[kind] == groups[0], *LABELS)
    left_out = predict_left_out(
        _features(images, _object_and_noise(images, 2), tmp_path), images, LABELS
    )
    assert kind not in left_out
