"""A stop reaches a step wherever its interpreter is."""

import subprocess
import sys

import pytest

STEP = """
import os, signal, time, weakref
from steps.pipeline.signals import raise_when_stopped

class Image:
    pass

def stop(*_):
    os.kill(os.getpid(), {number})
    time.sleep(0.01)  # the handler runs here, where an exception is ignored

raise_when_stopped()
image = Image()
{finalizer}
try:
    del image
    time.sleep(3)
    print("went on")
except KeyboardInterrupt:
    print("stopped")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("number", ["signal.SIGINT", "signal.SIGTERM"])
@pytest.mark.parametrize("finalizer", ["kept = weakref.ref(image, stop)", "Image.__del__ = stop"])
def test_a_stop_in_a_finalizer_is_raised_after_it(number, finalizer):
    ended = run(STEP.format(number=number, finalizer=finalizer))
    assert (ended.stdout, ended.stderr, ended.returncode) == ("stopped\n", "", 0)


def test_other_exceptions_in_a_finalizer_are_shown():
    program = STEP.replace("os.kill(os.getpid(), {number})", "raise KeyError('crumbs')")
    program = program.format(finalizer="Image.__del__ = stop").replace("sleep(3)", "sleep(0)")
    ended = run(program)
    assert ended.stdout == "went on\n" and "crumbs" in ended.stderr


BLOCKS = """
import os, signal, threading
from steps.pipeline.signals import note, raise_when_stopped, stops_come_after

def stop(number=signal.{number}):
    os.kill(os.getpid(), number)

raise_when_stopped()
{program}
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("stop(); print('all')", ["all", "stopped"]),
        ("stop(); 1 / 0", ["stopped"]),
        ("print('all')", ["all", "went on"]),
        ("stop(); stop(signal.SIGINT); print('all')", {"SIGINT": ["stopped"]}),
        (
            "\n        with stops_come_after(): stop(); print('inner')\n        print('outer')",
            ["inner", "outer", "stopped"],
        ),
    ],
    ids=["one", "and an error", "none", "twice", "nested"],
)
def test_a_stop_within_a_block_comes_after_it(number, block, expected):
    program = f"""
try:
    with stops_come_after():
        {block.strip()}
    print("went on")
except KeyboardInterrupt:
    print("stopped")
"""
    ended = run(BLOCKS.format(number=number, program=program))
    if isinstance(expected, dict):
        expected = expected.get(number, ["all", "stopped"])
    assert (ended.stdout.split("\n"), ended.stderr) == ([*expected, ""], "")


def test_a_stop_that_is_only_recorded_interrupts_nothing_after_a_block():
    program = """
signal.signal(signal.SIGTERM, note)
with stops_come_after():
    stop()
print("went on")
"""
    ended = run(BLOCKS.format(number="SIGTERM", program=program))
    assert (ended.stdout, ended.stderr) == ("went on\n", "")


def test_mlflows_sigterm_is_not_lost_behind_a_ctrl_c():
    program = """
from steps.pipeline import signals
try:
    with stops_come_after():
        stop(signal.SIGINT)
        stop(signal.SIGTERM)
except KeyboardInterrupt:
    print(signal.SIGTERM in signals._received)
"""
    ended = run(BLOCKS.format(number="SIGTERM", program=program))
    assert (ended.stdout, ended.stderr) == ("True\n", "")
