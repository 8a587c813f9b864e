"""Which images come next: the filters, and the orders with their reasons."""

import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from drawing import drawn

from benchmarks.made_lake import MADE_AT, make_lake, write_table
from edge.cameras.camera import Frame
from edge.cameras.jpeg import encode_jpeg
from edge.outbox.moment import Moment
from edge.outbox.queue import Queue
from edge.outbox.reason import Reason
from edge.outbox.store import Store
from edge.protocol.landing_names import image_name
from steps.ingestion.tables import SCORES
from steps.labelling.describing import RECORD, WIDTH
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.order import ORDERS, Filters, next_images
from steps.labelling.reasons import SCORED
from steps.labelling.sitting import Press, Sitting


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


def test_what_a_device_kept_comes_first_by_its_reason(tmp_path):
    """The images are those that a device's own queue made."""
    queue = Queue(Store(tmp_path / "store"), 10**9, 0, "a7", "front")
    why = [Reason.PERIOD, None, Reason.MOTION, Reason.UNCERTAIN, None, Reason.MOTION]
    frames = []
    for number, reason in enumerate(why):
        at = MADE_AT + timedelta(minutes=number)
        frame = Frame(np.asarray(drawn(number)), at)
        name, content = image_name(at, "a7", "front", None), encode_jpeg(frame, "imx708")
        if reason:
            queue.keep(frame, "imx708", reason, Moment(at, 0, "boot", True))
            content = queue.path(kept := queue.next()).read_bytes()
            queue.mark_sent(kept, kept.name)
        frames.append((name, content))
    profile, zone = make_lake(tmp_path, frames)
    with closing(Journal(journal_folder(profile))) as journal:
        sitting = Sitting(profile, zone, journal, "ann")
        assert numbers(sitting, order="device") == [5, 2, 3, 0, 1, 4]
        found = next_images(sitting, ORDERS["device"][1](sitting), Filters(order="device"))
    reasons = [image["reason"] for image in found["images"]]
    assert reasons[1:4] == [
        "a7 kept it: something moved",
        "a7 kept it: its model was unsure",
        "a7 kept it: one of a fixed period",
    ]
    assert reasons[4:] == [None, None]


def test_labels_come_first_that_the_images_of_other_hours_contradict(sitting, made):
    """Two kinds of images, of which two have the label of the other kind."""
    images, rng = sitting.state.images, np.random.default_rng(0)
    assert numbers(sitting, order="disagreement") == []  # there are no features, and no labels
    kinds = np.arange(len(images)) % 2
    records = np.empty(len(images), RECORD)
    records["sha256"] = images.sha256
    records["values"] = rng.standard_normal((len(images), WIDTH)) + 0.3 * kinds[:, None]
    sitting.features.file.parent.mkdir(parents=True)
    sitting.features.file.write_bytes(records.tobytes())
    hashes = [name.decode() for name in images.sha256]
    for number in (0, 1):  # too few to say anything
        sitting.label([Press(f"{number}" * 32, hashes[number], f"{number}", "key", "a" * 32)])
        assert numbers(sitting, order="disagreement") == list(range(number + 1))
    labels = kinds[:30].copy()
    labels[[4, 21]] ^= 1
    sitting.label(
        [
            Press(sha[:32], sha, f"{label}", "key", sha)
            for sha, label in zip(hashes, labels, strict=False)
        ]
    )
    order = ORDERS["disagreement"][1](sitting)
    assert {*order.numbers[:2].tolist()} == {4, 21} == {*order.reasons}
    assert order.reasons[4].startswith("labelled 1; by the images of other hours, 0 ")
    shown = numbers(sitting, order="disagreement")
    assert {*shown[:2]} == {4, 21} and sorted(shown) == list(range(30))
