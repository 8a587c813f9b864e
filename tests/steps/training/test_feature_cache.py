"""The features of a frozen network in a cache of their own, filled by Spark."""

import shutil
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_cache import bright_or_not, write_cache

from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_row_groups
from steps.settings.profile import Profile
from steps.training.feature_cache import COPIES, REST, _moments, find_or_describe, read_features
from steps.training.networks import build_backbone
from steps.training.plan import Plan

pytestmark = pytest.mark.slow

PLAN = Plan(network="efficientnet_lite0")
SIZE = (32, 32)
GROUPS = {"train": [5] * 3, "validation": [3] * 2, "test": [2]}


@dataclass(frozen=True)
class Described:
    spark: Callable
    profile: Profile
    pixels: Cache
    features: Cache


@pytest.fixture(scope="module")
def described(lake, tmp_path_factory) -> Described:
    home: Path = tmp_path_factory.mktemp("caches")
    profile = lake.fresh(home)
    folder = Path(profile.cache) / "0123456789abcdef" / ("0" * 32)
    folder.mkdir(parents=True)
    pixels = write_cache(folder, GROUPS, SIZE, draw=bright_or_not)

    @contextmanager
    def spark():
        yield lake.spark

    return Described(spark, profile, pixels, find_or_describe(PLAN, pixels, profile, spark))


def _rows(cache: Cache, split: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the network reads of each row group, and its classes."""
    groups = list(read_row_groups(cache, split, [cache.column, "label"]))
    return [cache.stack(getattr(g, cache.column)) for g in groups], [g.label for g in groups]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_each_image_is_described_by_its_features(described, split):
    backbone = build_backbone(PLAN, SIZE)
    pixels, classes = _rows(described.pixels, split)
    features, of_features = _rows(described.features, split)
    for image, label, found, found_label in zip(
        pixels, classes, features, of_features, strict=True
    ):
        expected = np.asarray(backbone(image, training=False))
        np.testing.assert_allclose(found[: len(image)], expected, atol=1e-4)
        copies = 1 + COPIES if split == "train" else 1
        np.testing.assert_array_equal(found_label, np.tile(label, copies))
        # the copies are of the same images in another light
        for copy in np.split(found, copies)[1:]:
            differences = np.abs(copy - expected).mean(axis=1)
            assert (differences > 0.01).all()
    assert sum(map(len, features)) == described.features.rows(split)


def test_the_statistics_are_those_of_the_training_split(described):
    values = np.concatenate(_rows(described.features, "train")[0])
    np.testing.assert_allclose(described.features.mean, values.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(described.features.deviation, values.std(axis=0), atol=1e-5)


def test_the_statistics_hold_one_row_group_in_memory():
    values = np.random.default_rng(0).normal(100, 3, (700, 5)).astype(np.float32)
    held = []

    class Group(SimpleNamespace):
        """Which a weak reference can follow."""

    def groups():
        for part in np.split(values, [1, 300, 301]):
            assert not any(one() for one in held[:-1]), "an earlier row group is still in memory"
            group = Group(features=[row.tobytes() for row in part])
            held.append(weakref.ref(group))
            yield group
            del group

    mean, deviation = _moments(groups())
    assert len(held) == 4
    np.testing.assert_allclose(mean, values.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(deviation, values.std(axis=0, dtype=np.float64), rtol=1e-10)


def test_features_are_computed_once(described):
    def no_spark():
        raise AssertionError("Spark was asked for")

    again = find_or_describe(PLAN, described.pixels, described.profile, no_spark)
    assert again == described.features
    compact = find_or_describe(Plan(), described.pixels, described.profile, no_spark)
    assert compact is described.pixels
    for other in (Plan(network=PLAN.network, augmentation=0.5), Plan(PLAN.network, augmentation=0)):
        with pytest.raises(AssertionError, match="Spark"):
            find_or_describe(other, described.pixels, described.profile, no_spark)


def test_the_same_images_have_the_same_features_wherever_they_are(described, lake, tmp_path):
    profile = lake.fresh(tmp_path)
    again = find_or_describe(PLAN, described.pixels, profile, described.spark)
    assert again.url != described.features.url
    for one, other in zip(
        _rows(again, "train")[0], _rows(described.features, "train")[0], strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_features_that_are_known_are_not_computed_again(described, lake, tmp_path):
    """The rows are the same to the bit; and where the known ones are others, those are taken."""
    profile = lake.fresh(tmp_path)
    plain = find_or_describe(
        replace(PLAN, augmentation=0), described.pixels, profile, described.spark
    )
    again = find_or_describe(PLAN, described.pixels, profile, described.spark)
    assert (again.mean, again.deviation) == (described.features.mean, described.features.deviation)
    for split in again.group_rows:
        for one, other in zip(
            _rows(again, split)[0], _rows(described.features, split)[0], strict=True
        ):
            np.testing.assert_array_equal(one, other)
    elsewhere = lake.fresh(tmp_path / "other").model_copy(update={"cache": f"{tmp_path}/other"})
    shutil.copytree(Path(plain.url).parent, f"{elsewhere.cache}/{Path(plain.url).parent.name}")
    manifest = Path(f"{elsewhere.cache}/{Path(plain.url).parent.name}/manifest.json")
    manifest.write_text(manifest.read_text().replace(str(profile.cache), str(elsewhere.cache)))
    for file in Path(elsewhere.cache).rglob("*.parquet"):
        rows = pq.ParquetFile(file).read()
        zeros = pa.array([bytes(len(one)) for one in rows["features"].to_pylist()], pa.binary())
        place = rows.schema.get_field_index("features")
        pq.write_table(rows.set_column(place, "features", zeros), file)
    marked = find_or_describe(PLAN, described.pixels, elsewhere, described.spark)
    for group in _rows(marked, "train")[0]:
        own, copies = np.split(group, [len(group) // (1 + COPIES)])
        assert not own.any() and copies.any(axis=1).all()


def test_without_augmentation_there_are_no_copies(described, lake, tmp_path):
    plan = Plan(network=PLAN.network, augmentation=0)
    plain = find_or_describe(plan, described.pixels, lake.fresh(tmp_path), described.spark)
    assert plain.rows("train") == described.pixels.rows("train")
    assert plain.rows("validation") == described.features.rows("validation")


def test_the_rest_is_what_trains_and_validates(described):
    features = read_features(described.features, REST)
    both = [_rows(described.features, split) for split in ("train", "validation")]
    expected = np.concatenate(
        [group[: len(group) // (1 + COPIES)] for group in both[0][0]] + both[1][0]
    )
    found = {row.tobytes() for row in features.values}
    assert found == {row.tobytes() for row in expected} and len(features.classes) == len(expected)
    assert described.features.rows(REST) == (1 + COPIES) * len(expected)
    assert sum(described.features.counts[REST].values()) == len(expected)
    assert len({sha256 for _, _, sha256 in features.captures}) == len(expected)


def test_the_test_split_is_described_if_it_is_small(described, lake, tmp_path):
    """Of two images; then they take part in cross-validation, and never in a fit."""
    features = read_features(described.features, "test")
    pixels, _ = _rows(described.pixels, "test")
    expected = np.asarray(build_backbone(PLAN, SIZE)(np.concatenate(pixels), training=False))
    np.testing.assert_allclose(
        np.sort(features.values, axis=0), np.sort(expected, axis=0), atol=1e-4
    )
    rest = {sha256 for _, _, sha256 in read_features(described.features, REST).captures}
    assert not rest & {sha256 for _, _, sha256 in features.captures}
    counts = described.pixels.counts | {"test": {"a": 30, "b": 30}}
    large = replace(described.pixels, counts=counts)
    found = find_or_describe(PLAN, large, lake.fresh(tmp_path), described.spark)
    assert "test" not in found.group_rows
