"""What folders say of an image, as one table of cases."""

import pytest

from steps.ingestion.folders import (
    describe_folders,
    folder_of,
    folders_below,
    have_splits,
    normalize_split,
    parse_folders,
)

CLASSES = {
    "": None,
    "ants": "ants",
    "insects/ants": "ants",
    "Tu\u0308r": "Tür",
    " shoes, red": "shoes, red",
    "R&D": "R&D",
    "👟": "👟",
    "x" * 200: "x" * 200,
    # dates are no classes
    "2026": None,
    "ants/2026": "ants",
    "2026/ants": "ants",
    "2026-07": None,
    "2026-07-13": None,
    "2026_07_13": None,
    "20260713": None,
    "2026/07/13": None,
    "2026/07/13/ants": "ants",
    "13.07.2026": None,
    "13-7-2026": None,
    "July 2026": None,
    "13 Jul 2026": None,
    "20260713_030454": None,
    "2026-07-13T03:04:54": None,
    "2026-07-13T03%3A04%3A54": None,
    # nor are folders that devices make
    "DCIM": None,
    "DCIM/100CANON": None,
    "ants/DCIM/100APPLE": "ants",
    "DCIM/Camera": None,
    "dcim/100canon": None,
    "101_PANA": None,
    "202607_a": None,
    "again-0123456789ab": None,
    "again-0123456789ab/ants": "ants",
    # these only look like it
    "0": "0",
    "1": "1",
    "07": "07",
    "100": "100",
    "12345": "12345",
    "201399": "201399",
    "2026-07-13/1": "1",
    "2026/1": "1",
    "may": "may",
    "mayfly": "mayfly",
    "2026 ants": "2026 ants",
    "1999_cars": "1999_cars",
    "100meter": "100meter",
    "v1.2": "v1.2",
}

SPLITS = {
    "train/ants": ("ants", "train"),
    "val/ants": ("ants", "validation"),
    "valid/ants": ("ants", "validation"),
    "Validation/ants": ("ants", "validation"),
    "TEST/ants": ("ants", "test"),
    "train": (None, "train"),
    "test": (None, "test"),
    "photos/train/ants": ("ants", "train"),
    "ants/test": ("ants", "test"),
    "train/train": ("train", "train"),
    "2026/test/ants/07": ("07", "test"),
    "test/2026-07-13/ants": ("ants", "test"),
    "ants": ("ants", None),
    "": (None, None),
}


@pytest.mark.parametrize("has_splits", [False, True])
@pytest.mark.parametrize(("below", "label"), CLASSES.items())
def test_the_class_is_the_innermost_folder_that_can_be_one(below, label, has_splits):
    assert parse_folders(below, has_splits) == (label, None)


@pytest.mark.parametrize(("below", "expected"), SPLITS.items())
def test_a_split_is_above_or_below_the_class(below, expected):
    assert parse_folders(below, True) == expected


@pytest.mark.parametrize(
    ("folders", "has"),
    [
        ({"train/a", "val/a"}, True),
        ({"train/a", "TEST/a"}, True),
        ({"a/train", "a/test"}, True),
        ({"train/a", "train/b"}, False),  # all of it trains, as without the folder
        ({"train", "car", "bus"}, False),  # a train is a vehicle
        ({"latest", "protest"}, False),
        (set(), False),
    ],
)
def test_a_set_brings_a_split_if_something_is_held_out(folders, has):
    assert have_splits(folders) is has


@pytest.mark.parametrize(
    ("text", "split"),
    [("Val", "validation"), ("testing", "test"), (" train ", "train"), ("fold 1", "fold 1"),
     ("", None), (None, None)],
)  # fmt: skip
def test_the_usual_names_of_a_split_are_one(text, split):
    assert normalize_split(text) == split


@pytest.mark.parametrize("source", ["file:/zone", "file:/zone/", "s3a://bucket/zone"])
def test_the_folders_of_a_landing_zone(source):
    place = source.rstrip("/")
    paths = [f"{place}/{name}" for name in ("1.jpg", "a/1.jpg", "a/2.jpg", "b/c d/1.jpg")]
    assert folders_below(paths, source) == {"", "a", "b/c d"}
    assert folder_of(paths[-1], source) == "b/c d"


@pytest.mark.parametrize(
    ("folders", "notes"),
    [
        ({"ants", "bees"}, []),
        ({"train/ants", "val/ants", "train/bees"}, []),
        ({"2025/ants", "2026/ants", ""}, ["2025, 2026: dates, not classes"]),
        ({"DCIM/100CANON"}, ["DCIM/100CANON: folders of a device, not classes"]),
        (
            {"cat/home", "dog/home", "cat/garden"},
            ["home is one class, from cat, dog"],
        ),
        ({"animals", "animals/ants"}, ["animals is a class, and so is ants in it"]),
    ],
)
def test_what_may_be_meant_otherwise_is_said(folders, notes):
    assert describe_folders(folders, have_splits(folders)) == notes
