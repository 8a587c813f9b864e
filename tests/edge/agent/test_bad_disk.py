"""A disk that is full, read-only or out of inodes: the agent scores, says so, and recovers."""

import subprocess
from itertools import product

import pytest
from agent_fakes import NOBODY, agent_of, fill_disk, landed, place_model, send_all

from edge.agent.settings import CaptureSettings, LandingSettings, ModelSettings, StoreSettings
from edge.inference.errors import UserError


def read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def writable(disk):
    subprocess.run(["mount", "-o", "remount,rw,nr_inodes=1000", str(disk)], check=True)
    (disk / "others").unlink(missing_ok=True)


def without_inodes(disk):
    used = subprocess.run(
        ["df", "--output=iused", str(disk)], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    subprocess.run(["mount", "-o", f"remount,nr_inodes={used}", str(disk)], check=True)


def full(disk):
    with pytest.raises(OSError, match="No space left"):
        fill_disk(disk)


@pytest.fixture
def make(tmp_path, clock, small_disk):
    """Makes an agent with a model whose store is on a small disk."""

    def agent():
        return agent_of(
            tmp_path,
            clock,
            capture=CaptureSettings(period_seconds=1),
            landing=LandingSettings(
                str(tmp_path / "landing"), report_minutes=0.1, max_retry_seconds=5
            ),
            store=StoreSettings(small_disk / "store", free_megabytes=0),
            model=ModelSettings(NOBODY, "brightness"),
        )

    place_model(small_disk / "store" / "models" / "brightness")
    return agent


def take(agent, clock, count):
    for _ in range(count):
        agent.parts.watcher.take_frame()
        send_all(agent)
        clock.advance(1)


# a disk with an open file cannot be mounted read-only on request
@pytest.mark.parametrize(
    ("spoil", "start"),
    [
        *((full, "running"), (without_inodes, "running")),
        *product([full, without_inodes, read_only], ["first", "later"]),
    ],
)
def test_on_a_bad_disk_the_agent_scores_and_is_unhealthy(
    make, clock, tmp_path, small_disk, spoil, start
):
    if start != "first":
        agent = make()
        take(agent, clock, 2)
    if start == "later":
        agent.parts.store.close()
    spoil(small_disk)
    if start != "running":
        agent = make()
    take(agent, clock, 30)
    status = agent.status()
    assert status["frames"] >= 30 and status["model_version"] == "4" and status["score"]
    assert any(issue.startswith("disk: ") for issue in status["health_issues"]), status
    lost = status["counts"].get("dropped", 0) + status["counts"].get("results_lost", 0)
    assert lost >= (0 if spoil is without_inodes and start == "running" else 20)
    assert '"healthy": false' in (tmp_path / "landing/status/a7.json").read_text()
    writable(small_disk)
    if agent.parts.store.failure:
        with pytest.raises(UserError, match="can be written again"):
            take(agent, clock, 70)
        agent = make()
    take(agent, clock, 10)
    send_all(agent)
    assert not [i for i in agent.status()["health_issues"] if i.startswith("disk")]
    assert agent.parts.queue.size()["images"] == 0
    assert len(landed(tmp_path)) == len(set(landed(tmp_path))) >= 10
