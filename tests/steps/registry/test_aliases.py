"""Aliases that move one at a time, and what is kept of each move."""

import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from mlflow import MlflowClient

from steps.errors import RunStep, UserError
from steps.registry import aliases
from steps.registry.aliases import claim, history, main, move_alias

NAME = 'it\'s "ours"'


@pytest.fixture
def model(store, monkeypatch) -> str:
    monkeypatch.setattr(aliases, "POLL_SECONDS", 0.05)
    client = MlflowClient()
    client.create_registered_model(NAME)
    for _ in range(3):
        client.create_model_version(NAME, "file:///nowhere")
    return NAME


def run() -> str:
    return MlflowClient().create_run("0").info.run_id


def test_each_move_is_kept_with_its_reason(model, capsys):
    for version, reason in (("1", "first"), ("2", "better"), ("2", "again"), ("1", "sees ghosts")):
        move_alias(model, "champion", version, "a" * 32, reason)
    move_alias(model, "canary", "3", "b" * 32, "a ring")
    moves = history(model, "champion")
    assert [move[1:4] for move in moves] == [
        (None, "1", "first"),
        ("1", "2", "better"),
        ("2", "1", "sees ghosts"),
    ]
    assert str(MlflowClient().get_model_version_by_alias(model, "champion").version) == "1"
    main([model, "canary"])
    said = capsys.readouterr().out
    assert "→ 3" in said and "a ring" in said and said.count("\n") == 1


def test_a_model_that_is_not_there_is_told(store):
    with pytest.raises(UserError, match="no registered model 'shoes'") as caught:
        history("shoes", "champion")
    assert caught.value.fix == RunStep("register")
    with pytest.raises(SystemExit, match="run: mlflow run .*-e register"):
        main(["shoes", "champion"])


@pytest.mark.parametrize(
    ("alias", "said"),
    [
        ("nosuch", "has no alias 'nosuch'; there are: canary, challenger, gone"),
        ("champion", "has no alias 'champion'; there are: canary, challenger, gone"),
        ("challenger", "is version 3, and was set by hand: no move was kept"),
    ],
)
def test_an_alias_without_a_move_is_told(model, capsys, alias, said):
    move_alias(model, "canary", "1", "a" * 32, "a ring")
    move_alias(model, "gone", "1", "a" * 32, "a ring")
    client = MlflowClient()
    client.delete_registered_model_alias(model, "gone")
    client.set_registered_model_alias(model, "challenger", "3")
    with pytest.raises(SystemExit) as ended:
        main([model, alias])
    assert ended.value.code.startswith("aliases: ") and ended.value.code.endswith(said)
    assert capsys.readouterr().out == ""
    # what is told is there
    main([model, "gone"])
    assert "a ring" in capsys.readouterr().out


def test_a_model_without_an_alias_is_told(model):
    with pytest.raises(SystemExit, match="has no alias 'champion'; there are: none yet"):
        main([model])


@pytest.mark.parametrize("holder", [0, 1])
def test_whoever_comes_later_waits(model, holder):
    runs = sorted([run(), run()])
    order: list[str] = []

    def come_later() -> None:
        with claim(model, runs[1 - holder]):
            order.append("later")

    with ThreadPoolExecutor(1) as pool:
        with claim(model, runs[holder]):
            coming = pool.submit(come_later)
            time.sleep(0.4)  # long enough for several looks
            order.append("first")
        coming.result()
    assert order == ["first", "later"]


def test_a_claim_that_never_ends_is_told(model, monkeypatch):
    monkeypatch.setattr(aliases, "CLAIM_SECONDS", 0.3)
    held = run()
    # one that is renewed for ever
    monkeypatch.setattr(aliases, "_others", lambda client, model, mine: [f"claim.{held}"])
    with pytest.raises(UserError, match=f"run {held} is moving an alias"), claim(model, run()):
        pass


def test_claims_that_nobody_holds_any_more_do_not_count(model, monkeypatch):
    client = MlflowClient()
    ended, killed, mine = sorted([run(), run(), run()])
    client.set_terminated(ended, "FAILED")
    client.set_registered_model_tag(model, f"claim.{ended}", str(time.time()))
    old = time.time() - aliases.CLAIM_SECONDS - 1
    client.set_registered_model_tag(model, f"claim.{killed}", str(old))
    client.set_registered_model_tag(model, "claim." + "0" * 32, str(time.time()))
    with claim(model, mine):
        pass


@pytest.mark.slow
def test_of_many_at_once_never_two_hold_it(model):
    """Whoever holds it finds nobody else inside; and all get through."""
    inside, most = [], []

    def compete(run_id: str) -> None:
        with claim(model, run_id):
            inside.append(run_id)
            time.sleep(0.05)
            most.append(len(inside))
            inside.remove(run_id)

    uri = mlflow.get_tracking_uri()
    with ThreadPoolExecutor(4, initializer=mlflow.set_tracking_uri, initargs=(uri,)) as pool:
        list(pool.map(compete, [run() for _ in range(8)]))
    assert most == [1] * 8
    assert not [key for key in MlflowClient().get_registered_model(model).tags if "claim" in key]
