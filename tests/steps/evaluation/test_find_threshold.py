"""Which images choose the threshold of a network."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_cache import write_cache
from small_registry import SELECTION

from steps.evaluation.threshold import Threshold, count_unseen, find_threshold

LABELS = ["a", "b", "c"]
GROUPS = {"train": [30], "validation": [90], "test": [6]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("pixels") / "cache", GROUPS, labels=tuple(LABELS))


def keras_model(predict):
    """Return a Keras model of a function of the images' numbers, ``float32 [N, 1]``."""
    import keras

    pixels = keras.Input((None, None, 3), dtype="uint8")
    numbers = keras.ops.cast(pixels[:, 0, 0, :1], "float32")
    return keras.Model(pixels, keras.layers.Lambda(predict)(numbers))


def doubtful(numbers):
    """Predict a label by the image's number, with the number of hundreds as doubt."""
    from keras import ops

    sure = 0.3 + numbers / 200
    return ops.where(ops.arange(3, dtype="float32") == numbers % 3, sure, (1 - sure) / 2)


@pytest.fixture(scope="module")
def network():
    return keras_model(doubtful)


@pytest.fixture(scope="module")
def features(cache, tmp_path_factory):
    """Features of 120 images that do not test, each with a copy that says nothing."""
    folder, rng = tmp_path_factory.mktemp("features"), np.random.default_rng(0)
    classes, count = np.arange(120) % 3, 120
    values = np.eye(3, 8)[classes] + rng.normal(0, 0.4, (count, 8))
    rows = np.concatenate([values, rng.normal(0, 9, (count, 8))]).astype(np.float32)
    columns = {
        "sha256": [f"{n:064x}" for n in range(count)] * 2,
        "device_id": ["1"] * 2 * count,
        "captured_at": pa.array([None] * 2 * count, pa.timestamp("us", "UTC")),
        "label": pa.array(np.tile(classes, 2), pa.int32()),
        "copy": pa.array(np.repeat([0, 1], count), pa.int32()),
        "features": pa.array([row.tobytes() for row in rows], pa.binary()),
    }
    place = folder / "split=rest" / "row_group=0"
    place.mkdir(parents=True)
    pq.write_table(pa.table(columns), place / "x.parquet")
    mean, deviation = values.mean(axis=0).tolist(), values.std(axis=0).tolist()
    of_rest = {"rest": [2 * count]}
    return replace(cache, url=str(folder), group_rows=of_rest, mean=mean, deviation=deviation)


def test_the_validation_split_chooses_the_threshold_of_a_network_that_is_trained_as_a_whole(
    cache, network
):
    found = find_threshold("b=0.2", network, cache, cache, SELECTION)
    assert (found.label, found.rate, found.images) == ("b", 0.2, 30)
    # of 30 images two may be missed: the third lowest is number 37, the next lower score that of 34
    assert found.misses == 2
    assert found.value == pytest.approx(0.3 + (37 + 34) / 400, abs=1e-6)


def test_all_that_does_not_test_chooses_the_threshold_of_a_frozen_network(cache, features, network):
    found = find_threshold("b=0.1", network, cache, features, SELECTION)
    assert (found.label, found.rate, found.images) == ("b", 0.1, 40)
    assert 0 < found.value < 0.5 and found.misses == 0
    strict = find_threshold("b=0.5", network, cache, features, SELECTION)
    assert found.value < strict.value <= 0.5


def test_without_a_wish_only_two_labels_have_a_threshold(cache, network, tmp_path):
    assert find_threshold("", network, cache, cache, SELECTION) == Threshold()
    two = write_cache(tmp_path / "two", GROUPS)
    found = find_threshold(
        "", keras_model(lambda numbers: doubtful(numbers)[:, :2]), two, two, SELECTION
    )
    assert found.label is None and 0 < found.value < 1


@pytest.mark.parametrize(("share", "value"), [(0.2, 0.2), (1.0, 0.7)])
def test_for_a_risk_the_first_fifth_chooses_between_two_labels(tmp_path, share, value):
    """The first 18 of 90 images would have another threshold than the others."""
    two = write_cache(tmp_path / "two", GROUPS)

    def turning(numbers):
        from keras import ops

        second = ops.where(numbers < 48, 0.2, 0.7) + ops.where(numbers % 2 == 1, 0.1, -0.1)
        return ops.concatenate([1 - second, second], axis=1)

    found = find_threshold("", keras_model(turning), two, two, SELECTION, share)
    assert found.value == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(("is_frozen", "each"), [(False, 30), (True, 40)])
def test_images_of_a_frozen_network_are_unseen_though_they_train(cache, is_frozen, each):
    counted = replace(cache, labels=[*LABELS, "d"])
    assert count_unseen(counted, is_frozen) == dict.fromkeys(LABELS, each) | {"d": 0}
