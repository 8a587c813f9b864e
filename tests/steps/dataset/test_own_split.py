"""Sets of images that bring a split of their own, as one table of cases."""

import hashlib
from collections import Counter

import pandas as pd
import pytest

from steps.dataset.cache_plan import plan_cache
from steps.dataset.own_split import describe_own_split, own_splits, source_with_test
from steps.errors import UserError
from steps.pipeline.outputs import Selection

SOURCE = "file:/zone"
USUAL = {"train", "validation", "test"}


def _selection(**changed: str) -> Selection:
    minutes = {"block_minutes": 60, "guard_minutes": 6, "split_seed": 0, "input_size": (32, 32)}
    return Selection(table="file:/lake/images", version=1, source=SOURCE, **minutes, **changed)


def _images(splits: dict[tuple[str, str | None], int], labels=("ants", "bees")) -> pd.DataFrame:
    """Images by folder and column ``split``, so many of each label; no time is known."""
    rows = [
        {"path": f"{SOURCE}/{folder}/{label}/{number}.jpg".replace("//", "/"), "label": label,
         "split": split, "captured_at": pd.NaT, "device_id": None}
        for (folder, split), count in splits.items()
        for label in labels
        for number in range(count)
    ]  # fmt: skip
    rows = [row | {"sha256": hashlib.sha256(row["path"].encode()).hexdigest()} for row in rows]
    return pd.DataFrame(rows).astype({"split": object, "device_id": object})


def _planned(images: pd.DataFrame, **changed: str) -> pd.DataFrame:
    selection = _selection(**changed)
    return plan_cache(images.assign(own=own_splits(images, selection)), selection)[0]


def _where(rows: pd.DataFrame) -> dict[str, set[str]]:
    """The splits in which the images of each first folder are."""
    folders = rows["path"].str.split("/").str[2]
    return {folder: set(rows["split"][folders == folder]) for folder in folders.unique()}


@pytest.mark.parametrize(
    ("splits", "given", "expected"),
    [
        # all three
        (
            {("train", "train"): 20, ("val", "validation"): 9, ("test", "test"): 9},
            {},
            {"train": {"train"}, "val": {"validation"}, "test": {"test"}},
        ),
        # without one, it is taken from train
        (
            {("train", "train"): 60, ("test", "test"): 9},
            {},
            {"train": {"train", "validation"}, "test": {"test"}},
        ),
        (
            {("train", "train"): 60, ("val", "validation"): 9},
            {},
            {"train": {"train", "test"}, "val": {"validation"}},
        ),
        ({("train", "train"): 60}, {}, {"train": USUAL}),
        # images that came later, without a split
        (
            {("new", None): 20, ("val", "validation"): 9, ("test", "test"): 9},
            {},
            {"new": {"train"}, "val": {"validation"}, "test": {"test"}},
        ),
        # a column says it, by other words and letters
        (
            {("a", "Train"): 20, ("b", "VAL"): 9, ("c", " Testing"): 9},
            {},
            {"a": {"train"}, "b": {"validation"}, "c": {"test"}},
        ),
        ({("a", "fold 1"): 60, ("b", "fold 2"): 60}, {}, {"a": USUAL, "b": USUAL}),
        # the test set has another name: in the column, or by its folder
        (
            {("a", "fold 1"): 60, ("b", "fold 2"): 9},
            {"test": "fold 2"},
            {"a": {"train", "validation"}, "b": {"test"}},
        ),
        (
            {("train", None): 60, ("hold out", None): 9},
            {"test": "hold out"},
            {"train": {"train", "validation"}, "hold out": {"test"}},
        ),
        (
            {("train", "train"): 60, ("val", "validation"): 9},
            {"test": "validation"},
            {"train": {"train", "validation"}, "val": {"test"}},
        ),
        (
            {("train", "train"): 60, ("test", "test"): 60, ("final", None): 9},
            {"test": "final"},
            {"train": {"train", "validation"}, "final": {"test"}},
        ),
        ({("a", None): 60}, {}, {"a": USUAL}),
    ],
)
def test_a_set_keeps_the_split_that_it_brings(splits, given, expected):
    assert _where(_planned(_images(splits), **given)) == expected


def test_a_missing_split_is_as_large_as_usual():
    rows = _planned(_images({("train", "train"): 500, ("test", "test"): 20}))
    counts = Counter(rows["split"][rows["path"].str.contains("/train/")])
    assert 0.15 < counts["validation"] / counts.total() < 0.25


def test_a_folder_that_is_the_test_set_is_no_class():
    images = _images({("a", None): 60, ("hold out", None): 9})
    flat = images["path"].str.contains("hold out") & images.index % 3
    images["label"] = images["label"].mask(flat == 1, "hold out")
    assert set(_planned(images, test="hold out")["label"]) == {"ants", "bees"}


def test_equal_bytes_in_two_splits_count_once():
    images = _images({("train", "train"): 20, ("val", "validation"): 9, ("test", "test"): 9})
    images.loc[images["split"] == "test", "sha256"] = images["sha256"][:18].to_numpy()
    rows = _planned(images)
    assert rows["sha256"].is_unique and set(rows["split"]) == USUAL


@pytest.mark.parametrize(
    ("splits", "given", "says"),
    [
        ({("a", "fold 1"): 20}, {"test": "fold 2"}, "called fold 2, only in fold 1; pass -P test="),
        ({("a", None): 20}, {"test": "b"}, "called b, only in none; pass -P test="),
    ],
)
def test_a_test_set_that_does_not_exist_is_an_error(splits, given, says):
    with pytest.raises(UserError, match=says):
        _planned(_images(splits), **given)


def test_a_class_that_an_own_split_lacks_is_an_error():
    images = _images({("train", "train"): 60, ("val", "validation"): 9})
    images = pd.concat([images, _images({("test", "test"): 9}, ("ants",))])
    with pytest.raises(UserError, match="the set's own test split has no image labelled bees"):
        _planned(images)


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ([], "Whole blocks of time"),
        (["train"], "Whole blocks of time"),
        (["test", "validation"], "splits are the set's own"),
        (
            ["train", "validation"],
            "validation split is the set's own; test is taken from",
        ),
    ],
)
def test_where_the_splits_are_from_is_said(own, says):
    assert says in describe_own_split(own)


@pytest.mark.parametrize(
    ("source", "test", "expected"),
    [
        ("set/train", "", ("set/train", "")),
        ("set", "holdout", ("set", "holdout")),
        ("set/train", "set/holdout", ("set", "holdout")),
        ("set/train/", "./set/holdout/", ("set", "holdout")),
        ("set", "set/holdout", ("set", "holdout")),
        ("s3://bucket/set/train", "a/b", ("s3://bucket/set/train", "a/b")),
    ],
)
def test_a_test_set_beside_the_source_is_read_with_it(
    tmp_path, monkeypatch, source, test, expected
):
    for folder in ("train/ants", "holdout/ants", "validation/ants"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    place, name = source_with_test(source, test)
    assert (str(place).removeprefix(f"{tmp_path}/"), name) == expected


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("set/nowhere", "set/nowhere is not a folder in or beside set/train"),
        ("elsewhere/holdout", "is not a folder in or beside"),
        ("set/train", "is not a folder in or beside"),
        ("set/holdout", "has other folders than train and holdout, such as private"),
    ],
)
def test_no_other_folders_are_read_with_a_test_set(tmp_path, monkeypatch, test, reason):
    for folder in ("set/train", "set/holdout", "set/private", "elsewhere/holdout"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=reason):
        source_with_test("set/train", test)


def test_another_test_set_leaves_the_own_one_out():
    images = _images({("train", "train"): 60, ("val", "validation"): 9, ("test", "test"): 9})
    assert _where(_planned(images, test="val")) == {
        "train": {"train", "validation"},
        "val": {"test"},
    }
