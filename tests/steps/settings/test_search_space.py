"""Search spaces as a profile may state them."""

import pytest
from pydantic import ValidationError

from steps.settings.search_space import SearchSpace


@pytest.mark.parametrize(
    ("space", "complaint"),
    [
        ({}, "nothing is searched"),
        ({"learning_rate": {"low": 0.1, "high": 0.01}}, "not below"),
        ({"learning_rate": {"low": 0, "high": 0.01, "scale": "log"}}, "low above 0"),
        ({"learning_rate": {"low": 0.1, "high": 2}}, "not within"),
        ({"dropout": {"low": 0, "high": 1}}, "not within"),
        ({"batch_size": {"choices": [8, 12.5]}}, "no whole number"),
        ({"batch_size": {"low": 8, "high": 16}}, "choices"),
        ({"network": {"choices": [1]}}, "names"),
        ({"width": {"choices": []}}, "at least 1"),
        ({"depth": {"low": 1, "high": 2}}, "depth"),
        ({"width": {"low": 0.5, "high": 1, "steps": 3}}, "steps"),
    ],
)
def test_what_does_not_fit_is_told(space, complaint):
    with pytest.raises(ValidationError, match=complaint):
        SearchSpace.model_validate(space)


def test_what_is_left_out_is_not_searched():
    space = SearchSpace.model_validate({"dropout": {"low": 0, "high": 0.3}})
    assert list(space.searched()) == ["dropout"]
