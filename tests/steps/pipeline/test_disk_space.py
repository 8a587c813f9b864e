"""Space is required where a step writes, and a full disk is named from any error that it causes."""

import errno
import os
from pathlib import Path

import pytest

from steps.errors import RunStep, UserError
from steps.pipeline.disk_space import describe_full_disk, require_space


def test_too_little_space_says_how_much_is_needed(tmp_path):
    place = str(tmp_path / "not" / "yet")
    with pytest.raises(UserError, match="the new images need 1000000050 MB in .*not/yet") as caught:
        require_space(place, 10**15, "the new images")
    assert caught.value.fix == RunStep("upkeep", {"dry_run": "true"})
    require_space(place, 0, "the new images")
    require_space(f"file://{place}", 0, "the new images")


@pytest.mark.parametrize("place", ["s3a://vision/lake", "memory://lake", "/Volumes/a/b"])
def test_only_local_disks_are_asked(place):
    require_space(place, 0, "the new images")


def test_a_full_device_is_named(tmp_path):
    """Linux has a device that is always full."""
    with pytest.raises(OSError, match="No space left") as caught:
        Path("/dev/full").write_bytes(b"x")
    try:
        raise RuntimeError("the stream ended") from caught.value
    except RuntimeError as error:
        said = describe_full_disk(error, (str(tmp_path),))
    assert said.startswith("the disk of ") and "upkeep -P dry_run=true" in said


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), OSError(errno.EACCES, os.strerror(errno.EACCES), "/lake")]
)
def test_any_other_error_is_none(error):
    assert describe_full_disk(error, ()) is None
