"""The audit of a trained network: its cues, what it follows, what to expect of it."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd

from edge.inference.prepare import find_box
from edge.inference.region import OTHER_DEVICES, Region, region_of
from steps.audit.cues import Cue, find_cues
from steps.audit.expectation import Expectation, expect, group_below_chance
from steps.audit.following import Following, follow
from steps.audit.images import describe_images
from steps.audit.left_out import BLOCK, predict_left_out
from steps.audit.occlusion import (
    OcclusionMap,
    choose_images,
    depend_on_surroundings,
    describe_surroundings,
    occlude,
    propose_region,
)
from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_pixels
from steps.dataset.split import TEST
from steps.evaluation.predictions import Predict, Predictions
from steps.pipeline.outputs import Selection


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        expectation: how often the network is expected to be right.
        cues: what else is known of the images, and how well it predicts the label.
        followed: by kind of shortcut, how the network decides where it disagrees with the label.
        left_out: by kind of group, what is predicted if each group was left out of the training.
        below_chance: the group of images in which guessing would be better; empty: none.
        maps: what the answers depend on, by index of the test image.
        seen: the part of most images that the network sees.
    """

    expectation: Expectation
    cues: list[Cue]
    followed: dict[str, Following]
    left_out: dict[str, Predictions]
    below_chance: str
    maps: dict[int, OcclusionMap]
    seen: Region

    @property
    def cross_validated(self) -> Predictions | None:
        """Predictions of all labelled images by others' blocks, if the test split is small."""
        return self.left_out.get(BLOCK)

    @property
    def shortcut(self) -> str:
        """Why the network is seen to follow a shortcut; empty if it is not."""
        followed = [
            f"it follows the {kind} where {kind} and label disagree ({found})"
            for kind, found in self.followed.items()
            if found.is_followed
        ]
        return "; ".join(followed + [self.below_chance] * bool(self.below_chance))

    @property
    def line(self) -> str:
        """What to expect of the network, in one sentence."""
        return f"{self.expectation}; {self.shortcut}" if self.shortcut else str(self.expectation)

    @property
    def surroundings(self) -> str:
        """A sentence if the answers depend on the surroundings; empty if not."""
        return describe_surroundings(list(self.maps.values()), self.seen)

    @property
    def proposed_region(self) -> Region | None:
        """The part of an image that the network might see alone, if answers depend on the rest."""
        maps = list(self.maps.values())
        return propose_region(maps, self.seen) if depend_on_surroundings(maps) else None


class Examined(NamedTuple):
    """What an audit knows without a network: images as `describe_images` returns them, and cues."""

    images: pd.DataFrame
    cues: list[Cue]


def examine_images(cache: Cache) -> Examined:
    """Describe the images of a cache, and find what else than the object tells of the label."""
    images = describe_images(cache)
    return Examined(images, find_cues(images))


def audit_network(
    predict: Predict,
    cache: Cache,
    selection: Selection,
    test: Predictions,
    examined: Examined,
    features: Cache | None = None,
) -> Audit:
    """Audit a network by its predictions for the test split.

    Args:
        predict: the network.
        cache: the images that it was trained on and tested with.
        selection: says how they were prepared.
        test: what it predicts for the test split.
        examined: the images of that cache.
        features: of the images, if the network is a classifier of features.
    """
    images, cues = examined
    left_out = predict_left_out(features, images, cache.labels) if features else {}
    if test.threshold_label:  # a threshold of two labels' own changes little
        value, label = test.threshold, test.threshold_label
        left_out = {
            kind: replace(found, threshold=value, threshold_label=label)
            for kind, found in left_out.items()
        }
    held_out = left_out.get(BLOCK, test)
    chosen = choose_images(test)
    pixels = read_pixels(cache, TEST, test.sha256[chosen].tolist())
    maps = occlude(predict, (pixels[test.sha256[index]] for index in chosen))
    return Audit(
        expectation=expect(held_out, images, left_out.get("day")),
        cues=cues,
        followed={cue.kind: follow(cue, test) for cue in cues if cue.is_shortcut},
        left_out=left_out,
        below_chance=group_below_chance(test, left_out),
        maps=dict(zip(chosen, maps, strict=True)),
        seen=_seen(images, selection),
    )


def _seen(images: pd.DataFrame, selection: Selection) -> Region:
    """Return the part that a network sees of an image of the median size."""
    width, height = images[["width", "height"]].median().fillna(1)
    region = region_of(selection.regions, OTHER_DEVICES)
    left, top, right, bottom = find_box(
        (width, height), selection.input_size, selection.resizing, region
    )
    return Region(left / width, top / height, (right - left) / width, (bottom - top) / height)
