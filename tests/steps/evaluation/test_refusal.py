"""What a user reads of a refused challenger: what it had, what it needed, what helps most."""

import numpy as np
import pytest
from made_predictions import make_predictions

from edge.inference.region import Region
from steps.dataset.cache import Cache
from steps.evaluation.comparison import Comparison
from steps.evaluation.guessing import compare_to_guesses
from steps.evaluation.promotion_rules import PromotionResult, evaluate_rules
from steps.evaluation.refusal import end_refused, what_else_helps, what_helps, why_refused
from steps.settings.profile import Bound, Promotion

RULES = Promotion(min_accuracy=0.9, max_regression=0.05)
FREE = Promotion(max_regression=0.05)


@pytest.mark.parametrize(
    ("images", "others", "wrong", "rules", "why", "helps"),
    [
        (100, 20, 11, RULES, "had 0.89 (0.81–0.94), needed 0.90",
         "add labelled images, above all of R&D (recall 0.45)"),
        (14, 7, 0, RULES, "had 1.00 (0.78–1.00): 14 test images are too few: even if all are "
         "correct, 0.9 at 95% confidence needs 25", "add about 46 labelled images"),
        (14, 7, 5, RULES, "had 0.64 (0.39–0.84): 14 test images are too few: even if all are "
         "correct, 0.9 at 95% confidence needs 25", "add about 46 labelled images"),
        (100, 20, 20, FREE, "had 0.80 (0.71–0.87): it is not shown at 95% confidence to be better "
         "than always answering the most frequent label: of 100 test images, it alone is correct "
         "on 0 and that alone on 0; of R&D it finds fewer images than a blind guess",
         "add labelled images, above all of R&D (recall 0.00)"),
        (20, 4, 1, FREE, "had 0.95 (0.76–0.99): it is not shown at 95% confidence",
         "add about 58 labelled images"),
        (100, 20, 0, RULES.model_copy(update={"max_onnx_bytes": 9}),
         "had 1.00 (0.96–1.00): onnx_bytes 10 is above the maximum, 9",
         "train another, or change promotion in the profile"),
        (100, 20, 11, RULES.model_copy(update={"thresholds": {"log_loss": Bound(max=0.001)}}),
         "had 0.89 (0.81–0.94): accuracy 0.89 is below the minimum, 0.9; log_loss",
         "add labelled images, above all of R&D (recall 0.45)"),
    ],
)  # fmt: skip
def test_why_and_what_helps(images, others, wrong, rules, why, helps):
    """Some images are of the other label, and of those some are taken for the first."""
    labels = ["a", "R&D"]
    truth = np.array(["R&D"] * others + ["a"] * (images - others))
    probabilities = np.tile(np.array([0.9, 0.1], np.float32), (images, 1))
    probabilities[wrong:others] = [0.1, 0.9]
    predictions = make_predictions(images, labels=labels, truth=truth, probabilities=probabilities)
    metrics = predictions.metrics() | {"onnx_bytes": 10.0}
    counts = {"train": {"a": 3 * images}, "validation": {"a": images // 7}, "test": {"a": images}}
    cache = Cache("", labels, (4, 4), {"test": [images]}, counts)
    result = evaluate_rules(
        metrics, compare_to_guesses(labels, predictions.confusion(), 0.95), None, rules
    )
    seen = np.zeros(images, bool)
    comparison = Comparison(predictions, None, seen, metrics, result, cache)
    assert why_refused(comparison, rules).startswith(why)
    assert what_helps(comparison) == helps


REGION = Region(0.25, 0.5, 0.5, 0.25)


@pytest.mark.parametrize(
    ("result", "region", "expected"),
    [
        (PromotionResult(["x"], None, True), REGION,
         [{"region": "0.25,0.5,0.5,0.25"}, {"input_size": "192"}]),
        (PromotionResult(["x"], None, True), None, [{"input_size": "192"}]),
        (PromotionResult(["x"], 30, True), REGION, []),
        (PromotionResult(["x"], None, False), REGION, []),
    ],
    ids=["a region first", "a larger input", "more images decide", "it was right often enough"],
)  # fmt: skip
def test_what_else_helps_a_network_that_is_right_too_seldom(result, region, expected):
    images = make_predictions(2, labels=["a", "b"])
    cache = Cache("", ["a", "b"], (128, 128), {}, {})
    comparison = Comparison(images, None, np.zeros(2, bool), {}, result, cache)
    assert list(what_else_helps(comparison, region).values()) == expected


@pytest.mark.parametrize(
    ("champion", "result", "line"),
    [
        ("3", "champion stays", "champion stays: shoes 3; challenger 5 had 0.89"),
        (None, "no model yet", "no model yet: shoes 5 had 0.89"),
    ],
)
def test_the_ending_depends_on_whether_there_is_a_champion(champion, result, line):
    assert end_refused("shoes", "5", champion, "had 0.89") == (result, line)
