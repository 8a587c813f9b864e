"""The threshold that a wished miss rate gives: the rule, its coverage, and what it needs."""

import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from steps.errors import UserError
from steps.evaluation.miss_rate import Wish, misses_allowed, require_images
from steps.evaluation.threshold import bound_misses


def at_most(misses: int, images: int, rate: float) -> float:
    """How likely so many of the images or fewer are missed, each at the rate."""
    return sum(
        math.comb(images, k) * rate**k * (1 - rate) ** (images - k) for k in range(misses + 1)
    )


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("images", [0, 1, 4, 28, 29, 58, 59, 298, 299, 473, 1000])
def test_as_many_may_be_missed_as_are_improbable_at_the_rate(images, rate):
    allowed = misses_allowed(images, rate)
    assert allowed < max(images, 1)
    assert allowed == -1 or at_most(allowed, images, rate) <= 0.05
    assert at_most(allowed + 1, images, rate) > 0.05 or not images


DRAWS = 1000


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("images", "rate"), [(29, 0.1), (61, 0.1), (299, 0.01), (500, 0.05)])
def test_the_label_is_missed_more_often_in_few_draws(images, rate, seed):
    """Its scores are uniform: the threshold is the true miss rate. Other labels fill the gaps."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(["crack", "fine"], [images, 5000])
    missed = []
    for _ in range(DRAWS):
        scores = rng.random(len(truth))
        found = np.stack([scores, 1 - scores], 1)
        missed.append(bound_misses(f"crack={rate}", ["crack", "fine"], found, truth).value)
    exceeding = np.mean(np.array(missed) > rate)
    # the rule is as strict as whole images allow, and no stricter
    promised = at_most(misses_allowed(images, rate), images, rate)
    noise = 4 * math.sqrt(promised * (1 - promised) / DRAWS)
    assert promised <= 0.05 and abs(exceeding - promised) < noise


@pytest.mark.parametrize(
    ("wish", "counts", "line", "offered"),
    [
        (
            "a=0.01",
            {"a": 298},
            "^max_miss_rate a=0.01 needs 299 images of a to .*, and 298 can show 0.011 at",
            "a=0.011",
        ),
        ("a=0.01", {"a": 57, "b": 900}, "needs 299 images of a .* 57 can show 0.052 ", "a=0.052"),
        ("b=0.1", {"a": 57, "b": 28}, "needs 29 images of b .* 28 can show 0.102 at", "b=0.102"),
        ("b=0.1", {"a": 57, "b": 0}, "b .* 0 can show", "b=0.95"),
        ("cat=0.1", {"a": 57, "b": 0}, "no image has the label 'cat'; the labels are a, b", None),
        ("boat=0.1", {"boot": 0}, "'boat'; did you mean boot\\? the labels are boot$", None),
    ],
)
def test_too_few_images_end_in_one_line_with_what_they_can_show(wish, counts, line, offered):
    with pytest.raises(UserError, match=line) as caught:
        require_images(wish, counts)
    assert "\n" not in str(caught.value)
    assert (caught.value.fix and caught.value.fix.changed) == (
        {"max_miss_rate": offered} if offered else None
    )


def test_what_images_show_before_they_are_split_is_no_advice():
    with pytest.raises(UserError, match="57 can show 0.052 at best") as caught:
        require_images("a=0.01", {"a": 57}, is_split=False)
    assert caught.value.fix is None


@pytest.mark.parametrize(
    ("wish", "counts"), [("", {}), ("a=0.01", {"a": 299}), ("a=0.011", {"a": 298})]
)
def test_enough_images_are_enough_and_no_wish_needs_any(wish, counts):
    require_images(wish, counts)


WISH = TypeAdapter(Wish)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("", ""),
        ("crack=0.01", "crack=0.01"),
        ("a=b=1e-3", "a=b=0.001"),
        (" blue shoes =.5", "blue shoes=0.5"),
        ("Tu\u0308r=0.1", "T\u00fcr=0.1"),
        ("shoes, red=0.25", "shoes, red=0.25"),
    ],
)
def test_a_wish_is_a_label_and_a_rate(text, wish):
    assert WISH.validate_python(text) == wish == WISH.validate_python(wish)


@pytest.mark.parametrize(
    "text", ["crack", "0.01", "=0.01", " =0.01", "a=0", "a=1", "a=-1", "a=nan", "a=1%", "a="]
)
def test_what_is_no_wish_is_reported(text):
    with pytest.raises(ValidationError, match="is not a label with a rate between 0 and 1"):
        WISH.validate_python(text)
