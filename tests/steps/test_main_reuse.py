"""What the chain reuses and what it runs, and why, on three small steps and a real store."""

from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from pydantic import Field, create_model

from steps import main
from steps.settings.parameters import StepParameters
from steps.settings.profile import load_profile
from steps.tracking.card import Card
from steps.tracking.outputs import Outputs
from steps.tracking.step import RUN_ID, Step, StepRun

CHANGED = "run, because its code, parameters, environment or inputs changed"
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

    def run_step(self, step: Step, chosen: StepParameters) -> str:
        """What an entry point leaves, without a process of its own."""
        inputs = {name: getattr(chosen, name + RUN_ID) for name in step.input_names()}
        tags = {"step": step.name, "cache_key": step.cache_key(chosen, self.profile, inputs)}
        client = MlflowClient()
        run_id = client.create_run(main.experiment_id(), tags=tags).info.run_id
        client.log_text(run_id, Made(what=run_id).model_dump_json(), "outputs.json")
        client.set_terminated(run_id)
        self.started.append(step.name)
        return run_id

    def go(self, **parameters) -> tuple[dict[str, str], dict[str, str]]:
        """Go down the chain; the run of each step, and what is said of each."""
        self.started.clear()
        model = create_model("Parameters", __base__=main._Own, **main._of_each_step(main._Own))
        with mlflow.start_run() as run:
            card = Card("main", run.info.run_id)
            opened = StepRun(run.info.run_id, self.profile, {}, card)
            outputs = main.main(opened, model(**parameters))
        return outputs.runs, dict(card.sections[0].rows)


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
    ("changed", "runs"),
    [
        ({"bake_minutes": 50}, ["bake", "slice"]),
        ({"mill_turns": 4}, ["mill", "bake", "slice"]),
        ({"source": "elsewhere"}, []),
        ({"debug": True}, []),
    ],
)
def test_a_change_runs_what_depends_on_it(chain, changed, runs):
    first, _ = chain.go()
    second, said = chain.go(**changed)
    assert chain.started == runs
    assert {step for step in first if second[step] != first[step]} == set(runs)
    assert {step for step in first if said[step] == CHANGED} == set(runs)
    # and back again, which is known still
    assert chain.go()[0] == first and chain.started == []


def test_a_dry_run_only_says_so(chain):
    first, _ = chain.go()
    runs, said = chain.go(bake_minutes=50, dry_run=True)
    assert chain.started == [] and runs == {"mill": first["mill"]}
    assert said == {
        "mill": f"reuse run {first['mill']}",
        "bake": CHANGED,
        "slice": "run, because bake runs",
    }


def test_a_run_whose_result_does_not_hold_is_run_again(chain):
    first, _ = chain.go()
    chain.stale = first["slice"]
    second, said = chain.go()
    assert chain.started == ["slice"] and second["slice"] != first["slice"]
    assert said["slice"] == "run, because it is stale"


def _lose_outputs(run_id: str) -> None:
    uri = MlflowClient().get_run(run_id).info.artifact_uri
    Path(uri.removeprefix("file://"), "outputs.json").unlink()


def test_a_run_that_lost_its_outputs_gives_way_to_an_older_one(chain):
    first, _ = chain.go()
    chain.stale = first["slice"]
    second, _ = chain.go()
    chain.stale = None
    _lose_outputs(second["slice"])
    assert chain.go()[0] == first and chain.started == []
    _lose_outputs(first["slice"])
    third, said = chain.go()
    assert chain.started == ["slice"] and third["slice"] not in second.values()
    assert "has no usable outputs.json" in said["slice"]
