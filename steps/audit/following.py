"""Where a shortcut and the label disagree: which of them the network follows."""

from dataclasses import dataclass

import numpy as np

from steps.audit.cues import Cue
from steps.evaluation.intervals import wilson
from steps.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Following:
    """How a network decides on the images on which a shortcut predicts another label.

    Attributes:
        kind: of the shortcut.
        images: on which the network predicts either the label or what the shortcut predicts.
        followed: those on which it predicts what the shortcut predicts.
        low: 95 % lower bound of that share, 0–1; images of an hour of one device count as one.
        chance: that share if the network predicted its labels as often but whatever the image:
            one that always predicts the same label follows nothing.
    """

    kind: str
    images: int
    followed: int
    low: float
    chance: float

    @property
    def is_followed(self) -> bool:
        """Whether the network follows the shortcut more often than the label, by no chance."""
        return self.low > max(0.5, self.chance)

    def __str__(self) -> str:
        if not self.images:
            return "not known: it never disagrees with the label"
        return f"in {self.followed} of {self.images} images"


def follow(cue: Cue, test: Predictions) -> Following:
    """Count on which of the images that a cue gets wrong a network predicts what the cue does.

    Args:
        cue: a shortcut.
        test: what the network predicts for images that it was not trained on.
    """
    by_cue = cue.predicted[~cue.predicted.index.duplicated()].reindex(test.sha256).to_numpy(str)
    as_cue = (test.predicted == by_cue) & (by_cue != test.truth)
    decided = as_cue | (test.correct & (by_cue != test.truth) & (by_cue != "nan"))
    images, followed = int(decided.sum()), int(as_cue.sum())
    if not images:
        return Following(cue.kind, 0, 0, 0, 0)
    blocks = np.unique(test.blocks[decided]).size
    low, _ = wilson(followed / images * blocks, blocks)
    often = {label: float((test.predicted == label).mean()) for label in test.labels}
    pairs = zip(by_cue[decided], test.truth[decided], strict=True)
    chance = np.mean([often[cue] / (often[cue] + often[label]) for cue, label in pairs])
    return Following(cue.kind, images, followed, low, float(chance))
