"""When a landing zone is polled, and that a signal ends the polls after the current one."""

import os
import signal
import threading
import time

import pytest

from steps.errors import UserError
from steps.ingestion.polling import CONTINUOUS_SECONDS, parse_trigger, polls
from steps.pipeline import signals as stopped

SIGNALS = [signal.SIGINT, signal.SIGTERM]
AT_ONCE, NEVER = 0.001, 3600.0


@pytest.mark.parametrize(
    ("trigger", "seconds"),
    [
        ("available_now", None),
        ("continuous", CONTINUOUS_SECONDS),
        ("1 second", 1),
        ("90 seconds", 90),
        ("0.5 seconds", 0.5),
        ("10 minutes", 600),
        ("10minutes", 600),
        (" 2 hours ", 7200),
        ("1 day", 86400),
    ],
)
def test_a_trigger_has_a_period(trigger, seconds):
    assert parse_trigger(trigger) == seconds


@pytest.mark.parametrize(
    "trigger",
    [
        *("", "now", "once", "minutes", "0 minutes", "0.0 seconds", "-1 minutes", "10", "10 weeks"),
        *("1e3 seconds", "nan seconds", "10 minutes 5 seconds", "10  minutes", "10 MINUTES", "٣"),
    ],
)
def test_an_invalid_trigger_is_an_error(trigger):
    with pytest.raises(UserError, match="is not a valid trigger; pass -P trigger=") as caught:
        parse_trigger(trigger)
    assert repr(trigger) in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture(autouse=True)
def others(monkeypatch):
    """Handlers of somebody else, who must get theirs back."""
    monkeypatch.setattr(stopped, "_received", [])
    told = []
    before = {number: signal.signal(number, lambda *a: told.append(a[0])) for number in SIGNALS}
    yield told
    for number, handler in before.items():
        signal.signal(number, handler)


def _handlers() -> list:
    return [signal.getsignal(number) for number in SIGNALS]


def test_without_a_period_there_is_one_poll_and_handlers_stay(others):
    before = _handlers()
    with polls(None) as numbers:
        assert _handlers() == before
        os.kill(os.getpid(), signal.SIGTERM)
        assert list(numbers) == [0]
    assert others == [signal.SIGTERM]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("last", [0, 3])
def test_a_signal_ends_the_polls_after_the_current_one(number, last, others):
    finished = []
    with polls(AT_ONCE) as numbers:
        for look in numbers:
            if look == last:
                os.kill(os.getpid(), number)
            finished.append(look)
    assert finished == list(range(last + 1))
    os.kill(os.getpid(), signal.SIGTERM)  # as MLflow does after a Ctrl-C: the work is being ended
    assert others == [] and stopped._received == [number, signal.SIGTERM]


@pytest.mark.timeout(60)
def test_a_signal_ends_the_wait_for_the_next_poll():
    looked = threading.Event()

    def end() -> None:
        looked.wait()
        time.sleep(0.1)  # so that it mostly meets the wait; the look is right as well
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    finished = []
    with polls(NEVER) as numbers:
        for look in numbers:
            finished.append(look)
            looked.set()
    thread.join()
    assert finished == [0]


@pytest.mark.parametrize("fails", [False, True])
def test_the_earlier_handlers_are_restored(fails, others):
    before = _handlers()
    try:
        with polls(AT_ONCE) as numbers:
            assert next(numbers) == 0
            assert set(_handlers()).isdisjoint(before)
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    assert _handlers() == before
    for number in SIGNALS:
        os.kill(os.getpid(), number)
    assert others == SIGNALS
