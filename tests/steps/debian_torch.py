"""PyTorch for tests: that of .venv, or Debian's if it is built for the same Python."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/python3/dist-packages/torch")


def python_with_torch(place: Path, untested: str) -> Callable[..., str]:
    """Return a function that runs Python with PyTorch and returns what it printed.

    Args:
        place: an empty folder.
        untested: what is not tested if PyTorch is missing: then the test is skipped.
    """
    environment = dict(os.environ)
    if importlib.util.find_spec("torch") is None:
        if not any(DEBIAN.glob(f"_C.cpython-3{sys.version_info.minor}-*.so")):
            pytest.skip(
                f"PyTorch is not installed, so {untested}: "
                "`$(setup/uv.sh) pip install --python .venv torch` (its CPU build is small), "
                "or on Debian 12 "
                "`apt-get install --no-install-recommends python3-torch` (150 MB)"
            )
        (place / "torch").symlink_to(DEBIAN)  # without Debian's older numpy
        environment["PYTHONPATH"] = str(place)

    def run_python(*command: str) -> str:
        command = [sys.executable, "-W", "ignore", *command]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run_python
