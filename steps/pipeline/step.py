"""A step of the pipeline: one function, run as an MLflow run that keeps the contract.

The run carries the tags ``step``, ``profile``, ``cache_key`` and ``input.<step>``, the
parameters, ``outputs.json`` and ``report.html``; the last line on standard output is its ID.
"""

import argparse
import hashlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from steps.errors import UserError
from steps.pipeline.cache_key import Parts, cache_key, key_parts
from steps.pipeline.commands import Commands
from steps.pipeline.failures import end_with_status, fail
from steps.pipeline.outages import outage
from steps.pipeline.outputs import Outputs
from steps.pipeline.report import Report
from steps.pipeline.run_files import keep, read_outputs
from steps.pipeline.runs import resolve_input
from steps.pipeline.signals import INTERRUPTED, keep_status, raise_when_stopped
from steps.pipeline.tracking_store import use_tracking_store
from steps.settings.parameters import TRUE, StepParameters, non_default_parameters, parse
from steps.settings.profile import Profile, load_profile
from steps.settings.profile_file import VARIABLE

logger = logging.getLogger("steps")

RUN_ID = "_run_id"
RESUME = "resume_run_id"
"""The parameter that names a cut-off run of the step itself, which is no input."""
NONE = "none"
MADE_UP = re.compile(r"[a-z]+-[a-z]+-\d{1,3}")
"""What MLflow calls a run that was given no name, such as zealous-sloth-532."""


@dataclass(frozen=True)
class StepRun:
    """The open run of a step, handed to the step's function.

    Attributes:
        id: the MLflow run's ID.
        profile: where things run.
        inputs: run ID by step, resolved; a step whose ID was given as ``none`` is left out.
        report: what a reader should see; kept as ``report.html`` when the step ends.
        commands: what to run next, and what resumes the step.
    """

    id: str
    profile: Profile
    inputs: dict[str, str]
    report: Report
    commands: Commands

    def read(self, step: str, outputs: type[Outputs]) -> Any:
        """The ``outputs.json`` of an input."""
        return read_outputs(self.inputs[step], outputs)


@dataclass(frozen=True)
class Step:
    """A step: its name, its parameters, its function, and what decides whether it is fresh.

    Attributes:
        name: as in MLproject.
        parameters: its parameters; a field ``<step>_run_id`` names an input.
        outputs: the type of its ``outputs.json``.
        run: the function.
        settings: the keys of the profile that decide the result, such as ``training.processes``.
        state: tells what else the step reads (files that landed, where an alias points).
        holds: tells why outputs can no longer be used (None: they can).
        resolve: the ID of the run that is meant, of an input's step and of what was typed.
        resumable: tells whether a run that was cut off left something to go on from.
    """

    name: str
    parameters: type[StepParameters]
    outputs: type[Outputs]
    run: Callable[[StepRun, Any], Outputs]
    settings: tuple[str, ...] = ()
    state: Callable[[Any, Profile], str] = field(default=lambda parameters, profile: "")
    invalid_reason: Callable[[Any, Profile], str | None] = field(
        default=lambda outputs, profile: None
    )
    resolve: Callable[[str, str], str] = resolve_input
    resumable: Callable[[str, Profile], bool] = field(default=lambda run_id, profile: False)

    def input_names(self) -> list[str]:
        """The steps whose run IDs this step takes."""
        return [
            name.removesuffix(RUN_ID)
            for name in self.parameters.model_fields
            if name.endswith(RUN_ID) and name != RESUME
        ]

    def key_parts(self, parameters: Any, profile: Profile, inputs: dict[str, str]) -> Parts:
        """Everything that decides this step's result."""
        own = parameters.model_dump(mode="json", exclude={"profile", "override", "debug"})
        return key_parts(
            module=f"steps.{self.name}",
            parameters={k: v for k, v in own.items() if not k.endswith(RUN_ID)},
            settings=self._settings(profile),
            inputs=inputs,
            state=self.state(parameters, profile),
        )

    def _settings(self, profile: Profile) -> dict[str, Any]:
        """The profile's values that count, those with a value of the environment as a hash."""
        values = profile.model_dump(mode="json")
        settings = {key: (_at(values, key), _at(profile.shown, key)) for key in self.settings}
        return {
            key: hashlib.sha256(str(value).encode()).hexdigest()
            if VARIABLE.search(str(shown))
            else value
            for key, (value, shown) in settings.items()
        }

    def main(self, argv: list[str] | None = None) -> None:
        """Run the step from the command line; exits with status 1 where it fails."""
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        logger.setLevel(logging.INFO)
        # a bar for each file of a few kilobytes says nothing
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # an environment that uv made has no pip, of which MLflow would say so with each model
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        raise_when_stopped()
        try:
            run_id = self._run(argv)
        except UserError as error:
            if _wants_trace(argv):
                raise
            sys.exit(f"{self.name}: {error}")
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        print(f"run_id={run_id}", flush=True)

    def _run(self, argv: list[str] | None) -> str:
        try:
            parameters = parse(self.parameters, self.name, argv)
            profile = load_profile(parameters.profile, parameters.override)
        except UserError as error:
            with mlflow.start_run():  # the one that `mlflow run` opened, or a new one
                fail(self.name, str(error))
            raise
        use_tracking_store(profile)
        commands = Commands(self.name, parameters)
        try:
            with mlflow.start_run(run_name=_run_name(self.name)) as run:
                commands.experiment = mlflow.get_experiment(run.info.experiment_id).name
                self._carry_out(run, profile, parameters, commands)
            keep_status(run)
        except Exception as error:
            if away := outage(error):
                raise UserError(
                    f"{away}; once it does, resume with: {commands.resume()}"
                ) from error
            raise
        return run.info.run_id

    def _carry_out(self, run: Run, profile: Profile, parameters: Any, commands: Commands) -> None:
        """Call the function, and have the run carry all of the contract."""
        started = time.monotonic()
        run_id = run.info.run_id
        report = Report(
            self.name,
            run_id,
            about=_first_line(parameters),
            given=non_default_parameters(parameters),
        )
        with end_with_status(run, report, commands):
            mlflow.set_tags(_tags(self.name, profile, run))
            report.inputs = inputs = self._resolve_inputs(parameters)
            parts = self.key_parts(parameters, profile, inputs)
            mlflow.set_tags(
                {"cache_key": cache_key(parts)}
                | {f"input.{step}": id_ for step, id_ in inputs.items()}
            )
            _log_parameters(run_id, parameters)
            outputs = self.run(StepRun(run_id, profile, inputs, report, commands), parameters)
            report.seconds = time.monotonic() - started
            mlflow.log_metric("seconds", report.seconds)
            report.outputs = outputs.model_dump(mode="json")
            keep(run_id, report.html(), parts, profile.shown, outputs)
        said = [f"{self.name}: done in {time.monotonic() - started:.0f} s"]
        said += [f"{name} {value}" for name, value in report.headlines]
        logger.info("%s", "; ".join(said))

    def _resolve_inputs(self, parameters: StepParameters) -> dict[str, str]:
        return {
            step: self.resolve(step, wanted)
            for step in self.input_names()
            if (wanted := getattr(parameters, step + RUN_ID)) != NONE
        }


def _at(values: Any, key: str) -> Any:
    """What stands at a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _wants_trace(argv: list[str] | None) -> bool:
    """What ``--debug`` says, read by itself: the error may be that another flag does not fit."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--debug", nargs="?", const="true", default="false")
    return parser.parse_known_args(argv)[0].debug.lower() in TRUE


def _tags(step: str, profile: Profile, run: Run) -> dict[str, str]:
    """The step and the profile; and the step as the run's name, where MLflow has made one up."""
    made_up = MADE_UP.fullmatch(run.info.run_name or "")
    return {"step": step, "profile": profile.name} | ({MLFLOW_RUN_NAME: step} if made_up else {})


def _run_name(step: str) -> str | None:
    """A name for a run that is opened here; one that ``mlflow run`` opened keeps its own."""
    return None if os.environ.get("MLFLOW_RUN_ID") else step


def _log_parameters(run_id: str, parameters: StepParameters) -> None:
    """Log what ``mlflow run`` has not logged already (MLflow's parameters are written once)."""
    logged = MlflowClient().get_run(run_id).data.params
    mlflow.log_params({k: v for k, v in parameters.model_dump().items() if k not in logged})


def _first_line(parameters: StepParameters) -> str:
    return (type(parameters).__doc__ or "").strip().partition("\n")[0]
