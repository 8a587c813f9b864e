import pytest

from edge.protocol.backoff import backoff_seconds


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 5), (2, 10), (3, 20), (7, 320), (8, 600), (10**9, 600)]
)
def test_pauses_double_up_to_a_bound(failures, seconds):
    assert backoff_seconds(failures, first=5, longest=600) == seconds


def test_a_bound_below_the_first_pause_holds():
    assert backoff_seconds(1, first=5, longest=1) == 1
