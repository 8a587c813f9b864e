"""A pipeline of three small steps in place of the real ones, and the runs that it started."""

import json
from contextlib import suppress
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException
from pydantic import Field

from steps import main
from steps.errors import UserError
from steps.pipeline import commands, pipeline_run
from steps.pipeline.cache_key import cache_key
from steps.pipeline.outputs import Outputs
from steps.pipeline.pipeline_state import MainOutputs
from steps.pipeline.report import Report
from steps.pipeline.reuse import reuse_decision
from steps.pipeline.run_files import KEY_FILE, OUTPUTS_FILE, SIZES_FILE
from steps.pipeline.runs import experiment_id
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import StepParameters, run_id_parameter
from steps.settings.profile import load_profile

COLD = "the oven is cold; heat it"
NO_GRAIN = "there is no grain; fetch some"


class Made(Outputs):
    what: str


class Mill(StepParameters):
    turns: int = Field(3, description="of the stone")


class Bake(StepParameters):
    mill_run_id: str = Field("latest", description="run of mill")
    resume_run_id: str = Field("none", description="interrupted run of bake")
    minutes: int = Field(40, description="in the oven")
    degrees: float | None = Field(None, description="of the oven")


class Slice(StepParameters):
    bake_run_id: str = Field("latest", description="run of bake")


class SmallPipeline:
    """The pipeline, which takes the place of the real one while a monkeypatch lasts."""

    def __init__(self, monkeypatch):
        self.profile = load_profile("local").named("package")
        self.started: list[str] = []
        self.resumed: list[str] = []
        self.stale: str | None = None
        self.left_something = False
        self.ending: dict[str, str] = {}
        steps = {"mill": Mill, "bake": Bake, "slice": Slice}
        monkeypatch.setattr(main, "PIPELINE", tuple(self.step(*item) for item in steps.items()))
        monkeypatch.setattr(pipeline_run, "run_entry_point", self.run_step)
        # commands are told as in the project's own environment, whatever this one is
        monkeypatch.setattr(commands, "RUN", "mlflow run . --env-manager local")

    def step(self, name: str, parameters: type[StepParameters]) -> Step:
        def holds(outputs: Made, profile) -> str | None:
            return "it is stale" if outputs.what == self.stale else None

        def state(parameters: StepParameters, profile) -> str:
            if getattr(parameters, "turns", None) == 0:
                raise UserError(NO_GRAIN)
            return ""

        return Step(
            *(name, parameters, Made),
            run=None,
            settings=("model",),
            state=state,
            invalid_reason=holds,
            resumable=lambda run_id, profile: self.left_something,
            optional=("mill",) if name == "bake" else (),
        )

    def run_step(self, step: Step, chosen: StepParameters) -> Run:
        """What a step leaves; bake fails from 60 on."""
        inputs = {
            name: getattr(chosen, run_id_parameter(name)) for name in step.parameters.input_names()
        }
        parts = step.key_parts(chosen, self.profile, inputs)
        tags = {"step": step.name, "cache_key": cache_key(parts)}
        tags["mlflow.parentRunId"] = mlflow.active_run().info.run_id
        client = MlflowClient()
        info = client.create_run(experiment_id(), tags=tags).info
        run_id = info.run_id
        self.resumed.append(getattr(chosen, "resume_run_id", "none"))
        self._fail(run_id, getattr(chosen, "minutes", None))
        made = Made(what=run_id, **self.ending if step.name == "bake" else {})
        files = {KEY_FILE: json.dumps(parts), "made/loaf.txt": "a loaf"}
        sizes = {path: len(text) for path, text in files.items()}
        files |= {SIZES_FILE: json.dumps(sizes), OUTPUTS_FILE: made.model_dump_json()}
        for path, text in files.items():  # each call to MLflow would take a tenth of a step's time
            file = Path(info.artifact_uri.removeprefix("file://"), path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        client.log_metric(run_id, "images", 7)
        client.set_terminated(run_id)
        self.started.append(step.name)
        return client.get_run(run_id)

    def _fail(self, run_id: str, minutes: int | None) -> None:
        client = MlflowClient()
        if minutes == 60:
            client.set_tag(run_id, "failure", COLD)
            client.set_terminated(run_id, "FAILED")
            raise ExecutionException("bake failed")
        if result := {63: "no labels", 64: "no model yet"}.get(minutes):
            tags = {"failure": f"{NO_GRAIN}; run: mlflow run . -e mill", "result": result}
            for tag, value in tags.items():
                client.set_tag(run_id, tag, value)
            client.set_terminated(run_id, "FAILED")
            raise ExecutionException("bake failed")
        if minutes == 61:
            client.set_terminated(run_id, "KILLED")
            raise KeyboardInterrupt
        if minutes == 62:
            raise ZeroDivisionError

    def go(self, **parameters) -> tuple[dict[str, str], dict[str, str]]:
        """Go down the pipeline; the run of each step, and what is said of each."""
        self.started.clear()
        model = main.make_main_parameters()
        with mlflow.start_run() as run:
            report = Report("main", run.info.run_id)
            opened = StepRun(run.info.run_id, self.profile, {}, report, commands.Commands())
            outputs = main.main(opened, model(**parameters))
        return outputs.runs, {
            step.step: reuse_decision(step.run_id if step.reused else None, step.reason)
            for step in outputs.steps
        }

    def type(self, *argv: str) -> str:
        """Run the pipeline from the command line, to its end or not; its run's ID."""
        with suppress(SystemExit, ZeroDivisionError):
            Step("main", main.make_main_parameters(), MainOutputs, main.main).main(list(argv))
        return MlflowClient().search_runs(["0"], "tags.step = 'main'", max_results=1)[0].info.run_id
