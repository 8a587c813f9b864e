"""The real backbone in its own process, and what the page makes of its features."""

import time
import uuid

import numpy as np
import pytest
from drawing import encoded
from PIL import Image

from benchmarks.made_lake import frame_name, make_lake
from steps.labelling.image_features import RECORD, ImageFeatures
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.order import ORDERS, Filters, next_images
from steps.labelling.proposals import Proposals
from steps.labelling.sitting import Press, Sitting

pytestmark = pytest.mark.slow
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


def test_features_are_kept_and_give_proposals_and_orders(sitting):
    images = sitting.state.images
    asked = Filters(order="typical")
    assert len(next_images(sitting, ORDERS["typical"][1](sitting), asked)["images"]) == IMAGES
    compute(sitting)
    numbers, values = sitting.features.read(images)
    assert list(numbers) == list(range(IMAGES)) and values.shape == (IMAGES, 1904)
    assert 0.5 < (values**2).sum(axis=1).mean() < 1.5

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
