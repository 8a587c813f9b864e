"""A step of the pipeline: one function, run as an MLflow run that keeps the contract.

The run carries the tags ``step``, ``profile``, ``cache_key`` and ``input.<step>``, the
parameters, ``outputs.json`` and ``report.html``; the last line on standard output is its ID.
"""

import gc
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_type_hints

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from edge.protocol.version import project_version
from steps.environment import NESTED, prepare_environment
from steps.errors import UserError
from steps.pipeline.cache_key import Parts, cache_key, input_key, key_parts
from steps.pipeline.commands import Commands
from steps.pipeline.disk_space import require_space
from steps.pipeline.failures import describe_fault, end_as_failed, end_run_on_error
from steps.pipeline.model_names import MODEL, find_model
from steps.pipeline.outages import fail_fast, require_usable_server
from steps.pipeline.outputs import Outputs
from steps.pipeline.report import Report
from steps.pipeline.run_files import log_run_files, read_outputs
from steps.pipeline.runs import LATEST, NONE, experiment_id, finished_runs, resolve_input
from steps.pipeline.signals import INTERRUPTED, keep_status, raise_when_stopped
from steps.pipeline.stage_timings import StageTimings
from steps.pipeline.tracking_store import use_tracking_store
from steps.settings.parameters import (
    RESUME,
    StepParameters,
    parse_parameters,
    read_flag,
    run_id_parameter,
)
from steps.settings.profile import PROJECT, Profile, data_home, load_profile
from steps.terminal import filtered_stderr, log_to_terminal

logger = logging.getLogger("steps")

MADE_UP = re.compile(r"[a-z]+-[a-z]+-\d{1,3}")
"""How MLflow names a run without a name, such as zealous-sloth-532."""


GARBAGE = 10_000
"""Objects after which garbage is collected: the tracking store's library makes a million."""


@dataclass(frozen=True)
class StepRun:
    """The open run of a step, which the step's function gets.

    Attributes:
        id: the MLflow run's ID.
        profile: where things run.
        inputs: run ID by step, resolved; without the steps whose ID was given as ``none``.
        report: what a reader should see; logged as ``report.html`` when the step ends.
        commands: what to run next, and what resumes the step.
        timings: the time of the step's stages, if it measures them.
    """

    id: str
    profile: Profile
    inputs: dict[str, str]
    report: Report
    commands: Commands
    timings: StageTimings = field(default_factory=StageTimings)

    def read(self, step: str, outputs: type[Outputs]) -> Any:
        """Return the ``outputs.json`` of an input."""
        return read_outputs(self.inputs[step], outputs)


@dataclass(frozen=True)
class Step:
    """A step: its name, its parameters, its function, and what its cache key depends on.

    Attributes:
        name: as in MLproject.
        parameters: its parameters; a field ``<step>_run_id`` names an input.
        outputs: the type of its ``outputs.json``.
        run: the function.
        settings: the keys of the profile that decide the result, such as ``training.processes``.
        state: returns what else the step reads (files that landed, where an alias points).
        invalid_reason: returns why outputs can no longer be used; None if they can.
        input_tags: by an input's step, the tag of its run that says all that this step reads of it.
            Its value stands in the key in place of the run's ID.
        resolve: returns the run ID that is meant, by an input's step and what was typed.
        resumable: returns whether an interrupted run, by its ID, can be resumed.
        optional: the inputs without which it runs if they have never run: ``latest`` is then none.
        frees_memory: whether the pipeline stops Spark before it, whose memory it may need.
    """

    name: str
    parameters: type[StepParameters]
    outputs: type[Outputs]
    run: Callable[[StepRun, Any], Outputs]
    settings: tuple[str, ...] = ()
    state: Callable[[Any, Profile], str] = lambda parameters, profile: ""
    invalid_reason: Callable[[Any, Profile], str | None] = lambda outputs, profile: None
    input_tags: dict[str, str] = field(default_factory=dict)
    resolve: Callable[[str, str], str] = resolve_input
    needs_space: bool = True
    resumable: Callable[[str, Profile], bool] = lambda run_id, profile: False
    optional: tuple[str, ...] = ()
    frees_memory: bool = False

    @classmethod
    def of(cls, run: Callable[[StepRun, Any], Outputs], **attributes: Any) -> "Step":
        """Return the step that a function is: named after it, with the types that it declares."""
        types = get_type_hints(run)
        return cls(run.__name__, types["parameters"], types["return"], run, **attributes)

    def key_parts(self, parameters: Any, profile: Profile, inputs: dict[str, str]) -> Parts:
        """Return everything that decides this step's result."""
        settings, state = profile.cache_key_values(self.settings), self.state(parameters, profile)
        read = {name: input_key(id_, self.input_tags.get(name)) for name, id_ in inputs.items()}
        return key_parts(f"steps.{self.name}", parameters.deciding(), settings, read, state)

    def main(self, argv: list[str] | None = None) -> None:
        """Run the step from the command line, and exit with status 1 if it fails."""
        log_to_terminal()
        gc.freeze()  # collections need not search the libraries, which stay; a key costs half
        gc.set_threshold(GARBAGE)
        gc.enable()
        raise_when_stopped()
        try:
            with filtered_stderr(passes_all=read_flag("verbose", argv)):
                run_id = self._run(argv)
        except UserError as error:
            if read_flag("debug", argv):
                raise
            sys.exit(f"{self.name}: {error}")
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        gc.freeze()  # nor need the end of the process, for which that takes most of a second
        if NESTED not in os.environ:
            print(f"run_id={run_id}", flush=True)  # noqa: T201 – the contract: the last line

    def run_nested(self, parameters: StepParameters) -> str:
        """Run the step in this process, nested in the active run, and return its run's ID."""
        return self._run_with(parameters, _read_profile(parameters), nested=True)

    def _run(self, argv: list[str] | None) -> str:
        """Read the command line, run the step, and return its run's ID."""
        try:
            prepare_environment(verbose=read_flag("verbose", argv))
            parameters = parse_parameters(self.parameters, self.name, argv)
            profile = _read_profile(parameters)
        except UserError as error:
            with mlflow.start_run():  # the one that `mlflow run` opened, or a new one
                end_as_failed(self.name, error)
            raise
        use_tracking_store(profile)
        require_usable_server()
        if data_home() != PROJECT:
            logger.info("the lake is %s, since this project is in a temporary folder", profile.lake)
        return self._run_with(parameters, profile, nested=False)

    def _run_with(self, parameters: StepParameters, profile: Profile, nested: bool) -> str:
        """Open the run, carry the step out in it, and return its ID."""
        commands = Commands(self.name, parameters)
        place = {"experiment_id": experiment_id(), "run_name": self.name} if nested else {}
        timings = StageTimings(time.monotonic() if nested else None)
        try:
            with mlflow.start_run(nested=nested, **place) as run:
                commands.experiment = mlflow.get_experiment(run.info.experiment_id).name
                self._carry_out(run, profile, parameters, commands, timings)
            keep_status(run)
        except Exception as error:
            if away := describe_fault(error, profile):
                again = f"once that is fixed, resume with: {commands.resume()}"
                raise UserError(f"{away}; {again}") from error
            raise
        return str(run.info.run_id)

    def _carry_out(
        self,
        run: Run,
        profile: Profile,
        parameters: Any,
        commands: Commands,
        timings: StageTimings,
    ) -> None:
        """Call the function, and let the run carry all of the contract."""
        started = time.monotonic()
        run_id = run.info.run_id
        about = (type(parameters).__doc__ or "").strip().partition("\n")[0]
        report = Report(self.name, run_id, about=about, given=parameters.non_default(run_ids=False))
        with end_run_on_error(run, report, commands, profile):
            about_run = {"step": self.name, "profile": profile.name}
            mlflow.set_tags(about_run | {"project_version": project_version()})
            if MADE_UP.fullmatch(run.info.run_name or ""):
                mlflow.set_tag(MLFLOW_RUN_NAME, self.name)
            for place in (profile.lake, profile.cache) if self.needs_space else ():
                require_space(place, 0, f"the files of {self.name}")
            report.inputs = inputs = self._resolve_inputs(parameters)
            if MODEL in self.settings:
                profile = profile.named(profile.model or find_model(parameters, inputs))
                mlflow.set_tag(MODEL, profile.model)
            parts = self.key_parts(parameters, profile, inputs)
            tags = {f"input.{step}": input_id for step, input_id in inputs.items()}
            mlflow.set_tags({"cache_key": cache_key(parts)} | tags)
            logged = run.data.params  # by `mlflow run`, as they were typed: MLflow writes each once
            values = parameters.model_dump()
            mlflow.log_params({name: values[name] for name in values.keys() - logged.keys()})
            opened = StepRun(run_id, profile, inputs, report, commands, timings)
            try:
                outputs = self.run(opened, parameters)
            except BaseException:
                if self._is_resumable(run_id, profile):
                    pinned = {run_id_parameter(step): id_ for step, id_ in inputs.items()}
                    commands.to_resume = {RESUME: run_id} | pinned
                raise
            opened.timings.log(report)
            report.seconds = time.monotonic() - started
            mlflow.log_metric("seconds", report.seconds)
            report.outputs = outputs.model_dump(mode="json")
            mlflow.set_tag("result", outputs.result)
            log_run_files(report, parts, profile.shown, outputs)
        summary = [f"{self.name}: done in {time.monotonic() - started:.0f} s"]
        summary += [f"{name} {value}" for name, value in report.headlines]
        logger.info("%s", "; ".join(summary))
        if outputs.line:
            logger.info("%s: %s", self.name, outputs.line)

    def _is_resumable(self, run_id: str, profile: Profile) -> bool:
        """Return whether the run can be resumed; also if the store that knows does not answer."""
        try:
            with fail_fast():
                return self.resumable(run_id, profile)
        except Exception:
            return True

    def _resolve_inputs(self, parameters: StepParameters) -> dict[str, str]:
        names = parameters.input_names()
        wanted = {step: getattr(parameters, run_id_parameter(step)) for step in names}
        for step in self.optional:
            if wanted[step] == LATEST and not finished_runs(step, count=1):
                logger.info("%s: %s has not run yet, so the defaults are used", self.name, step)
                wanted[step] = NONE
        return {step: self.resolve(step, id_) for step, id_ in wanted.items() if id_ != NONE}


def _read_profile(parameters: StepParameters) -> Profile:
    profile = load_profile(parameters.profile, parameters.override)
    return profile.named(parameters.model) if parameters.model else profile
