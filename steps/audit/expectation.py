"""How often a network is expected to be right on images to come, and what nothing is known of."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from steps.dataset.split import TRAIN
from steps.evaluation.intervals import mean_interval, prediction_interval, wilson
from steps.evaluation.predictions import Predictions
from steps.evaluation.slices import slice_values

FEWEST_DAYS = 4
"""From which days say something of another one."""


@dataclass(frozen=True)
class Expectation:
    """The accuracy that is expected of a network.

    Attributes:
        accuracy, low, high: with a 95 % interval, 0–1.
        images: of which images.
        unknown: of which images nothing is known, and why; empty: none.
    """

    accuracy: float
    low: float
    high: float
    images: str
    unknown: str

    def __str__(self) -> str:
        low, high = (f"{100 * bound:.0f}" for bound in (self.low, self.high))
        sentence = (
            f"expected to be right on {100 * self.accuracy:.0f} % ({low}–{high}) of {self.images}"
        )
        return f"{sentence}; unknown for {self.unknown}" if self.unknown else sentence


def expect(
    test: Predictions, images: pd.DataFrame, days_left_out: Predictions | None = None
) -> Expectation:
    """Return the accuracy that is expected of a network on images to come.

    Days differ, so the interval for an unseen day is a prediction interval of their accuracies,
    not the narrower one of their mean.

    Args:
        test: what the network predicts for images that it was not trained on.
        images: all images, as :func:`steps.audit.images.describe_images` returns them.
        days_left_out: what is predicted for days without which the network was trained, if that
            was tried.
    """
    unknown = _unknown(images)
    by_day = test if days_left_out is None else days_left_out
    days = slice_values(by_day).get("day", np.empty(0, str))
    known = days != "unknown"
    if np.unique(days[known]).size >= FEWEST_DAYS:
        correct, cameras = by_day.correct[known], _cameras(images)
        accuracy, (low, high) = correct.mean(), prediction_interval(correct, days[known])
        return Expectation(accuracy, low, high, f"images from an unseen day of {cameras}", unknown)
    accuracy, (low, high) = test.correct.mean(), mean_interval(test)
    of_training = images.loc[images["split"] == TRAIN, "day"]
    days = slice_values(test).get("day", np.empty(0, str))
    same_days = np.isin(days, of_training).sum() > len(test) / 2
    where = "from other hours of the same days" if same_days else "like those of the test set"
    return Expectation(accuracy, low, high, f"images {where}", unknown)


def group_below_chance(test: Predictions, left_out: Mapping[str, Predictions]) -> str:
    """Return the worst day, hour, device or brightness in which guessing would be better.

    Images of an hour of one device count as one: a scene that is misread once is no shortcut.
    Guesses are those of equal labels, or those of labels as often as they are predicted: a network
    that always predicts the same label follows nothing.

    Args:
        test: what the network predicts for images that it was not trained on.
        left_out: by kind of group, what is predicted if each group was left out of the training.

    Returns:
        it and its accuracy in words; empty if there is none.
    """
    chance = 1 / len(test.labels)
    found: list[tuple[float, str]] = []
    for kind in slice_values(test):
        predictions = left_out.get(kind, test)
        values, correct = slice_values(predictions)[kind], predictions.correct
        all_blocks = predictions.blocks
        often = {one: float((predictions.predicted == one).mean()) for one in predictions.labels}
        for value in np.unique(values):
            rows = values == value
            accuracy, blocks = correct[rows].mean(), np.unique(all_blocks[rows]).size
            same = float(np.mean([often[label] for label in predictions.truth[rows]]))
            if wilson(accuracy * blocks, blocks)[1] < min(chance, same):
                images = f"{rows.sum()} images of {kind} {value}"
                images += ", trained without them" * (kind in left_out)
                found.append((accuracy, f"it is right on {accuracy:.0%} of the {images}"))
    return min(found)[1] if found else ""


def _cameras(images: pd.DataFrame) -> str:
    count = images["device"].nunique()
    return "this camera" if count == 1 else f"these {count} cameras" if count else "these cameras"


def _unknown(images: pd.DataFrame) -> str:
    days = images["day"].dropna()
    if len(days) < len(images) / 2:  # then what is known of the others' days does not count
        few = "few images have" if len(days) else "no image has"
        return f"other days and cameras, because {few} a capture time"
    if days.nunique() == 1:
        return "another day, because all images are from one day"
    of_label = images.groupby("label")["day"].nunique()
    single = [str(label) for label, count in of_label.items() if count == 1]
    if len(single) == len(of_label):
        return "unseen light, because all images of each label are from one day"
    if single:
        labels = " or ".join(single)
        return f"unseen light, because all images with label {labels} are from one day"
    if days.nunique() < FEWEST_DAYS:
        return f"another day, because all images are from {days.nunique()} days"
    return ""
