"""How often a label may be missed at most: the wish of a user, and the images that can show it."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from steps.errors import RunAgain, UserError
from steps.ingestion.label_text import normalize_label
from steps.settings.validation_errors import did_you_mean

DOUBT = 0.05
"""How likely the label is missed more often than wished: confidence is the rest."""


def parse_wish(text: str) -> tuple[str, float]:
    """Return the label and the rate of a wish such as ``crack=0.01``.

    >>> parse_wish("R&D = 0.01")
    ('R&D', 0.01)
    """
    label, _, rate = text.rpartition("=")
    with suppress(ValueError):
        if (label := normalize_label(label) or "") and 0 < float(rate) < 1:
            return label, float(rate)
    raise ValueError(f"{text!r} is not a label with a rate between 0 and 1, such as crack=0.01")


Wish = Annotated[str, AfterValidator(lambda text: text and "{}={}".format(*parse_wish(text)))]
"""How often which label may be missed, such as ``crack=0.01``; or empty."""


def misses_allowed(images: int, rate: float) -> int:
    """Return how many of a label's images may be below a threshold that keeps a rate.

    The largest k with P(Binomial(images, rate) ≤ k) ≤ 5 %: an order statistic as a tolerance limit,
    whatever the distribution of the scores (Wilks 1941, "Determination of sample sizes for setting
    tolerance limits"). It takes the images as independent.

    Returns:
        -1 if there are too few images to show the rate.

    >>> misses_allowed(298, 0.01), misses_allowed(299, 0.01), misses_allowed(1000, 0.01)
    (-1, 0, 4)
    """
    from scipy.special import bdtr

    return int((bdtr(np.arange(images), images, rate) <= DOUBT).sum()) - 1


def require_images(wish: str, counts: Mapping[str, int], is_split: bool = True) -> None:
    """Raise an error if a wish is for an unknown label, or for one with too few images to show it.

    Args:
        wish: how often which label may be missed; empty: there is none.
        counts: by label, the images that can decide about a threshold.
        is_split: whether they all will; else some of them test.
    """
    if not wish:
        return
    label, rate = parse_wish(wish)
    if label not in counts:
        known = f"{did_you_mean(label, counts)}the labels are {', '.join(counts)}"
        raise UserError(f"max_miss_rate: no image has the label {label!r}; {known}")
    images, needed = counts[label], math.ceil(math.log(DOUBT) / math.log1p(-rate))
    if images < needed:
        shown = math.ceil(1000 - 1000 * DOUBT ** (1 / max(images, 1))) / 1000
        raise UserError(
            f"max_miss_rate {wish} needs {needed} images of {label} to choose a threshold by, and "
            f"{images} can show {shown} at best; label more, or set a higher rate",
            RunAgain({"max_miss_rate": f"{label}={shown}"}) if is_split else None,
        )
