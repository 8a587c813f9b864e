"""The agent as a process: started, queried, stopped, killed, and watched."""

import errno
import hashlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3
from PIL import Image
from running_agent import CONFIG, running

from edge.cli.main import main
from edge.cli.running_status import STATED

KILLS = int(os.environ.get("KILLS", "5"))


@pytest.mark.slow
def test_the_agent_captures_scores_sends_and_stops_on_sigterm(tmp_path, capsys, monkeypatch):
    with running(tmp_path) as agent:
        landing = tmp_path / "landing"
        agent.wait_for(lambda: len(list(landing.glob("*.jpg"))) >= 2)
        agent.wait_for(lambda: list(landing.glob("results/a7/*.jsonl")))
        agent.wait_for((landing / "status" / "a7.json").exists)
        port = agent.page.rpartition(":")[2]
        config = tmp_path / "agent.toml"
        config.write_text(config.read_text().replace("port = 0", f"port = {port}"))
        with monkeypatch.context() as patch:  # without sudo, the user's own proxy is set
            patch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
            assert main(["status", "--config", str(config)]) == 0
        said = capsys.readouterr().out
        assert "brightness 4, release 1" in said and "a7, since" in said
        before = agent.status()["kept"].get("manual_trigger", 0)
        os.kill(agent.process.pid, signal.SIGUSR1)
        agent.wait_for(lambda: agent.status()["kept"].get("manual_trigger", 0) > before)
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(30) == 0
    assert main(["status", "--config", str(config)]) == 1
    assert "no agent answers at http://127.0.0.1" in capsys.readouterr().err
    for path in landing.glob("*.jpg"):
        with Image.open(path) as image:
            image.load()


@pytest.mark.slow
def test_signals_at_any_moment_do_not_hang_the_agent(tmp_path):
    """One that comes while the agent holds a lock must not wait for that lock."""
    with running(tmp_path) as agent:
        agent.wait_for(lambda: agent.page)
        for _ in range(10_000):
            agent.process.send_signal(signal.SIGUSR1)
            time.sleep(1e-4)
        for _ in range(20):
            agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(20) == 0


OTHER = "is answered by another program: give page.port another value"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        *((body, OTHER) for body in (b"{}", b"[]", b"null", b'{"healthy":true}', b"<p>", b"\xff")),
        (
            json.dumps(dict.fromkeys(sorted(STATED)) | {"device": "porch-1"}).encode(),
            "answers for porch-1, not a7: give page.port another value, "
            "or restart an agent that you renamed",
        ),
    ],
    ids=str,
)
def test_status_is_not_that_of_what_else_has_the_port(tmp_path, capsys, monkeypatch, body, said):
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(home=tmp_path).replace("port = 0", "port = 81"))
    monkeypatch.setattr(urllib3, "request", lambda *_, **__: urllib3.HTTPResponse(body))
    assert main(["status", "--config", str(config)]) == 1
    assert capsys.readouterr() == ("", f"edge status: http://127.0.0.1:81 {said}\n")


def test_status_of_settings_that_another_user_owns_says_sudo(tmp_path, capsys, monkeypatch):
    """Root may read anything, so the system's answer is replaced."""

    read = Path.read_text

    def refuse(path, **options):
        if path.is_relative_to(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert main(["status", "--config", str(tmp_path / "agent.toml")]) == 1
    assert capsys.readouterr().err == (
        f"edge status: cannot read the settings {tmp_path}/agent.toml (Permission denied): "
        "put sudo before the command\n"
    )


@pytest.mark.proof
def test_killed_at_random_it_loses_nothing_and_sends_nothing_twice(tmp_path):
    """KILLS=100 for more."""
    draw = random.Random(KILLS)
    for _ in range(KILLS):
        with running(tmp_path) as agent:
            agent.wait_for(lambda agent=agent: agent.page)
            time.sleep(draw.uniform(0, 2))
        database = sqlite3.connect(tmp_path / "store" / "store.sqlite")
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
    with running(tmp_path) as agent:
        frames = agent.status()["frames"]
        agent.wait_for(lambda: agent.status()["frames"] > frames)
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(30) == 0
    # what the landing zone and the store hold together is every result, once
    stated = [
        json.loads(line)
        for path in (tmp_path / "landing/results/a7").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    database = sqlite3.connect(tmp_path / "store" / "store.sqlite")
    sent = "(SELECT value FROM facts WHERE name = 'sent batches')"
    (rows, marked, closed) = database.execute(
        f"SELECT count(*), count(*) FILTER (WHERE batch <= CAST({sent} AS INTEGER)), count(batch) "
        "FROM results"
    ).fetchone()
    assert marked <= len(stated) <= closed <= rows and rows > 10 * KILLS
    assert len({row["scored_at"] for row in stated}) == len(stated)
    assert (
        database.execute("SELECT count(*) FROM results").fetchone()[0]
        == (database.execute("SELECT max(id) FROM results").fetchone()[0])
    )
    # every image that a sent result names is there, whole
    named = {row["file_name"]: row["sha256"] for row in stated if row["file_name"]}
    assert named
    for name, sha256 in named.items():
        content = (tmp_path / "landing" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
    waiting = {row[0] for row in database.execute("SELECT file FROM images")}
    assert waiting == {path.name for path in (tmp_path / "store/images").iterdir()}
    assert "lost" not in dict(database.execute("SELECT name, value FROM counts"))


@pytest.mark.slow
def test_systemd_is_notified_of_ready_watchdog_and_stopping(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(60)
        with running(tmp_path, {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as agent:
            assert heard.recv(100) == b"READY=1"
            assert {heard.recv(100) for _ in range(3)} == {b"WATCHDOG=1"}
            agent.process.send_signal(signal.SIGTERM)
            while (said := heard.recv(100)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1"
            assert agent.process.wait(30) == 0


HANGS = """
import sys, threading
from pathlib import Path
from edge.agent.agent import Agent
from edge.agent.settings import Settings
from edge.agent.watchdog import Watchdog
agent = Agent(Settings.read(Path(sys.argv[1])))
agent.parts.camera.shot = threading.Event().wait  # as a driver that never returns
agent.run(Watchdog(0.5))
"""


@pytest.mark.slow
def test_a_process_that_hangs_ends_and_logs_where(tmp_path):
    (tmp_path / "landing").mkdir()
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(home=tmp_path).partition("[model]")[0])
    config.write_text(config.read_text() + f'[store]\nfolder = "{tmp_path}/store"\n')
    command = [sys.executable, "-c", HANGS, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Timeout (0:00:00.500000)!" in done.stderr and "watcher.py" in done.stderr
