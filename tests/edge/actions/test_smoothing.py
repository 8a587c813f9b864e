"""Sequences of answers, one a second, and the states that they lead to."""

import itertools
import random

import pytest

from edge.actions.smoothing import LabelStateSettings, Smoothing, StateSettings
from edge.inference.prediction import UNSURE

U = UNSURE
PLAIN = StateSettings(window=5, votes=4, dwell_seconds=3)
QUICK_1 = StateSettings(window=5, votes=4, labels={"1": LabelStateSettings(votes=2)})
LONG_1 = StateSettings(window=1, votes=1, labels={"1": LabelStateSettings(dwell_seconds=20)})


def changes(settings, answers, seconds=1.0, state=None):
    """(number of the frame, new state) of each change."""
    smoothing = Smoothing(settings, state)
    return [
        (number, smoothing.state)
        for number, answer in enumerate(answers)
        if smoothing.update(answer, 100 + number * seconds)
    ]


@pytest.mark.parametrize(
    ("settings", "answers", "expected"),
    [
        (PLAIN, "", []),
        (PLAIN, "000", []),
        (PLAIN, "0000", [(3, "0")]),
        (PLAIN, "0000011111", [(3, "0"), (8, "1")]),
        (PLAIN, "00000" + "10" * 20, [(3, "0")]),
        (PLAIN, "00000" + "100" * 20, [(3, "0")]),
        (PLAIN, "00000" + "110" * 20, [(3, "0"), (9, "1")]),
        (PLAIN, "00000" + "11101111", [(3, "0"), (9, "1")]),
        (PLAIN, "00000UUUUU00000", [(3, "0"), (8, U), (13, "0")]),
        (PLAIN, "00000U1U1U1U1", [(3, "0")]),
        (PLAIN, "0123" * 10, []),
        # one label needs fewer votes, and the others as many as before to end it
        (QUICK_1, "00000010000100000", [(3, "0")]),
        (QUICK_1, "00000011000100000", [(3, "0"), (7, "1"), (12, "0")]),
        # without smoothing, only the dwell time
        (LONG_1, "01000000000000000000000", [(0, "0")]),
        (LONG_1, "0000" + "1" + "0" * 25, [(0, "0"), (4, "1"), (24, "0")]),
    ],
)
def test_sequences(settings, answers, expected):
    named = [U if answer == "U" else answer for answer in answers]
    assert changes(settings, named) == expected


def test_a_flickering_sequence_gives_no_false_change():
    """Ten thousand frames of which every fifth is wrong, at random: without smoothing, thousands
    of changes."""
    draw = random.Random(1)
    answers = ["0"] * 10 + ["1" if draw.random() < 0.2 else "0" for _ in range(10_000)]
    raw = sum(a != b for a, b in itertools.pairwise(answers))
    assert raw > 3000
    settings = StateSettings(window=15, votes=12)
    assert [state for _, state in changes(settings, answers)] == ["0"]


def test_the_dwell_time_counts_seconds_not_frames():
    answers = ["0"] * 4 + ["1"] * 10
    settings = StateSettings(window=4, votes=3, dwell_seconds=3)
    assert changes(settings, answers) == [(2, "0"), (6, "1")]
    assert changes(settings, answers, seconds=0.1) == [(2, "0")]


def test_answers_before_a_long_pause_do_not_count():
    assert changes(PLAIN, "0000" + "1111", seconds=61) == []
    assert changes(PLAIN, "0000" + "1111", seconds=59) == [(3, "0"), (7, "1")]


def test_a_state_from_before_a_restart_is_no_change():
    assert changes(PLAIN, "1111111", state="1") == []
    assert changes(PLAIN, "0000000", state="1") == [(3, "0")]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (PLAIN, None),
        (QUICK_1, None),
        (StateSettings(window=1, votes=1), None),
        (StateSettings(window=5, votes=3), None),
        (StateSettings(window=6, votes=3), "must add up to more than 6"),
        (StateSettings(window=3, votes=4), "not be more than window, which is 3"),
        (StateSettings(5, 4, labels={"1": LabelStateSettings(1)}), "must add up to more than 5"),
        (StateSettings(5, 4, labels={"1": LabelStateSettings(6)}), "not be more than window"),
        (StateSettings(5, 2, labels={"1": LabelStateSettings(4)}), "must add up to more than 5"),
        (
            StateSettings(5, 4, labels={"1": LabelStateSettings(2), "2": LabelStateSettings(3)}),
            "must add up to more than 5",
        ),
    ],
)
def test_settings_by_which_two_labels_could_both_win_are_an_error(settings, error):
    found = settings.error()
    assert found is None if error is None else error in found
