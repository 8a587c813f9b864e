"""A step small enough to run for real in a test: it bakes a loaf of what a mill left."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from pydantic import Field

from steps.errors import UserError
from steps.pipeline.cache_key import cache_key
from steps.pipeline.outputs import Outputs
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile

COLD = "the oven is cold; heat it"
BURNT = "the loaf is burnt; bake it for less than an hour"


class Flour(Outputs):
    kind: str


class Loaf(Outputs):
    minutes: int
    flour: str | None


class Parameters(StepParameters):
    """Bake a loaf."""

    mill_run_id: str = Field("latest", description="run of mill whose flour is used")
    minutes: int = Field(40, ge=1, description="in the oven, minutes")
    degrees: float | None = Field(None, description="of the oven; none: as it is")


def bake(run: StepRun, parameters: Parameters) -> Loaf:
    """Fails in a way of its own at each minute from 59 on."""
    print("in the oven")
    if parameters.minutes == 60:
        raise UserError(BURNT)
    if parameters.minutes == 61:
        raise KeyboardInterrupt
    kind = run.read("mill", Flour).kind if "mill" in run.inputs else None
    run.report.headline("crumbs", 7 // (parameters.minutes - 59))
    run.report.next_command = f"eat {run.id}"
    return Loaf(minutes=parameters.minutes, flour=kind)


def warm(parameters: Parameters, profile: Profile) -> str:
    """What else the step reads: the oven, which is cold at minute 50."""
    if parameters.minutes == 50:
        raise UserError(COLD)
    return "warm"


STEP = Step.of(bake, settings=("model",), state=warm)


def key_of(step: Step, parameters: Parameters, profile: Profile, inputs: dict[str, str]) -> str:
    """The key of a run of a step."""
    return cache_key(step.key_parts(parameters, profile, inputs))


def mill() -> str:
    """A finished run of the step before; its ID."""
    with mlflow.start_run(tags={"step": "mill"}) as run:
        mlflow.log_text(Flour(kind="rye").model_dump_json(), "outputs.json")
    return run.info.run_id


def baked() -> list[Run]:
    """The step's runs in the store that MLflow uses."""
    return MlflowClient().search_runs(["0"], "tags.step = 'bake'")


def kept(run: Run) -> dict[str, str]:
    """The artifacts of a run, as text."""
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*")}
