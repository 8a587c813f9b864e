"""Flipped bytes, broken and endless downloads, no server: refused, and the old model scores on."""

import os
import random
from functools import partial

import pytest
from release_server import cut, endless, is_file, trickling
from signing import FOREIGN, public

from edge.agent.follower import Follower
from edge.inference.errors import UserError
from edge.outbox.erasures import Erasures
from edge.outbox.store import Store
from edge.protocol.release import ReleaseError
from edge.protocol.signature import KEYS_FILE, SignatureError
from edge.update.errors import RegistryError
from edge.update.polling import PollTimes

FLIPS = int(os.environ.get("FLIPS", "60"))
"""Random bytes of the statement, of the files on their way, and of those on the device."""


def flipped(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    changed = content[place] ^ chance.randrange(1, 256)
    return content[:place] + bytes([changed]) + content[place + 1 :]


@pytest.mark.slow
def test_a_flipped_byte_of_the_release_or_a_file_is_refused(updated, tmp_path):
    """A release that is accepted all the same has only another kind of space in its statement."""
    refused = 0
    for number in range(FLIPS):
        chance = random.Random(number)
        device = updated.copy(tmp_path / str(number))
        target = chance.choice(
            ["statement", "statement", "model.onnx", "record.json", "reference_images.json"]
        )
        device.server.alter = partial(
            lambda name, content, target, chance: (
                flipped(content, chance) if name == target else content
            ),
            target=target,
            chance=chance,
        )
        try:
            device.updater().check()
        except UserError:
            refused += 1
            assert device.require_working(1), (number, target)
        else:
            assert target == "statement" and device.require_working(2), (number, target)
    assert refused > 0.9 * FLIPS
    updated.server.alter = lambda name, content: content
    assert updated.updater().check().release == 2


@pytest.mark.slow
def test_a_flipped_byte_on_the_device_is_survived_and_repaired(updated, tmp_path):
    updater = updated.updater()
    updater.check()
    updater.probation.commit()
    files = sorted(
        path.relative_to(updated.models)
        for path in updated.home.rglob("*")
        if path.is_file() and "release-1" not in path.parts and "current" not in path.parts
    )
    assert {path.name for path in files} >= {"model.onnx", "release.json", "update.json"}
    for number in range(FLIPS):
        chance = random.Random(number)
        device = updated.copy(tmp_path / str(number))
        path = device.models / chance.choice(files)
        path.write_bytes(flipped(path.read_bytes(), chance))
        assert device.require_working(1, 2), (number, path)
        updater = device.updater()
        updater.probation.recover()
        updater.check()
        assert device.require_working(2), (number, path)


@pytest.mark.parametrize("fault", [cut, endless, trickling], ids=lambda fault: fault.__name__)
def test_a_failed_download_keeps_the_old_model(updated, monkeypatch, fault):
    monkeypatch.setattr("edge.update.server.READ_SECONDS", 0.3)
    monkeypatch.setattr("edge.update.server.SLOWEST", 1 << 20)
    updated.server.fault = fault
    with pytest.raises((RegistryError, ReleaseError), match="broke off|longer than|slower than"):
        updated.updater().check()
    assert updated.require_working(1)
    assert sum(path.stat().st_size for path in updated.home.rglob("*")) < 1 << 20
    updated.server.fault = lambda handler: False
    assert updated.updater().check().release == 2


def test_each_attempt_resumes_where_the_last_one_broke_off(updated):
    """Each attempt brings half of what is missing, and no byte comes twice."""
    updated.server.fault = cut
    for _ in range(3):
        with pytest.raises(RegistryError, match="broke off: pull again"):
            updated.updater().check()
    updated.server.fault = lambda handler: False
    done = updated.updater().check()
    ranges = [headers.get("Range") for path, headers in updated.server.requests if "get-" in path]
    whole = (updated.folders[2] / "model.onnx").stat().st_size
    begins = [whole - whole // 2, whole - whole // 4, whole - whole // 8]
    assert ranges == [None, *(f"bytes={begin}-" for begin in begins), None, None]
    assert updated.server.sent == done.downloaded and updated.require_working(2)


def test_a_server_without_ranges_sends_the_full_file(updated):
    updated.server.fault = cut
    with pytest.raises(RegistryError):
        updated.updater().check()

    def whole(handler):
        if is_file(handler):
            handler.headers.replace_header("Range", "bytes=0-") if handler.headers["Range"] else 0
        return False

    updated.server.fault = whole
    assert updated.updater().check().release == 2 and updated.require_working(2)


def test_a_damaged_file_is_downloaded_less_and_less_often(updated, clock, tmp_path):
    """Not every device asks at every poll for a file that the store has lost."""
    updated.server.alter = lambda name, content: content[:-9] if name == "model.onnx" else content
    erasures = Erasures(Store(tmp_path / "store"), "a7")
    follower = Follower(updated.updater(), PollTimes(60, seed="a7"), clock, erasures)
    for _ in range(24 * 60):
        follower.work()
        clock.advance(60)
    assert "model.onnx differs from the released file" in follower.failure
    assert 24 <= updated.server.fetched().count("model.onnx") < 60
    assert updated.require_working(1)


def test_a_server_that_is_down_is_reported(updated):
    address = updated.server.address
    updater = updated.updater()
    updated.server.close()
    for _ in range(2):
        with pytest.raises(RegistryError, match=f"no MLflow server answers at {address}"):
            updater.check()
    assert updated.require_working(1)


def test_an_endless_statement_is_not_read_to_its_end(updated):
    updated.server.alter = lambda name, content: (
        b"x" * (3 << 20) if name == "statement" else content
    )
    with pytest.raises(RegistryError, match="does not answer as an MLflow server"):
        updated.updater().check()
    assert updated.require_working(1)


def test_a_statement_nested_without_end_is_refused(updated):
    for text in ("[" * 100_000, '{"files": ' * 20_000):
        updated.server.alter = lambda name, content, text=text: text.encode()
        with pytest.raises(ReleaseError, match="statement is damaged"):
            updated.updater().check()
    assert updated.require_working(1)


def test_keys_that_are_pinned_after_the_start_count(updated, clock, tmp_path):
    """As by a pull beside the running agent; the registry answered though its release is bad."""
    updater = updated.updater(keys=[])
    (updated.models / KEYS_FILE).write_text(f"{public(FOREIGN)}\n")
    erasures = Erasures(Store(tmp_path / "store"), "a7")
    follower = Follower(updater, PollTimes(60, seed="a7"), clock, erasures)
    clock.advance(61)
    follower.work()
    assert "none of which this device trusts" in follower.failure and follower.reached_at
    assert (updated.models / KEYS_FILE).read_text() == f"{public(FOREIGN)}\n"
    assert updated.server.fetched() == [] and updated.require_working(1)


def test_an_unsigned_or_foreign_release_is_not_fetched(updated):
    for change in (
        lambda text: text.replace('"signatures"', '"unsigned"'),
        lambda text: text.replace(updated.updater().keys[0], "A" * 43 + "="),
    ):
        updated.release(2)
        updated.server.statement = change(updated.server.statement)
        with pytest.raises(SignatureError):
            updated.updater().check()
    assert updated.server.fetched() == [] and updated.require_working(1)
