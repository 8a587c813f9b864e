"""The rules of promotion, against worked examples and against chance itself."""

import math

import numpy as np
import pytest

from steps.evaluation.promotion_rules import Paired, images_needed, judge
from steps.settings.profile import Bound, Promotion

RULES = Promotion(min_accuracy=0.9, max_regression=0.05)
GOOD = {"accuracy": 0.96, "recall_1": 0.9, "log_loss": 0.2, "onnx_bytes": 1000, "latency_ms": 3}


@pytest.mark.parametrize(
    ("lost", "won", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 0.03125), (1, 9, 0.021484375)]
)
def test_mcnemar_is_the_exact_binomial(lost, won, p):
    assert Paired(100, lost, won).mcnemar() == pytest.approx(p)


def test_tangos_score_is_that_of_his_example():
    """Two ways to disinfect contact lenses, 44 people: both work for 43, for one only the old
    one does; Tango gives Z = 1.709 against a margin of 0.1."""
    assert Paired(44, lost=1, won=0).score(0.1) == pytest.approx(1.709, abs=0.001)


@pytest.mark.parametrize("lost", [0, 3, 10])
def test_the_score_solves_the_likelihood(lost):
    """The rate of lost images in the score is the most likely one, found here by trying all."""
    n, won, margin = 120, 4, 0.05
    rates = np.linspace(margin + 1e-9, 0.9, 200_000)
    likelihood = (
        lost * np.log(rates)
        + won * np.log(rates - margin)
        + (n - lost - won) * np.log(np.clip(1 - 2 * rates + margin, 1e-300, None))
    )
    rate = rates[likelihood.argmax()]
    expected = (won - lost + n * margin) / math.sqrt(n * (2 * rate - margin - margin**2))
    assert Paired(n, lost, won).score(margin) == pytest.approx(expected, rel=1e-3)


def test_a_challenger_that_is_worse_by_the_margin_passes_as_rarely_as_was_asked():
    """Ten thousand held-out sets from a challenger at the border: 5 % may pass, and do."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(200, [0.08, 0.03, 0.89], size=10_000)
    passed = [
        judge(GOOD, 200, Paired(200, int(lost), int(won)), RULES).passed for lost, won, _ in counts
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
        assert judge(GOOD, needed, Paired(needed, 0, 0), rules).passed
        refused = judge(GOOD, needed - 1, Paired(needed - 1, 0, 0), rules)
        assert not refused.passed and refused.needed == needed


@pytest.mark.parametrize(
    ("change", "rules", "says"),
    [
        ({"accuracy": 0.89}, {}, "accuracy 0.89 is below the least, 0.9"),
        ({}, {"thresholds": {"recall_1": Bound(min=0.95)}}, "recall_1 0.9 is below the least"),
        ({}, {"thresholds": {"log_loss": Bound(max=0.1)}}, "log_loss 0.2 is above the most, 0.1"),
        ({}, {"thresholds": {"accuracy@night": Bound(min=0.5)}}, "no metric 'accuracy@night'"),
        ({"accuracy@night": 0.4}, {"thresholds": {"accuracy@night": Bound(min=0.5)}}, "night 0.4"),
        ({}, {"max_onnx_bytes": 999}, "onnx_bytes 1000 is above the most, 999"),
        ({}, {"max_latency_ms": 2.0}, "latency_ms 3 is above the most, 2"),
    ],
)
def test_each_threshold_is_told_by_itself(change, rules, says):
    verdict = judge(GOOD | change, 100, None, RULES.model_copy(update=rules))
    assert len(verdict.refusals) == 1 and says in str(verdict)


def test_all_that_is_wrong_is_told():
    verdict = judge(GOOD | {"accuracy": 0.5, "latency_ms": 1e6}, 100, Paired(100, 40, 0), RULES)
    assert not verdict.passed and "0.5" in str(verdict) and "40 are lost" in str(verdict)


@pytest.mark.parametrize(
    ("lost", "won", "passes"),
    [(0, 0, True), (0, 20, True), (3, 3, True), (5, 5, False), (10, 0, False)],
)
def test_against_the_champion(lost, won, passes):
    assert judge(GOOD, 100, Paired(100, lost, won), RULES).passed is passes


@pytest.mark.parametrize(("lost", "won", "passes"), [(2, 2, True), (2, 3, True), (3, 2, False)])
def test_with_no_margin_the_counts_decide(lost, won, passes):
    rules = RULES.model_copy(update={"max_regression": 0.0})
    assert judge(GOOD, 100, Paired(100, lost, won), rules).passed is passes


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (12, 0), (17, 1)])
def test_where_every_regression_is_allowed_a_challenger_passes(lost, won):
    rules = RULES.model_copy(update={"max_regression": 1.0})
    assert judge(GOOD, 40, Paired(40, lost, won), rules).passed
