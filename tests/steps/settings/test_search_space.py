"""Search spaces as a profile may state them."""

import pytest
from pydantic import ValidationError

from steps.settings.search_space import SearchSpace
from steps.settings.validation_errors import describe_validation_error


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "nothing to search"),
        ({"learning_rate": {"low": 0.1, "high": 0.01}}, "not below"),
        ({"learning_rate": {"low": 0, "high": 0.01, "scale": "log"}}, "low above 0"),
        ({"learning_rate": {"low": 0.1, "high": 2}}, "not within"),
        ({"dropout": {"low": 0, "high": 1}}, "not within"),
        ({"batch_size": {"choices": [8, 12.5]}}, "is not an integer"),
        ({"batch_size": {"low": 8, "high": 16}}, "choices"),
        ({"network": {"choices": [1]}}, "names"),
        ({"width": {"choices": []}}, "at least 1"),
        ({"depth": {"low": 1, "high": 2}}, "depth"),
        ({"width": {"low": 0.5, "high": 1, "steps": 3}}, "steps"),
    ],
)
def test_what_does_not_fit_is_reported(space, message):
    with pytest.raises(ValidationError, match=message):
        SearchSpace.model_validate(space)


EITHER = "give either low and high, or choices"


@pytest.mark.parametrize(
    ("width", "said"),
    [
        ({"low": 2, "high": 1}, "width: low 2 is not below high 1"),
        ({"low": 1, "high": 2, "scale": "log", "step": 1},
         "width: a log scale needs low above 0, and has no step"),
        ({"low": 1}, "width.high: this key is missing"),
        ({"low": "x", "high": 2}, "width.low: 'x' is not a number"),
        ({"choices": []}, "width.choices: it needs at least 1"),
        ({"choices": [1], "step": 1}, "width.step: there is no such key"),
        ({"low": 1, "high": 2, "choices": [1]}, f"width: {EITHER}"),
        ({"step": 1}, f"width: {EITHER}"),
        ({}, f"width: {EITHER}"),
        (0.5, f"width: {EITHER}"),
        ([0.5, 1], f"width: {EITHER}"),
        ({"low": 1, "high": 9}, "value: width: 9.0 is not within 0.1–4"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported_of_the_kind_that_was_meant(width, said):
    with pytest.raises(ValidationError) as caught:
        SearchSpace.model_validate({"width": width})
    assert describe_validation_error(caught.value) == said


def test_what_is_left_out_is_not_searched():
    space = SearchSpace.model_validate({"dropout": {"low": 0, "high": 0.3}})
    assert list(space.searched()) == ["dropout"]
