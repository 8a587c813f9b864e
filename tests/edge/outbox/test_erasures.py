"""What was erased in the lake: a device deletes it and never sends it, whatever happens to it."""

import json
from datetime import timedelta

import pytest
from agent_fakes import NOON, FakeClock, agent_of, landed
from waiting_images import frame

from edge.outbox.queue_files import UNREADABLE
from edge.outbox.reason import Reason
from edge.outbox.result import Result
from edge.protocol.erased import ERASED, Erased, Rule

LATER = (NOON + timedelta(days=2)).isoformat()
MINUTE = "2026-07-13T12%3A{}%3A00_rpi_sensor_a7_porch.jpg"


def keep(agent, clock: FakeClock, count: int = 3) -> None:
    for number in range(count):
        agent.parts.queue.keep(frame(number), "imx708", Reason.PERIOD, clock.now())
        clock.advance(60)


def forbid(tmp_path, *rules: Rule) -> None:
    (tmp_path / "landing" / ERASED).write_text(Erased(rules).text())


def send(agent) -> None:
    while agent.sender.work():
        pass


def hash_of_first(agent) -> str:
    return agent.parts.queue.next().sha256


RULES = {
    "device": (lambda _: Rule(LATER, device="a7"), []),
    "another device": (lambda _: Rule(LATER, device="a8"), ["00", "01", "02"]),
    "day": (lambda _: Rule(LATER, day="2026-07-13"), []),
    "another day": (lambda _: Rule(LATER, day="2026-07-12"), ["00", "01", "02"]),
    "day of another device": (
        lambda _: Rule(LATER, device="a8", day="2026-07-13"),
        ["00", "01", "02"],
    ),
    "age": (lambda _: Rule(LATER, before="2026-07-14"), []),
    "not so old": (lambda _: Rule(LATER, before="2026-07-13"), ["00", "01", "02"]),
    "asked before": (
        lambda _: Rule((NOON + timedelta(seconds=90)).isoformat(), device="a7"),
        ["02"],
    ),
    "hash": (lambda agent: Rule(LATER, sha256=(hash_of_first(agent),)), ["01", "02"]),
}


@pytest.mark.parametrize(("rule", "sent"), RULES.values(), ids=RULES)
def test_what_a_rule_means_is_deleted_and_the_rest_is_sent(tmp_path, rule, sent):
    clock = FakeClock()
    agent = agent_of(tmp_path, clock)
    keep(agent, clock)
    forbid(tmp_path, rule(agent))
    send(agent)
    assert landed(tmp_path) == [MINUTE.format(minute) for minute in sent]
    assert not any((tmp_path / "store" / "images").iterdir())
    assert agent.parts.store.counts().get("erased", 0) == 3 - len(sent)


def test_the_list_holds_after_a_restart_although_it_is_gone_or_damaged(tmp_path):
    clock = FakeClock()
    agent = agent_of(tmp_path, clock)
    forbid(tmp_path, Rule(LATER, device="a7"))
    send(agent)
    agent.parts.store.close()
    for damage in (None, "{", json.dumps({"rules": [{"asked_at": "x", "sha256": []}]})):
        (tmp_path / "landing" / ERASED).unlink(missing_ok=True)
        if damage is not None:
            (tmp_path / "landing" / ERASED).write_text(damage)
        agent = agent_of(tmp_path, clock)
        keep(agent, clock)
        send(agent)
        assert agent.sender.failure is None and landed(tmp_path) == []
        agent.parts.store.close()


def test_an_undated_image_is_deleted_once_its_time_is_known(tmp_path):
    clock = FakeClock(is_set=False)
    agent = agent_of(tmp_path, clock)
    keep(agent, clock, count=1)
    forbid(tmp_path, Rule(LATER, day="2026-07-15"))
    clock.set_to(NOON + timedelta(days=2))
    send(agent)
    assert landed(tmp_path) == [] and not any((tmp_path / "store" / "images").iterdir())


def test_a_list_that_comes_while_the_agent_runs_is_read_with_the_next_report(tmp_path):
    clock = FakeClock()
    agent = agent_of(tmp_path, clock)
    send(agent)
    forbid(tmp_path, Rule(LATER, device="a7"))
    unreadable = tmp_path / "store" / UNREADABLE
    unreadable.mkdir()
    (unreadable / f"period.12345678.{MINUTE.format('00')}").write_bytes(b"it could not be read")
    clock.advance(601)
    keep(agent, clock)
    send(agent)
    assert landed(tmp_path) == [] and not any(unreadable.iterdir())


def test_results_of_an_erased_image_are_sent_without_it(tmp_path):
    clock = FakeClock()
    agent = agent_of(tmp_path, clock)
    image_id = agent.parts.queue.keep(frame(), "imx708", Reason.PERIOD, clock.now())
    result = Result("m", "1", label="0", score=0.9, probabilities={"0": 0.9, "1": 0.1})
    agent.parts.results.add(result, clock.now(), image_id)
    forbid(tmp_path, Rule(LATER, device="a7"))
    send(agent)
    [file] = (tmp_path / "landing" / "results").rglob("*.jsonl")
    row = json.loads(file.read_text())
    assert (row["label"], row["file_name"], row["sha256"]) == ("0", None, None)
