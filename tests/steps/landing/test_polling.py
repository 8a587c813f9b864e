"""When a landing zone is polled, and that a signal ends the polls after the current one."""

import json
import os
import signal
import threading
import time

import pytest

from steps.errors import UserError
from steps.landing import polling
from steps.landing.polling import CONTINUOUS_SECONDS, leased_polls, parse_trigger, polls
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


def _claim(home, run_id: str) -> None:
    """What a run on another machine has written a moment ago."""
    claim = {"run_id": run_id, "host": "elsewhere", "pid": 1, "at": time.time()}
    (home / "lease.json").write_text(json.dumps(claim))


@pytest.mark.timeout(60)
def test_between_two_polls_others_may_work_and_a_poll_leaves_them_alone(tmp_path, caplog):
    lease = tmp_path / "lease.json"
    done = []

    def other() -> None:
        time.sleep(0.2)
        lease.unlink()

    with leased_polls(0.01, str(tmp_path), "mine") as leases:
        for number, held in enumerate(leases):
            held.require()
            done.append(json.loads(lease.read_text())["run_id"])
            if number == 1:
                break
            lease.unlink()
            _claim(tmp_path, "theirs")  # before the next poll
            threading.Thread(target=other).start()
    assert done == ["mine", "mine"]
    assert not lease.exists()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("run theirs on elsewhere ") and said.endswith(
        "the next poll tries again"
    )


def test_a_single_poll_waits_for_another_run_and_says_which(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "steps")
    monkeypatch.setattr(polling, "WAIT_SECONDS", 1)
    _claim(tmp_path, "theirs")
    with (
        pytest.raises(UserError, match="run theirs on elsewhere"),
        leased_polls(None, str(tmp_path), "mine") as leases,
    ):
        next(leases)
    assert "waiting up to" in caplog.text
    (tmp_path / "lease.json").unlink()
    with leased_polls(None, str(tmp_path), "mine") as leases:
        assert len(list(leases)) == 1


def test_what_fails_in_a_poll_frees_the_lease(tmp_path):
    with pytest.raises(ZeroDivisionError), leased_polls(None, str(tmp_path), "mine") as leases:
        [1 / 0 for _ in leases]
    assert not (tmp_path / "lease.json").exists()


def test_polls_outlast_a_claim_of_a_clock_that_was_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr("steps.lake.lease.SECONDS", 1)
    _claim(tmp_path, "theirs")
    place = tmp_path / "lease.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"at": time.time() + 3600}))
    with leased_polls(0.1, str(tmp_path), "mine") as leases:
        next(leases).require()
