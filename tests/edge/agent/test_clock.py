"""Whether the clock is synced, by the kernel, systemd-timesyncd and real-time clocks."""

import ctypes
import sqlite3
import struct
import time
from datetime import UTC, datetime, timedelta

import pytest
from agent_fakes import NOON, FakeClock

from edge.agent import clock
from edge.agent.clock import MAX_ERROR, Clock
from edge.outbox.store import Store

HOUR = 3600


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes a machine's clock: the kernel's error, whether timesyncd heard a server, its RTCs.

    An RTC is the text that it says, or by how many seconds it is behind.
    """

    def make(error: int = MAX_ERROR, heard: bool = False, rtcs: list | None = None, **options):
        monkeypatch.setattr(clock, "_clock_error", lambda: error)
        monkeypatch.setattr(clock, "SYNCHRONISED", tmp_path / "synchronized")
        monkeypatch.setattr(clock, "RTCS", tmp_path / "rtc")
        if heard:
            (tmp_path / "synchronized").touch()
        for number, delay in enumerate(rtcs or []):
            text = delay if isinstance(delay, str) else f"{time.time() - delay:.0f}\n"
            (tmp_path / "rtc" / f"rtc{number}").mkdir(parents=True)
            (tmp_path / "rtc" / f"rtc{number}" / "since_epoch").write_text(text)
        return Clock(**options)

    return make


@pytest.mark.parametrize(
    ("state", "is_synced"),
    [
        pytest.param({}, False, id="a restored time that nothing confirms"),
        pytest.param({"error": 4000}, True, id="a time server, by the kernel"),
        pytest.param({"heard": True}, True, id="a time server, long before this process"),
        pytest.param({"rtcs": [1]}, True, id="a real-time clock with a battery"),
        pytest.param({"rtcs": [5 * HOUR]}, False, id="a real-time clock that disagrees"),
        pytest.param({"rtcs": ["300\n"]}, False, id="a real-time clock with an empty battery"),
        pytest.param({"rtcs": [""]}, False, id="one whose driver gives no time"),
        pytest.param({"rtcs": ["300\n", 1]}, True, id="one of two real-time clocks agrees"),
        pytest.param({"trusted": True}, True, id="trusted by the settings"),
    ],
)
def test_a_clock_is_synced_if_something_confirms_it(machine, state, is_synced):
    now = machine(**state).now()
    assert now.is_synced is is_synced
    assert abs(now.wall_time - datetime.now(UTC)) < timedelta(seconds=5)


def test_one_answer_of_a_time_server_is_enough(machine, monkeypatch):
    heard = machine(error=4000)
    assert heard.now().is_synced
    monkeypatch.setattr(clock, "_clock_error", lambda: MAX_ERROR)
    assert heard.now().is_synced


def test_a_sync_holds_for_later_processes_until_the_machine_restarts(
    machine, monkeypatch, tmp_path
):
    store = Store(tmp_path / "store")
    assert not machine(store=store).now().is_synced
    assert machine(error=4000, store=store).now().is_synced
    store.close()
    store = Store(tmp_path / "store")
    assert machine(store=store).now().is_synced
    (tmp_path / "boot_id").write_text("another start\n")
    monkeypatch.setattr(clock, "BOOT_ID", tmp_path / "boot_id")
    assert not machine(store=store).now().is_synced


def test_a_trusted_clock_is_trusted_only_while_the_settings_say_so(machine, tmp_path):
    store = Store(tmp_path / "store")
    assert machine(trusted=True, store=store).now().is_synced
    assert not machine(store=store).now().is_synced


def test_on_a_full_disk_a_sync_is_stored_later(machine, monkeypatch, tmp_path):
    def full(*arguments):
        raise sqlite3.OperationalError("database or disk is full")

    store = Store(tmp_path / "store")
    heard = machine(error=4000, store=store)
    with monkeypatch.context() as disk:
        disk.setattr(store, "store_value", full)
        assert heard.now().is_synced
    assert heard.now().is_synced
    assert machine(store=store).now().is_synced


def test_an_impossible_time_is_not_synced_whatever_confirms_it(machine, monkeypatch):
    vouched = machine(error=4000)
    with monkeypatch.context() as wrong:
        wrong.setattr(clock, "EARLIEST", datetime.now(UTC) + timedelta(days=1))
        assert not vouched.now().is_synced
    monkeypatch.setattr(clock, "_clock_error", lambda: MAX_ERROR)
    assert not vouched.now().is_synced


def test_a_clock_that_is_set_later_is_noticed(machine, tmp_path):
    waits = machine()
    assert not waits.now().is_synced
    (tmp_path / "synchronized").touch()
    assert waits.now().is_synced


class Kernel:
    """Answers ``adjtimex`` as 64-bit Linux does: the error is the fourth number of the struct."""

    def __init__(self, state: int):
        self.state, self.asked = state, None

    def adjtimex(self, timex) -> int:
        self.asked = ctypes.string_at(timex, 4)
        ctypes.memmove(timex, struct.pack("=I4xqqqq", 0, 1111, 2222, 4000, 3333), 40)
        return self.state


@pytest.mark.parametrize(
    ("state", "error"),
    [
        pytest.param(0, 4000, id="synchronised"),
        pytest.param(5, 4000, id="its flag says otherwise, as with chrony"),
        pytest.param(-1, MAX_ERROR, id="the call is forbidden"),
    ],
)
def test_the_error_is_read_from_the_kernel(monkeypatch, state, error):
    kernel = Kernel(state)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: kernel)
    assert clock._clock_error() == error
    assert kernel.asked == bytes(4)  # no mode: to change the clock would take a right


def test_the_uptime_dates_a_moment_before_the_clock_was_set():
    fake = FakeClock(datetime(1970, 1, 1, 0, 3, tzinfo=UTC))
    then = fake.now()
    fake.advance(30)
    fake.set_to(NOON)
    assert then.resolve(fake.now()).wall_time == NOON - timedelta(seconds=30)


def test_a_moment_before_a_restart_keeps_only_its_time_of_day():
    """The clock continued from a saved time, which looks valid."""
    fake = FakeClock(NOON - timedelta(days=3), is_set=False)
    then = fake.now()
    fake.restart(NOON)
    dated = then.resolve(fake.now())
    assert dated.wall_time == datetime(1970, 1, 1, 12, tzinfo=UTC) and not dated.is_synced
