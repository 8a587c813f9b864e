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
