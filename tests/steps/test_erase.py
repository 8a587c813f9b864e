"""What erase is told, and what it refuses; what it does stands in tests/steps/erasure."""

from types import SimpleNamespace

import pytest

from steps.erase import GIVE, Parameters, erase
from steps.errors import UserError
from steps.settings.parameters import parse_parameters


@pytest.mark.parametrize(
    "argument",
    ["--day=13.07.2026", "--before=2026-13-01", "--sha256=5f", f"--sha256={'x' * 64}"],
)
def test_what_is_no_day_or_hash_is_refused(argument):
    with pytest.raises(UserError, match=argument.partition("=")[0].lstrip("-")):
        parse_parameters(Parameters, "erase", [argument])


def test_without_a_choice_nothing_is_erased():
    with pytest.raises(UserError) as refused:
        erase(SimpleNamespace(), Parameters(dry_run=True))
    assert str(refused.value).startswith(GIVE)
