"""What the chain reuses and what it runs, and why, on three small steps and a real store."""

import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from pydantic import Field

from steps import main
from steps.errors import UserError
from steps.settings.parameters import StepParameters
from steps.settings.profile import load_profile
from steps.tracking.cache_key import cache_key
from steps.tracking.card import Card
from steps.tracking.chain import says
from steps.tracking.outputs import Outputs
from steps.tracking.run_files import KEY_FILE, SIZES_FILE, kept_files
from steps.tracking.step import RUN_ID, Step, StepRun

BAKE_CHANGED = "run, because parameter minutes is 50 and was 40"
NEVER = "run, because it has not run yet"


class Made(Outputs):
    what: str


class Mill(StepParameters):
    turns: int = Field(3, description="of the stone")


class Bake(StepParameters):
    mill_run_id: str = Field("latest", description="run of mill")
    minutes: int = Field(40, description="in the oven")
    degrees: float | None = Field(None, description="of the oven")


class Slice(StepParameters):
    bake_run_id: str = Field("latest", description="run of bake")


class SmallChain:
    """A chain of three steps, and the runs that it started."""

    def __init__(self, profile):
        self.profile = profile
        self.started: list[str] = []
        self.stale: str | None = None

    def step(self, name: str, parameters: type[StepParameters]) -> Step:
        def holds(outputs: Made, profile) -> str | None:
            return "it is stale" if outputs.what == self.stale else None

        return Step(name, parameters, Made, run=None, settings=("model",), holds=holds)

    def run_step(self, step: Step, chosen: StepParameters, _: object) -> Run:
        """What an entry point leaves, without a process of its own."""
        inputs = {name: getattr(chosen, name + RUN_ID) for name in step.input_names()}
        parts = step.key_parts(chosen, self.profile, inputs)
        tags = {"step": step.name, "cache_key": cache_key(parts)}
        client = MlflowClient()
        run_id = client.create_run(main.experiment_id(), tags=tags).info.run_id
        client.log_dict(run_id, parts, KEY_FILE)
        client.log_text(run_id, "a loaf", "made/loaf.txt")
        client.log_dict(run_id, kept_files(run_id), SIZES_FILE)
        client.log_text(run_id, Made(what=run_id).model_dump_json(), "outputs.json")
        client.set_terminated(run_id)
        self.started.append(step.name)
        return client.get_run(run_id)

    def go(self, **parameters) -> tuple[dict[str, str], dict[str, str]]:
        """Go down the chain; the run of each step, and what is said of each."""
        self.started.clear()
        model = main.make_parameters()
        with mlflow.start_run() as run:
            card = Card("main", run.info.run_id)
            opened = StepRun(run.info.run_id, self.profile, {}, card)
            outputs = main.main(opened, model(**parameters))
        return outputs.runs, {
            step.step: says(step.run_id if step.reused else None, step.reason)
            for step in outputs.steps
        }


@pytest.fixture
def chain(store, monkeypatch) -> SmallChain:
    chain = SmallChain(load_profile("local"))
    steps = {"mill": Mill, "bake": Bake, "slice": Slice}
    monkeypatch.setattr(main, "CHAIN", tuple(chain.step(*item) for item in steps.items()))
    monkeypatch.setattr(main, "_run", chain.run_step)
    return chain


def test_an_unchanged_chain_runs_once_and_is_reused(chain):
    first, said = chain.go()
    assert chain.started == ["mill", "bake", "slice"]
    assert said == dict.fromkeys(chain.started, NEVER)
    second, said = chain.go()
    assert chain.started == [] and second == first
    assert said == {step: f"reuse run {id_}" for step, id_ in first.items()}


@pytest.mark.parametrize(
    ("changed", "runs", "reasons"),
    [
        ({"bake_minutes": 50}, ["bake", "slice"],
         [BAKE_CHANGED, "run, because bake is another run"]),
        ({"mill_turns": 4}, ["mill", "bake", "slice"],
         ["run, because parameter turns is 4 and was 3", "run, because mill is another run",
          "run, because bake is another run"]),
        ({"source": "elsewhere"}, [], []),
        ({"debug": True}, [], []),
        ({"until": "bake", "bake_minutes": 50}, ["bake"], [BAKE_CHANGED]),
    ],
)  # fmt: skip
def test_a_change_runs_what_depends_on_it(chain, changed, runs, reasons):
    first, _ = chain.go()
    second, said = chain.go(**changed)
    assert chain.started == runs
    assert {step for step in second if second[step] != first[step]} == set(runs)
    assert [said[step] for step in runs] == reasons
    # and back again, which is known still
    assert chain.go()[0] == first and chain.started == []


@pytest.mark.parametrize(
    ("asked", "runs"),
    [({"force": "bake"}, ["bake", "slice"]), ({"from": "slice", "mill_turns": 4}, ["slice"])],
)
def test_what_is_asked_for_runs_even_where_a_run_fits(chain, asked, runs):
    first, _ = chain.go()
    second, said = chain.go(**asked)
    assert chain.started == runs
    assert said[runs[0]] == "run, because it was asked for"
    assert {step for step in second if second[step] != first[step]} == set(runs)


def test_a_dry_run_only_says_so(chain):
    first, _ = chain.go()
    runs, said = chain.go(bake_minutes=50, dry_run=True)
    assert chain.started == [] and runs == {"mill": first["mill"]}
    assert said == {
        "mill": f"reuse run {first['mill']}",
        "bake": BAKE_CHANGED,
        "slice": "run, because bake runs",
    }


def test_a_run_whose_result_does_not_hold_is_run_again(chain):
    first, _ = chain.go()
    chain.stale = first["slice"]
    second, said = chain.go()
    assert chain.started == ["slice"] and second["slice"] != first["slice"]
    assert said["slice"] == "run, because it is stale"


def _artifact(run_id: str, name: str) -> Path:
    uri = MlflowClient().get_run(run_id).info.artifact_uri
    return Path(uri.removeprefix("file://"), name)


def test_a_run_that_lost_its_outputs_gives_way_to_an_older_one(chain):
    first, _ = chain.go()
    chain.stale = first["slice"]
    second, _ = chain.go()
    chain.stale = None
    _artifact(second["slice"], "outputs.json").unlink()
    assert chain.go()[0] == first and chain.started == []
    _artifact(first["slice"], "outputs.json").unlink()
    third, said = chain.go()
    assert chain.started == ["slice"] and third["slice"] not in second.values()
    assert "has no usable outputs.json" in said["slice"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: _artifact(run, "made/loaf.txt").unlink(), "made/loaf.txt of run {} is gone"),
        (lambda run: shutil.rmtree(_artifact(run, "made")), "made/loaf.txt of run {} is gone"),
        (
            lambda run: _artifact(run, "made/loaf.txt").write_text("a lo"),
            "made/loaf.txt of run {} is of another size",
        ),
        (lambda run: _artifact(run, SIZES_FILE).unlink(), "files.json of run {} is gone"),
        (lambda run: _artifact(run, "outputs.json").write_text("{"), "no usable outputs.json"),
    ],
    ids=["file gone", "folder gone", "file cut", "no list", "outputs damaged"],
)
def test_what_was_deleted_or_damaged_is_made_again(chain, damage, said):
    first, _ = chain.go()
    damage(first["bake"])
    second, reasons = chain.go()
    assert chain.started == ["bake", "slice"] and second["mill"] == first["mill"]
    assert said.format(first["bake"]) in reasons["bake"]


@pytest.mark.parametrize("asked", [{"from": "grind"}, {"until": "eat"}, {"force": "bake,fry"}])
def test_what_is_no_step_is_told(chain, asked):
    with pytest.raises(UserError, match="is no step of the chain; pass one of: mill bake slice"):
        chain.go(**asked)


def test_a_chain_that_fails_has_a_card_with_the_graph_up_to_there(chain, monkeypatch):
    def fails(step, chosen, parameters):
        if step.name == "bake":
            parent = {"mlflow.parentRunId": mlflow.active_run().info.run_id}
            tags = parent | {"step": "bake", "failure": "the oven is cold"}
            MlflowClient().create_run(main.experiment_id(), tags=tags)
            raise UserError("bake failed")
        return chain.run_step(step, chosen, parameters)

    monkeypatch.setattr(main, "_run", fails)
    with pytest.raises(UserError), mlflow.start_run() as run:
        card = Card("main", run.info.run_id)
        opened = StepRun(run.info.run_id, chain.profile, {}, card)
        main.main(opened, main.make_parameters()())
    page = card.html()
    assert "the oven is cold" in page and 'class="failed"' in page and 'class="ran"' in page
    assert card.next_command == "mlflow run . --env-manager local -P from=bake"
