"""The real backbone in its own process, and what the page makes of its features."""

import time
import uuid
from queue import SimpleQueue

import numpy as np
import pytest
from drawing import encoded
from PIL import Image

from benchmarks.made_lake import frame_name, make_lake
from steps.labelling.describing import BATCH, RECORD, WIDTH, _next_batch, in_order
from steps.labelling.image_features import ImageFeatures
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.order import ORDERS, Filters, next_images
from steps.labelling.proposals import Proposals
from steps.labelling.similarity import project
from steps.labelling.sitting import Press, Sitting

IMAGES = 24


def disc_or_square(number: int) -> bytes:
    """An image with a square if its number is odd, else with a disc."""
    y, x = np.mgrid[:96, :96] - 48
    side = 24 + number % 7
    inside = np.maximum(abs(x), abs(y)) < side if number % 2 else x**2 + y**2 < side**2
    pixels = np.where(inside[..., None], (200, 60, 40), (30 + number, 90, 120)).astype(np.uint8)
    return encoded(Image.fromarray(pixels))


@pytest.fixture
def sitting(tmp_path):
    frames = [(frame_name(number), disc_or_square(number)) for number in range(IMAGES)]
    profile, source = make_lake(tmp_path, frames)
    journal = Journal(journal_folder(profile))
    yield Sitting(profile, source, journal, "ann")
    journal.close()


def compute(sitting, count: int = IMAGES) -> None:
    features = ImageFeatures(sitting.profile, sitting.source)
    features.start()
    until = time.monotonic() + 300
    while features.count() < count and time.monotonic() < until:
        time.sleep(0.1)
    features.stop()


@pytest.mark.slow
def test_features_are_kept_and_give_proposals_and_orders(sitting):
    images = sitting.state.images
    asked = Filters(order="typical")
    assert len(next_images(sitting, ORDERS["typical"][1](sitting), asked)["images"]) == IMAGES
    compute(sitting)
    numbers, points = sitting.features.read(images)
    assert list(numbers) == list(range(IMAGES)) and points.shape == (IMAGES, 64)
    numbers, values = sitting.features.values(images, np.array([5, 2]))
    assert list(numbers) == [5, 2] and values.shape == (2, 1904)
    for found in (points, values):
        assert 0.5 < (found**2).sum(axis=1).mean() < 1.5

    proposals = Proposals(sitting, sitting.features)
    hashes = [name.decode() for name in images.sha256]
    assert proposals.of(hashes)["labels"] == {}
    for number in range(8):
        label = "square" if number % 2 else "disc"
        sitting.label([Press(uuid.uuid4().hex, hashes[number], label, "key", hashes[number])])
    found = proposals.of(hashes)
    assert found["model"] == "efficientnet_lite0, 8 labels"
    right = [
        found["labels"][hashes[n]][0] == ("square" if n % 2 else "disc") for n in range(8, IMAGES)
    ]
    assert sum(right) >= 14
    for order in ("typical", "new"):
        asked = Filters(order=order, show="all")
        shown = next_images(sitting, ORDERS[order][1](sitting), asked)["images"]
        assert {one["sha256"] for one in shown} == set(hashes)
        assert shown[0]["reason"]

    size = sitting.features.file.stat().st_size
    with sitting.features.file.open("ab") as file:
        file.write(b"a record that was being written")
    compute(sitting)  # as the next sitting does: all is there
    assert sitting.features.count() == IMAGES == size // RECORD.itemsize


def test_the_newest_labelled_images_get_features_first_then_those_without(sitting, monkeypatch):
    monkeypatch.setattr("steps.labelling.describing.NEWEST", 2)
    images = sitting.state.images
    order = in_order(images, images.sha256[[3, 9, 11]]).tolist()
    assert order == [11, 9, *(n for n in reversed(range(IMAGES)) if n not in (3, 9, 11)), 3]
    missing, wanted = dict.fromkeys(order), SimpleQueue()
    wanted.put([images.sha256[n].decode() for n in (3, 20)] + ["unknown"])
    assert _next_batch(missing, images, wanted) == [3, 20]  # which the page shows
    assert _next_batch(missing, images, wanted) == [n for n in order if n != 20][:BATCH]


def test_features_are_projected_as_they_come_and_standardised_again_at_twice_as_many(
    sitting, monkeypatch
):
    monkeypatch.setattr("steps.labelling.image_features.SETTLED", 4)
    monkeypatch.setattr("steps.labelling.image_features.CHUNK", 3)
    images, features = sitting.state.images, sitting.features
    records = np.empty(IMAGES, RECORD)
    records["sha256"] = images.sha256[::-1]
    records["values"] = np.random.default_rng(0).standard_normal((IMAGES, WIDTH)) * 3 + 1
    features.file.parent.mkdir(parents=True)
    for count, measured in ((2, 2), (5, 5), (9, 5), (10, 10), (IMAGES, IMAGES)):
        features.file.write_bytes(records[:count].tobytes() + b"a record that is being written")
        numbers, points = features.read(images)
        assert features._standard.records == measured
        assert list(numbers) == list(range(IMAGES - count, IMAGES)) and len(points) == count
        _, values = features.values(images, numbers)
        assert np.allclose(project(values), points, atol=1e-4)
    assert np.allclose(values.mean(axis=0), 0, atol=1e-3)
    assert np.allclose((values**2).sum(axis=1).mean(), 1, atol=1e-2)
