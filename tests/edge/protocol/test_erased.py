"""The list of what was erased: what is on it, and what a damaged one is."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.protocol.erased import Erased, ErasedError, Rule
from steps.ingestion.erased import by_age, with_rule

NOON = datetime(2026, 7, 13, 12, tzinfo=UTC)
ASKED = (NOON + timedelta(days=5)).isoformat()
HASH = "5f" * 32


@pytest.mark.parametrize(
    ("given", "sha256", "device", "captured_at", "is_covered"),
    [
        ({"sha256": (HASH,)}, HASH, "7", NOON + timedelta(days=9), True),
        ({"sha256": (HASH,)}, "6a" * 32, "7", NOON, False),
        ({"sha256": (HASH,)}, None, "7", NOON, False),
        ({"sha256": (HASH,), "device": "7"}, HASH, "8", NOON, False),
        ({"device": "7"}, None, "7", NOON, True),
        ({"device": "7"}, None, "7", None, True),
        ({"device": "7"}, None, "7", NOON + timedelta(days=6), False),
        ({"device": "7", "day": "2026-07-13"}, None, "7", NOON, True),
        ({"device": "7", "day": "2026-07-14"}, None, "7", NOON, False),
        ({"day": "2026-07-13"}, None, None, NOON, True),
        ({"day": "2026-07-13"}, None, None, None, False),
        ({"day": "1970-01-01"}, None, None, NOON.replace(year=1970), False),
        ({"before": "2026-07-14"}, None, None, NOON, True),
        ({"before": "2026-07-13"}, None, None, NOON, False),
        ({"before": "2026-07-14"}, None, None, NOON.replace(year=1970), False),
    ],
)
def test_an_image_is_meant_if_all_that_is_given_holds(
    given, sha256, device, captured_at, is_covered
):
    erased = Erased((Rule(ASKED, **given),))
    assert Erased.parse(erased.text()) == erased
    assert erased.covers(sha256, device, captured_at) == is_covered
    assert Erased((), frozenset([HASH])).covers(HASH, None, None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"rules": 1}', "[" * 100_000, b"\xff"),
        '{"rules": [{}], "sha256": [], "files": []}',
        '{"rules": [{"asked_at": "soon", "sha256": []}], "sha256": [], "files": []}',
        '{"rules": [{"asked_at": "2026-07-13", "sha256": []}], "sha256": [], "files": []}',
        Erased((Rule(ASKED),)).text().replace('"day"', '"hour"'),
    ],
)
def test_a_damaged_list_is_refused(text):
    with pytest.raises(ErasedError, match="damaged"):
        Erased.parse(text)


def test_of_ages_the_latest_day_is_enough():
    asked = Rule(ASKED, device="7")
    erased = with_rule(Erased(), asked)
    for days in (90, 30, 60):
        erased = with_rule(erased, by_age(days))
    assert erased.rules == (asked, by_age(30))
