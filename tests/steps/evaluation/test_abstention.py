"""Abstention: the risk that is promised holds, as often as it is promised."""

import logging
import math

import numpy as np
import pytest
from made_predictions import make_predictions

from edge.inference.prediction import calibrate
from steps.evaluation.abstention import (
    Abstention,
    Calibration,
    abstain,
    bound_risk,
    fewest_answers,
    fit_calibration,
    scores_of,
)
from steps.pipeline.report import Report
from steps.reports.abstention import add_risk

DRAWS = 600


def draw(
    rng: np.random.Generator, images: int, error: float, slope: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scores between 0 and 1 and whether they are right; so many of all are wrong on average."""
    scores = rng.random(images)
    return scores, rng.random(images) >= error * (slope + 1) * (1 - scores) ** slope


def risk_from(threshold: float, error: float, slope: float) -> float:
    """The true share of wrong answers from a threshold on."""
    return error * (1 - threshold) ** slope


@pytest.mark.parametrize("slope", [0.5, 3])
@pytest.mark.parametrize(("images", "risk"), [(120, 0.1), (600, 0.05), (2000, 0.02)])
def test_the_risk_is_exceeded_in_few_draws(images, risk, slope):
    """The plain error is twice the risk."""
    rng = np.random.default_rng(0)
    found = [bound_risk(risk, *draw(rng, images, 2 * risk, slope)) for _ in range(DRAWS)]
    true = [risk_from(one[0], 2 * risk, slope) for one in found if one]
    exceeding = np.sum(np.array(true) > risk) / DRAWS
    assert exceeding < 0.05 + 2 * math.sqrt(0.05 * 0.95 / DRAWS)
    if slope == 3:  # the promise is of use, too: to answer 79 % would be right
        answered = np.mean([one[1] / images if one else 0 for one in found])
        assert answered > {120: 0.4, 600: 0.65, 2000: 0.675}[images]


def test_a_threshold_that_is_chosen_by_the_share_of_errors_alone_breaks_the_promise():
    """The test above can fail: this is what it would find without the bound."""
    rng, exceeding = np.random.default_rng(0), 0
    for _ in range(200):
        scores, right = draw(rng, 600, 0.1, 1)
        order = np.argsort(-scores)
        good = np.flatnonzero(np.cumsum(~right[order]) / np.arange(1, 601) <= 0.05)
        exceeding += risk_from(scores[order][good[-1]], 0.1, 1) > 0.05
    assert exceeding > 60


FEWEST = fewest_answers(0.1)


@pytest.mark.parametrize(
    ("scores", "wrong", "found"),
    [
        (np.linspace(0.5, 1, FEWEST - 1), [], None),  # too few, even though all are right
        (np.linspace(0.5, 1, FEWEST), [], (0.25, FEWEST, 0)),  # just enough, so all are answered
        (np.full(100, 1.0), [0], (0.5, 100, 1)),  # equal scores are answered together
        (np.full(100, 1.0), range(10), None),  # or not at all
        (np.repeat([1.0, 0.6], [80, 20]), range(80, 100), (0.8, 80, 0)),  # halfway
        # one wrong label among the surest ends nothing: the surer half is tested first
        (np.linspace(1, 0.5, 200), [3], (0.25, 200, 1)),
    ],
)
def test_the_lowest_threshold_that_keeps_the_risk_is_halfway_to_the_next_score(
    scores, wrong, found
):
    correct = np.isin(np.arange(len(scores)), list(wrong), invert=True)
    result = bound_risk(0.1, scores, correct)
    assert result == (found and pytest.approx(found))


@pytest.mark.parametrize(
    ("temperature", "offsets"), [(0.5, [0, 0, 0]), (1.0, [1, -2, 1]), (2.5, [0, 1, -1])]
)
def test_the_calibration_of_skewed_probabilities_is_found(temperature, offsets):
    rng = np.random.default_rng(0)
    true = rng.dirichlet([1, 1, 1], 4000)
    truth = np.array([rng.choice(3, p=row) for row in true])
    moved = calibrate(true, None, [-offset for offset in offsets])
    found = fit_calibration(calibrate(moved, 1 / temperature), truth)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert found.offsets == pytest.approx(offsets, abs=0.15)


def test_few_images_move_no_label_far_and_none_moves_none():
    few = fit_calibration(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]))
    assert max(map(abs, few.offsets)) < 2
    assert fit_calibration(np.empty((0, 2)), np.empty(0, int)) == Calibration(1.0, [0.0, 0.0])


def test_a_label_that_is_often_wrong_is_answered_more_rarely():
    """Of two labels that are as probable to the network, one is right and one is not."""
    rng = np.random.default_rng(0)
    sure, is_a = rng.uniform(0.6, 0.7, 1000), rng.random(1000) < 0.5
    right = rng.random(1000) < np.where(is_a, 0.75, 0.995)
    found = make_predictions(
        1000,
        probabilities=np.stack([np.where(is_a, sure, 1 - sure), np.where(is_a, 1 - sure, sure)], 1),
        truth=np.where(is_a == right, "a", "b"),
    )
    chosen = abstain(0.05, found)
    answered = scores_of(found, chosen.calibration) >= chosen.threshold
    assert answered[~is_a].mean() > 0.95 and answered[is_a].mean() < 0.4
    without = bound_risk(0.05, scores_of(found, Calibration()), found.correct)
    assert without is None or without[1] < 0.5 * answered.sum()


def predictions(images: int, wrong: int):
    """Images whose least sure ones are wrong."""
    sure = np.linspace(0.99, 0.6, images)
    truth = np.array(["a"] * (images - wrong) + ["b"] * wrong)
    order = np.random.default_rng(0).permutation(images)  # as by their hashes
    rows = np.stack([sure, 1 - sure], 1)[order]
    return make_predictions(images, probabilities=rows, truth=truth[order])


def test_the_score_is_that_of_the_label_which_the_threshold_decides_on():
    found = make_predictions(
        2, probabilities=np.array([[0.7, 0.3], [0.9, 0.1]]), threshold=0.25, threshold_label="b"
    )
    assert scores_of(found, Calibration()).tolist() == [0.3, 0.9]


def test_a_wish_is_said_and_shown_with_what_it_gives_on_the_test_images(caplog):
    found = abstain(0.1, predictions(200, 60))
    assert (found.risk, found.images) == (0.1, 160)
    assert found.threshold and 80 < found.answered < 128 and found.errors <= 10
    report = Report("train", "run")
    with caplog.at_level(logging.INFO):
        add_risk(report, found, predictions(100, 30))
    assert "at most 10 % of the answers are wrong, with 95 % confidence, from" in caplog.text
    html = report.html()
    assert "Risk and coverage" in html and "images stop looking like them" in html
    (answers,) = [one for one in report.sections if one.title == "Answers"]
    assert [row[:2] for row in answers.rows] == [["validation", 160], ["test", 100]]
    answered = int((scores_of(predictions(100, 30), found.calibration) >= found.threshold).sum())
    assert answers.rows[1][2] == answered and 50 < answered < 80


def test_a_risk_that_no_threshold_keeps_is_said_in_one_line_and_sets_none(caplog):
    found = abstain(0.02, predictions(60, 0))
    assert (found.threshold, found.calibration) == (None, Calibration())
    report = Report("train", "run")
    add_risk(report, found, predictions(20, 2))
    (line,) = caplog.messages
    assert line == (
        "max_risk 0.02: no threshold keeps it with 95 % confidence, so the model answers always: "
        "0 of 48 validation images are wrong, and 160 right answers are the least that can show "
        "it; add images, or set a higher max_risk"
    )
    assert not [one for one in report.sections if one.title == "Answers"]


def test_risk_against_coverage_is_shown_without_a_wish_and_nothing_is_said(caplog):
    report = Report("train", "run")
    with caplog.at_level(logging.INFO):
        add_risk(report, Abstention(), predictions(20, 2))
    assert [one.title for one in report.sections] == ["Risk and coverage"]
    assert not report.headlines and not caplog.messages
