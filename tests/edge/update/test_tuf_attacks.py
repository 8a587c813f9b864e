"""The attacks that The Update Framework lists, by a hostile server on a real agent.

After each, the old model serves on, the status says why, and nothing loops; then an honest server
is followed again. Single attacks in more variants: test_hostile_servers.py, test_transport.py,
test_updater.py and test_signature.py.
"""

import json
import re
from datetime import datetime, timedelta

import pytest
from agent_fakes import NOON, agent_of
from release_server import KEY, MODEL, PUBLIC_KEY, cut, endless, is_file, trickling
from signing import FOREIGN, NEXT, public, signing

from edge.agent.settings import ModelSettings, StoreSettings

DAY = timedelta(days=1)


def fresh(device, release: int, issued: datetime, by=KEY, **changes) -> None:
    """Let the server come with a freshness statement that holds for a day."""
    stated = {"model": MODEL, "alias": "champion", "version": str(release), "release": release}
    stated |= {"issued": int(issued.timestamp()), "expires": int((issued + DAY).timestamp())}
    signing(by)(stated := stated | changes)
    device.server.freshness = json.dumps(stated)


def publish(device, folder: int, number: int, by=KEY, **changes) -> None:
    """Release a folder's files under a number, changed, and signed by a key."""
    device.server.release(device.folders[folder], number)
    stated = json.loads(device.server.statement) | changes
    signing(by)(stated)
    device.server.statement = json.dumps(stated)


@pytest.fixture
def agent(updated, tmp_path, clock):
    """An agent with release 1 in use, which an honest server has said is the newest."""
    (tmp_path / "keys").write_text(PUBLIC_KEY)
    followed = ModelSettings(updated.server.address, MODEL, keys=str(tmp_path / "keys"))
    store = StoreSettings(updated.models.parent, free_megabytes=0)
    agent = agent_of(tmp_path, clock, model=followed, store=store)
    updated.release(1)
    fresh(updated, 1, NOON)
    assert poll(agent, clock) is None
    return agent


def poll(agent, clock, hours: float = 2) -> str | None:
    """Let time pass, poll once, score a frame; return what the status says of the model."""
    clock.advance(hours * 3600)
    assert agent.parts.follower.work() is False
    agent.parts.watcher.take_frame()
    status = agent.status()
    assert status["label"] in ("dark", "bright") and status["model"] == MODEL
    return status["model_failure"]


def rollback(device):
    """Number 1 again, newly signed by the release key's holder of then: an older network."""
    publish(device, 2, 1)


def older_statement(device):
    fresh(device, 1, NOON - DAY)


def statement_of_a_later_release(device):
    fresh(device, 2, NOON + timedelta(hours=1))


def statement_for_another_alias(device):
    fresh(device, 1, NOON, alias="canary")


def mixed_files(device):
    publish(device, 2, 2)
    fresh(device, 2, NOON)
    device.server.folder = device.folders[3]


def endless_data(device):
    publish(device, 2, 2)
    fresh(device, 2, NOON)
    device.server.fault = endless


def slow_retrieval(device):
    publish(device, 2, 2)
    fresh(device, 2, NOON)
    device.server.fault = trickling


def interrupted(device):
    publish(device, 2, 2)
    fresh(device, 2, NOON)
    device.server.fault = lambda handler: is_file(handler, "model.onnx") and cut(handler)


def wrong_software(device):
    publish(device, 2, 2, model="another-model")


def foreign_key(device):
    publish(device, 2, 2, by=FOREIGN)


def foreign_freshness(device):
    fresh(device, 1, NOON + 99 * DAY, by=FOREIGN)


def fast_forward(device):
    publish(device, 2, 10**9)
    fresh(device, 10**9, NOON)


def broken_freshness(device):
    device.server.freshness = '{"release": "1", "issued": 1e999}'


ATTACKS = {
    rollback: "not newer than release 1|freshness statement",
    older_statement: "older freshness statement than before",
    statement_of_a_later_release: "release 1 of brightness came with the freshness statement of",
    statement_for_another_alias: "of release 1 of brightness@canary",
    mixed_files: "differs from the released file|is longer than",
    endless_data: "is longer than the .* bytes released",
    slow_retrieval: "broke off",
    interrupted: "broke off|differs",
    wrong_software: "carries the release statement of another-model",
    foreign_key: "none of which this device trusts",
    foreign_freshness: "none of which this device trusts",
    fast_forward: "far ahead of release 1",
    broken_freshness: "the freshness statement is damaged",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_leaves_the_old_model_and_its_reason(updated, agent, clock, monkeypatch, attack):
    monkeypatch.setattr("edge.update.server.READ_SECONDS", 0.3)
    monkeypatch.setattr("edge.update.server.SLOWEST", 1 << 30)
    attack(updated)
    for _ in range(3):
        updated.server.requests.clear()
        said = poll(agent, clock)
        assert said and re.search(ATTACKS[attack], said)
        assert len(updated.server.requests) <= 6, "it asks again and again"
        assert updated.require_working(1)
    updated.server.fault = lambda handler: False
    publish(updated, 3, 3)
    fresh(updated, 3, NOON + timedelta(hours=8))
    assert poll(agent, clock) is None and updated.require_working(3)


@pytest.mark.parametrize("what", ["the same release for ever", "no statement any more", "nothing"])
def test_a_frozen_device_says_so_and_scores_on(updated, agent, clock, what):
    if what == "no statement any more":
        updated.server.freshness = ""
    elif what == "nothing":
        updated.server.fault = lambda handler: handler.send(503, b"") or True
    assert "stale" not in (poll(agent, clock, 10) or "")
    said = poll(agent, clock, 20)
    assert "stale: release 1 was the newest until 2026-07-14 12:00 UTC" in said
    assert updated.require_working(1)
    assert agent.health_issues() == [], "it does its work"
    updated.server.fault = lambda handler: False
    fresh(updated, 1, clock.now().wall_time)
    assert poll(agent, clock) is None


def test_a_clock_that_nothing_vouches_for_makes_nothing_stale(updated, agent, clock):
    clock.restart(NOON + 400 * DAY, is_set=False)
    assert poll(agent, clock) is None
    clock.set_to(NOON + 400 * DAY)
    assert "stale" in poll(agent, clock)


def test_a_stolen_key_is_replaced_and_what_it_signed_forgotten(updated, agent, clock, tmp_path):
    """A thief of the key can name any release; the device is given the next key by hand."""
    publish(updated, 2, 900)
    fresh(updated, 900, NOON + 9999 * DAY)
    assert poll(agent, clock) is None and updated.score()[0] == 900
    publish(updated, 3, 901, by=NEXT)
    fresh(updated, 901, clock.now().wall_time, by=NEXT)
    assert "none of which this device trusts" in poll(agent, clock)
    agent.parts.updater.keys = [public(NEXT)]  # as after a restart with another file of keys
    assert poll(agent, clock) is None and updated.score()[0] == 901
    assert agent.parts.updater.freshness.release == 901
    publish(updated, 2, 902)
    assert "none of which this device trusts" in poll(agent, clock)
    assert updated.score()[0] == 901


def test_a_damaged_statement_on_the_device_is_replaced(updated, agent, clock):
    (updated.home / "freshness.json").write_bytes(b"\xff")
    assert agent.parts.updater.freshness is None
    assert poll(agent, clock) is None and agent.parts.updater.freshness.release == 1


def test_a_statement_of_a_clock_that_was_ahead_does_not_lock_the_device(updated, agent, clock):
    fresh(updated, 1, NOON + 400 * DAY)
    assert poll(agent, clock) is None and agent.parts.updater.freshness.expires
    publish(updated, 2, 2)
    fresh(updated, 2, clock.now().wall_time)
    assert poll(agent, clock) is None and updated.require_working(2)
    fresh(updated, 2, NOON)
    assert "older freshness statement than before" in poll(agent, clock)
