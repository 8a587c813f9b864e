"""OpenCV itself, for the tests that read a real stream or file."""

import importlib.util
import sys
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/python3/dist-packages")


@pytest.fixture
def real_opencv(tmp_path, monkeypatch):
    """OpenCV of this environment, or Debian's if it is built for the same Python."""
    if importlib.util.find_spec("cv2") is None:
        built = list(DEBIAN.glob(f"cv2.cpython-3{sys.version_info.minor}-*.so"))
        if not built:
            pytest.skip("NOT PROVEN HERE: no OpenCV; apt-get install python3-opencv")
        (tmp_path / "opencv").mkdir()
        # without Debian's older numpy
        (tmp_path / "opencv" / built[0].name).symlink_to(built[0])
        monkeypatch.syspath_prepend(tmp_path / "opencv")
    return pytest.importorskip("cv2")
