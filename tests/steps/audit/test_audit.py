"""The audit of networks that follow the object, or what was planted beside it."""

import numpy as np
import pytest
import small_registry
from small_cache import write_cache

from edge.inference.region import Region
from steps.audit import audit as audit_module
from steps.audit.audit import audit_network, examine_images
from steps.dataset.split import TEST
from steps.evaluation.predictions import predict_split
from steps.pipeline.outputs import Selection

SIZE = (10, 10)
GROUPS = {"train": [180], "validation": [60], "test": [600]}  # the test split has ten hours
EXCEPTIONS = 8
"""Of so many images one has the corner of the other label."""


def _draw(number: int, size: tuple[int, int], classes: int) -> tuple[np.ndarray, int]:
    """Grey with a bright object in the middle for class 1, and a corner that mostly says so."""
    rng = np.random.default_rng(number)
    pixels = np.full((*size, 3), rng.integers(60, 140), np.uint8)
    label = int(rng.integers(classes))
    corner = label if rng.integers(EXCEPTIONS) else 1 - label
    pixels[4:6, 4:6] = 50 + 180 * label
    pixels[0, 0] = 40 + 160 * corner
    return pixels, label


def _looks_at(place: tuple):
    def predict(pixels: np.ndarray) -> np.ndarray:
        bright = (pixels[:, *place].reshape(len(pixels), -1).mean(axis=1) / 255).astype(np.float32)
        return np.stack([1 - bright, bright], axis=1)

    return predict


SELECTION = small_registry.SELECTION.model_copy(update={"input_size": SIZE})
OBJECT, CORNER = (slice(4, 6), slice(4, 6)), (0, 0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("audit"), GROUPS, SIZE, draw=_draw)


def _audit(cache, place: tuple, selection: Selection = SELECTION):
    predict = _looks_at(place)
    test = predict_split({"it": predict}, cache, TEST)["it"]
    return audit_network(predict, cache, selection, test, examine_images(cache))


def test_a_network_that_sees_the_object_is_released_with_a_remark(cache):
    audit = _audit(cache, OBJECT)
    assert [cue.kind for cue in audit.cues if cue.is_shortcut] == ["corner pixels"]
    followed = audit.followed["corner pixels"]
    assert followed.images > 50 and followed.followed == 0
    assert audit.shortcut == "" and audit.surroundings == ""
    assert audit.line == (
        "expected to be right on 100 % (99–100) of images from other hours of the same days; "
        "unknown for another day, because all images are from one day"
    )


def test_a_network_that_follows_the_corner_says_so(cache):
    audit = _audit(cache, CORNER)
    assert audit.shortcut.startswith(
        "it follows the corner pixels where corner pixels and label disagree (in "
    )
    assert audit.line.endswith(audit.shortcut) and "right on 8" in audit.line
    assert audit.surroundings.startswith("The answer depends on the surroundings")
    assert audit.surroundings.endswith("-P region=x,y,width,height")  # no answer needs the middle
    assert len(audit.maps) == 16


@pytest.mark.parametrize(
    ("resizing", "regions", "seen"),
    [
        ("squash", {}, (0, 0, 1, 1)),
        ("squash", {"": Region(0.2, 0.4, 0.4, 0.6)}, (0.2, 0.4, 0.4, 0.6)),
        ("crop", {"7": Region(0.2, 0.4, 0.4, 0.6)}, (0.125, 0, 0.75, 1)),
        ("crop", {"": Region(0, 0.5, 1, 0.5)}, (0.3125, 0.5, 0.375, 0.5)),
    ],
)
def test_what_the_network_sees_is_a_part_of_the_image(cache, monkeypatch, resizing, regions, seen):
    describe = audit_module.describe_images
    shape = {"width": 640, "height": 480}
    monkeypatch.setattr(
        audit_module, "describe_images", lambda cache: describe(cache).assign(**shape)
    )
    changed = {"resizing": resizing, "regions": regions}
    audit = _audit(cache, OBJECT, SELECTION.model_copy(update=changed))
    assert audit.seen == pytest.approx(seen)
