"""Aliases that one run at a time moves, and the history of their moves."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pytest
from mlflow import MlflowClient

from steps.errors import RunStep, UserError
from steps.pipeline.commands import Commands
from steps.pipeline.report import Report
from steps.pipeline.step import StepRun
from steps.registry import alias_lock
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import history, main, move_alias, require_version, version_by_alias
from steps.settings.profile import load_profile
from steps.upkeep import _renew_freshness

NAME = 'it\'s "ours"'


@pytest.fixture
def model(store, monkeypatch) -> str:
    monkeypatch.setattr(alias_lock, "POLL_SECONDS", 0.05)
    client = MlflowClient()
    client.create_registered_model(NAME)
    for _ in range(3):
        client.create_model_version(NAME, "file:///nowhere")
    return NAME


def run() -> str:
    return MlflowClient().create_run("0").info.run_id


class ServerWithUsers(BaseHTTPRequestHandler):
    """Answers as MLflow's server with users does if there is no such model."""

    def do_GET(self):
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"Permission denied")

    def log_message(self, *_):
        pass


def test_on_a_server_with_users_a_model_that_nobody_registered_is_missing(monkeypatch, caplog):
    with ThreadingHTTPServer(("127.0.0.1", 0), ServerWithUsers) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
            mlflow.set_tracking_uri(None)
            assert version_by_alias(NAME, "champion") is None
            said = "there is no registered model .*, or this user may not read it"
            with pytest.raises(UserError, match=said):
                require_version(NAME, "champion", made_by="export")
            with pytest.raises(UserError, match=said):
                history(NAME, "champion")
            profile = load_profile("local")
            for exported in ([], ["a run"]):  # where nothing was ever exported, nothing is missing
                monkeypatch.setattr("steps.upkeep.finished_runs", lambda *_, **__: exported)  # noqa: B023
                _renew_freshness(StepRun("5f", profile, {}, Report("upkeep", "5f"), Commands()))
                warned = re.search(f"no release stays fresh: {said}", caplog.text)
                assert bool(warned) == bool(exported)
        finally:
            server.shutdown()


def test_each_move_is_kept_with_its_reason(model, capsys):
    for version, reason in (("1", "first"), ("2", "better"), ("2", "again"), ("1", "sees ghosts")):
        move_alias(model, "champion", version, "a" * 32, reason)
    move_alias(model, "canary", "3", "b" * 32, "a rollout group")
    moves = history(model, "champion")
    assert [move[1:4] for move in moves] == [
        (None, "1", "first"),
        ("1", "2", "better"),
        ("2", "1", "sees ghosts"),
    ]
    assert str(MlflowClient().get_model_version_by_alias(model, "champion").version) == "1"
    main([model, "canary"])
    printed = capsys.readouterr().out
    assert "→ 3" in printed and "a rollout group" in printed and printed.count("\n") == 1


def test_a_missing_model_is_an_error(store):
    with pytest.raises(UserError, match="no registered model 'shoes'") as caught:
        history("shoes", "champion")
    assert caught.value.fix == RunStep("register")
    with pytest.raises(SystemExit, match="run: mlflow run .*-e register"):
        main(["shoes", "champion"])


@pytest.mark.parametrize(
    ("alias", "error"),
    [
        ("nosuch", "has no alias 'nosuch'; it has: canary, challenger, gone"),
        ("champion", "has no alias 'champion'; it has: canary, challenger, gone"),
        ("challenger", "names version 3 but has no history: it was set outside of this project"),
    ],
)
def test_an_alias_without_a_history_is_an_error(model, capsys, alias, error):
    move_alias(model, "canary", "1", "a" * 32, "a rollout group")
    move_alias(model, "gone", "1", "a" * 32, "a rollout group")
    client = MlflowClient()
    client.delete_registered_model_alias(model, "gone")
    client.set_registered_model_alias(model, "challenger", "3")
    with pytest.raises(SystemExit) as ended:
        main([model, alias])
    assert ended.value.code.startswith("aliases: ") and ended.value.code.endswith(error)
    assert capsys.readouterr().out == ""
    # an alias that is listed has a history
    main([model, "gone"])
    assert "a rollout group" in capsys.readouterr().out


def test_a_model_without_aliases_is_an_error(model):
    with pytest.raises(SystemExit, match="has no alias 'champion'; it has: none yet"):
        main([model])


@pytest.mark.parametrize("holder", [0, 1])
def test_the_later_run_waits(model, holder):
    runs = sorted([run(), run()])
    order: list[str] = []

    def lock_later() -> None:
        with lock_aliases(model, runs[1 - holder]):
            order.append("later")

    with ThreadPoolExecutor(1) as pool:
        with lock_aliases(model, runs[holder]):
            waiting = pool.submit(lock_later)
            time.sleep(0.4)  # long enough for several polls
            order.append("first")
        waiting.result()
    assert order == ["first", "later"]


def test_a_lock_that_is_never_released_is_an_error(model, monkeypatch):
    monkeypatch.setattr(alias_lock, "LOCK_SECONDS", 0.3)
    held = run()
    # one that is renewed again and again
    monkeypatch.setattr(alias_lock, "_other_locks", lambda client, model, own: [f"lock.{held}"])
    with (
        pytest.raises(UserError, match=f"run {held} is moving an alias"),
        lock_aliases(model, run()),
    ):
        pass


def test_locks_of_ended_and_killed_runs_do_not_count(model, monkeypatch):
    client = MlflowClient()
    ended, killed, mine = sorted([run(), run(), run()])
    client.set_terminated(ended, "FAILED")
    client.set_registered_model_tag(model, f"lock.{ended}", str(time.time()))
    old = time.time() - alias_lock.LOCK_SECONDS - 1
    client.set_registered_model_tag(model, f"lock.{killed}", str(old))
    client.set_registered_model_tag(model, "lock." + "0" * 32, str(time.time()))
    with lock_aliases(model, mine):
        pass


@pytest.mark.slow
def test_of_many_runs_only_one_at_a_time_holds_the_lock(model):
    """Each finds itself alone inside; and all get through."""
    inside, most = [], []

    def compete(run_id: str) -> None:
        with lock_aliases(model, run_id):
            inside.append(run_id)
            time.sleep(0.05)
            most.append(len(inside))
            inside.remove(run_id)

    uri = mlflow.get_tracking_uri()
    with ThreadPoolExecutor(4, initializer=mlflow.set_tracking_uri, initargs=(uri,)) as pool:
        list(pool.map(compete, [run() for _ in range(8)]))
    assert most == [1] * 8
    assert not [key for key in MlflowClient().get_registered_model(model).tags if "lock" in key]
