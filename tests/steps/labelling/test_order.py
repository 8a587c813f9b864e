"""Which images come next: the filters, and the orders with their reasons."""

import uuid
from datetime import UTC, datetime

import pytest

from benchmarks.made_lake import write_table
from steps.ingestion.tables import SCORES
from steps.labelling.order import ORDERS, SCORED, Filters, next_images
from steps.labelling.sitting import Press


def numbers(sitting, **filters) -> list[int]:
    asked = Filters(**filters)
    found = next_images(sitting, ORDERS[asked.order][1](sitting), asked)
    return [sitting.state.images.find(image["sha256"]) for image in found["images"]]


@pytest.fixture
def labelled(sit):
    """The first two images are 1 by ann, the third is 0 by bob, the fourth is not sure."""
    for who, labels in (("ann", ["1", "1", None, None]), ("bob", [None, None, "0", None])):
        sitting = sit(who)
        hashes = [name.decode() for name in sitting.state.images.sha256]
        given = [
            Press(uuid.uuid4().hex, *pair, "key", uuid.uuid4().hex)
            for pair in zip(hashes, labels, strict=False)
            if pair[1]
        ]
        sitting.label(given)
    sitting.label([Press(uuid.uuid4().hex, hashes[3], None, "not sure", "a" * 32)])
    return sitting


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, range(4, 40)),
        ({"show": "all"}, range(40)),
        ({"show": "labelled"}, [0, 1, 2]),
        ({"show": "unsure"}, [3]),
        ({"show": "disagreement"}, []),
        ({"show": "all", "label": "1"}, [0, 1]),
        ({"show": "all", "label": "other"}, []),
        ({"show": "all", "labeller": "bob"}, [2, 3]),
        ({"device": "porch", "count": 2}, [4, 5]),
        ({"device": "none"}, []),
        ({"show": "all", "day": "2026-07-14"}, range(12, 24)),
        ({"day": "2027-01-01"}, []),
        ({"start": 38}, [38, 39]),
        ({"darkest": 300}, []),
    ],
)
def test_filters(labelled, filters, expected):
    assert numbers(labelled, **filters) == list(expected)


def test_brightness_parts_the_images(sitting):
    dark, bright = numbers(sitting, brightest=127.9), numbers(sitting, darkest=127.9)
    assert dark and bright and sorted(dark + bright) == list(range(40))
    assert max(sitting.state.images.brightness[dark]) < min(sitting.state.images.brightness[bright])


def test_pages_follow_each_other_while_images_are_labelled(sitting):
    order, seen, start = ORDERS["control"][1](sitting), [], 0
    while start is not None:
        page = next_images(sitting, order, Filters(order="control", start=start, count=7))
        seen += [image["sha256"] for image in page["images"]]
        sitting.label([Press(uuid.uuid4().hex, seen[-1], "1", "key", seen[-1])])
        start = page["next"]
    assert len(seen) == len(set(seen)) == 40 and seen != sorted(seen, key=sitting.state.images.find)


def test_the_images_come_first_that_the_newest_score_was_least_sure_of(sitting, made):
    hashes = [name.decode() for name in sitting.state.images.sha256]
    scores = [
        (5, datetime(2026, 7, 20, tzinfo=UTC), {"0": 0.9, "1": 0.1}),
        (7, datetime(2026, 7, 20, tzinfo=UTC), {"0": 0.45, "1": 0.55}),
        (9, datetime(2026, 7, 20, tzinfo=UTC), {"0": 0.5, "1": 0.5}),
        (9, datetime(2026, 7, 21, tzinfo=UTC), {"0": 0.02, "1": 0.98}),  # by a later model
    ]
    rows = [
        {"sha256": hashes[number], "model": "package", "model_version": "2", "label": "1"}
        | {"scored_at": at, "probabilities": [*shares.items()]}
        for number, at, shares in scores
    ]
    write_table(SCORES, made[0], rows, SCORED)
    assert numbers(sitting, order="uncertain", count=4) == [7, 5, 9, 0]
    found = next_images(sitting, ORDERS["uncertain"][1](sitting), Filters(count=40))["images"]
    assert found[0]["reason"] == "package 2: 1 55% or 0 45%" and found[3]["reason"] is None
