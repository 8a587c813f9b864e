"""The rules of promotion, against worked examples and simulated test sets.

As in McNemar's table, ``b`` images are classified by the champion alone, ``c`` by the challenger
alone.
"""

import numpy as np
import pytest

from steps.evaluation.guessing import Guessing, others_needed
from steps.evaluation.metric_names import label_metric
from steps.evaluation.paired_counts import PairedCounts
from steps.evaluation.promotion_rules import evaluate_rules, images_needed
from steps.settings.profile import Bound, Promotion

RULES = Promotion(min_accuracy=0.9, max_regression=0.05)
FREE = RULES.model_copy(update={"min_accuracy": None})


def guessing(images: int) -> Guessing:
    """Far better than guesses."""
    return Guessing(PairedCounts(images, 0, images // 2))


GOOD = {"accuracy": 0.96, "recall_1": 0.9, "log_loss": 0.2, "onnx_bytes": 1000, "latency_ms": 3}


def test_a_challenger_that_is_worse_by_the_margin_passes_at_the_rate_that_the_confidence_allows():
    """Ten thousand test sets from a challenger at the border: 5 % may pass, and do."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(200, [0.08, 0.03, 0.89], size=10_000)
    passed = [
        evaluate_rules(GOOD, guessing(200), PairedCounts(200, int(b), int(c)), RULES).passed
        for b, c, _ in counts
    ]
    assert 0.03 < np.mean(passed) < 0.065


@pytest.mark.parametrize(
    ("margin", "confidence", "needed"),
    [(0.1, 0.95, 25), (0.05, 0.95, 52), (0.01, 0.95, 268), (0.01, 0.99, 536), (1, 0.95, 0)],
)
def test_the_images_needed(margin, confidence, needed):
    assert images_needed(margin, confidence) == needed
    if needed:
        rules = RULES.model_copy(update={"max_regression": margin, "confidence": confidence})
        rules = rules.model_copy(update={"min_accuracy": 0.0})
        assert evaluate_rules(GOOD, guessing(needed), PairedCounts(needed, 0, 0), rules).passed
        refused = evaluate_rules(GOOD, guessing(needed - 1), PairedCounts(needed - 1, 0, 0), rules)
        assert not refused.passed and refused.images_needed == needed


@pytest.mark.parametrize(
    ("change", "rules", "expected"),
    [
        ({"accuracy": 0.89}, {}, "accuracy 0.89 is below the minimum, 0.9"),
        ({}, {"thresholds": {"recall_1": Bound(min=0.95)}}, "recall_1 0.9 is below the minimum"),
        (
            {},
            {"thresholds": {"log_loss": Bound(max=0.1)}},
            "log_loss 0.2 is above the maximum, 0.1",
        ),
        ({}, {"thresholds": {"accuracy@night": Bound(min=0.5)}}, "no metric 'accuracy@night'"),
        ({"accuracy@night": 0.4}, {"thresholds": {"accuracy@night": Bound(min=0.5)}}, "night 0.4"),
        (
            {label_metric("recall", "R&D"): 0.4},
            {"thresholds": {"recall_R&D": Bound(min=0.5)}},
            "recall_R&D 0.4 is below",
        ),
        ({}, {"max_onnx_bytes": 999}, "onnx_bytes 1000 is above the maximum, 999"),
        ({}, {"max_latency_ms": 2.0}, "latency_ms 3 is above the maximum, 2"),
    ],
)
def test_each_missed_threshold_is_a_reason(change, rules, expected):
    result = evaluate_rules(GOOD | change, guessing(100), None, RULES.model_copy(update=rules))
    assert len(result.refusals) == 1 and expected in str(result)


def test_all_reasons_are_given():
    result = evaluate_rules(
        GOOD | {"accuracy": 0.5, "latency_ms": 1e6}, guessing(100), PairedCounts(100, 40, 0), RULES
    )
    assert (
        not result.passed
        and "0.5" in str(result)
        and "the champion alone is correct on 40" in str(result)
    )


@pytest.mark.parametrize(
    ("b", "c", "passes"),
    [(0, 0, True), (0, 20, True), (3, 3, True), (5, 5, False), (10, 0, False)],
)
def test_against_the_champion(b, c, passes):
    assert evaluate_rules(GOOD, guessing(100), PairedCounts(100, b, c), RULES).passed is passes


@pytest.mark.parametrize(("b", "c", "passes"), [(2, 2, True), (2, 3, True), (3, 2, False)])
def test_with_no_margin_the_counts_decide(b, c, passes):
    rules = RULES.model_copy(update={"max_regression": 0.0})
    assert evaluate_rules(GOOD, guessing(100), PairedCounts(100, b, c), rules).passed is passes


@pytest.mark.parametrize(("b", "c"), [(0, 0), (12, 0), (17, 1)])
def test_where_every_regression_is_allowed_a_challenger_passes(b, c):
    rules = RULES.model_copy(update={"max_regression": 1.0})
    assert evaluate_rules(GOOD, guessing(40), PairedCounts(40, b, c), rules).passed


@pytest.mark.parametrize(
    ("images", "guesses_alone", "model_alone", "passes", "needed"),
    [
        (10, 0, 5, True, None),
        (20, 0, 4, False, 25),  # of other labels, five are needed
        (100, 6, 14, False, None),
        (100, 5, 15, True, None),
        (100, 0, 0, False, None),  # it always answers the most frequent label, too
    ],
)
def test_a_first_model_has_to_be_better_than_the_most_frequent_label(
    images, guesses_alone, model_alone, passes, needed
):
    against = Guessing(PairedCounts(images, guesses_alone, model_alone))
    result = evaluate_rules(GOOD | {"accuracy": 0.1}, against, None, FREE)
    assert (result.passed, result.images_needed) == (passes, needed)
    assert result.needs_labels is not passes
    # one that follows a champion is compared with that alone
    assert evaluate_rules(GOOD, against, PairedCounts(images, 0, 90), FREE).passed
    anything = RULES.model_copy(update={"min_accuracy": 0.0})
    assert evaluate_rules(GOOD, against, None, anything).passed


def test_a_first_model_passes_by_chance_no_more_often_than_the_confidence_allows():
    rng = np.random.default_rng(0)
    drawn = rng.binomial(40, 0.5, 10_000)
    against = [Guessing(PairedCounts(100, 40 - int(n), int(n))) for n in drawn]
    passed = np.mean([evaluate_rules(GOOD, one, None, FREE).passed for one in against])
    assert 0.02 < passed <= 0.05


def test_a_first_model_has_to_find_each_label():
    against = Guessing(PairedCounts(100, 0, 40), missed=["crack"])
    result = evaluate_rules(GOOD, against, None, FREE)
    assert str(result) == "of crack it finds fewer images than a blind guess"
    assert result.needs_labels


@pytest.mark.parametrize(("confidence", "needed"), [(0.95, 5), (0.99, 7), (0.75, 2)])
def test_so_many_images_of_other_labels_are_needed(confidence, needed):
    rules = FREE.model_copy(update={"confidence": confidence})
    for others in (needed, needed - 1):
        against = Guessing(PairedCounts(50, 0, others))
        passed = evaluate_rules(GOOD, against, None, rules).passed
        assert passed is (others == others_needed(confidence))
