"""The pipeline from Python and in notebooks: the same runs, tags and reuse as the command line.

No step imports this module, so that a change of it reruns nothing.
"""

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from html import escape
from importlib import import_module
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings(action="ignore"):  # tqdm asks for ipywidgets, which nothing here needs
    import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray

from edge.inference.errors import UnreadableError
from edge.inference.prediction import Prediction
from edge.inference.scoring import Scorer
from steps.environment import prepare_environment
from steps.errors import RunStep, UserError
from steps.ingestion.tables import IMAGES, TIME, read_current
from steps.interactive.process import run_step
from steps.interactive.shown import ShownRun
from steps.interactive.store import open_store, restore_own_store, use_store
from steps.lake.newest import Newest
from steps.lake.session import spark_session
from steps.landing import place
from steps.pipeline.cache_key import each_difference
from steps.pipeline.commands import Commands
from steps.pipeline.failures import describe_fault
from steps.pipeline.model_names import MODEL, name_model, released_name
from steps.pipeline.outputs import IngestOutputs, RegisterOutputs, TrainOutputs, TuneOutputs
from steps.pipeline.run_files import read_key_parts, read_outputs
from steps.pipeline.runs import LATEST, NONE, resolve_input
from steps.pipeline.tracking_store import ask_store
from steps.registry.aliases import CHAMPION, require_version
from steps.registry.versions import onnx_version, require_version_number
from steps.release.statement import fetch_files
from steps.settings.parameters import StepParameters, run_id_parameter
from steps.settings.profile import PROJECT, load_profile
from steps.settings.validation_errors import did_you_mean

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

OF_A_SOURCE = ("main", "ingest", "label")
"""The entry points whose ``source`` is the landing zone."""

ARROW = {"STRING": pa.string(), "INT": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64()}
ARROW |= {"TIMESTAMP": TIME}
"""The types of the columns that :meth:`Pipeline.images` returns, by their names in DDL."""

INPUTS: dict[str, Any] = {"ingest": IngestOutputs, "tune": TuneOutputs}
INPUTS |= {"train": TrainOutputs, "register": RegisterOutputs}
"""The outputs of the steps whose runs others read."""

Image = str | os.PathLike[str] | bytes | NDArray[np.uint8]
"""A path, also one of the table ``images``, an encoded image, or RGB ``uint8 [h, w, 3]``."""


class Pipeline:
    """The pipeline over one landing zone, by one profile, to whose store each call points MLflow.

    Args:
        source: folder or URI with images; a relative path starts at the project's folder.
        profile, override: as every step has them.

    Example::

        p = Pipeline(source="data/landing")
        p.run(train_epochs=50)  # mlflow run . -P source=data/landing -P train_epochs=50
        p.inspect("train")
        p.predict(p.images().path[:5])
    """

    def __init__(
        self,
        source: str | os.PathLike[str] = "data/landing",
        profile: str | os.PathLike[str] = "local",
        override: str = "",
    ):
        prepare_environment(verbose=False)
        self.source = str(source)
        self._given = StepParameters(profile=str(profile), override=override)
        self._runs: dict[str, str] = {}
        self._scorers: dict[str, Scorer] = {}
        with chdir(PROJECT):
            restore_own_store()
            self.profile = load_profile(str(profile), override)
            self._place = place.normalize(self.source)
            self._store = open_store(self.profile)

    @property
    def model(self) -> str:
        """The name of the registered Keras model; it is released as ``<model>-onnx``."""
        return self.profile.model or name_model(self._place)

    def run(self, step: str = "main", **parameters: Any) -> ShownRun:
        """Run the whole pipeline, or one step of it, and return its run.

        A single step reads the runs that this object made or reused before, or else the latest of
        this source and model.

        Args:
            step: an entry point of MLproject.
            parameters: of the step; ``from_`` is ``from``, which Python keeps for itself.

        Raises:
            UserError: the step failed, or is given a run of another model.
        """
        typed = {name.removesuffix("_"): str(value) for name, value in parameters.items()}
        with self._in_store():
            given = self._given.non_default() | self._inputs(step, typed)
        before = {} if step == "main" else {n: run for n, run in self._runs.items() if n != step}
        before, self._runs = self._runs, before  # if it fails, nothing is known of what it ran
        run_id = run_step(step, [f"--{name}={value}" for name, value in given.items()])
        run = ShownRun(step, run_id, self._store)
        made = run.outputs["runs"] if step == "main" else {}
        self._runs = before | {step: run_id} | made
        return run

    def inspect(self, step: str = "main") -> ShownRun:
        """Return the run of a step that this object made or reused, else the latest that ended."""
        with self._in_store():
            _require_entry_point(step)
            if step in self._runs:
                return ShownRun(step, self._runs[step], self._store)
            for run in _newest_runs(f"tags.step = '{step}' and attributes.status != 'RUNNING'"):
                return ShownRun(step, run.info.run_id, self._store)
            raise UserError(f"{step} has not run here yet", RunStep(step))

    def images(self, content: bool = False) -> pd.DataFrame:
        """Return the rows of the table ``images`` for this landing zone's files as they are now.

        They are read without Spark if the table allows it. EXIF, statistics and histograms are not
        among them: docs/search.md queries these.

        Args:
            content: whether to read the images' bytes, which have to fit into memory.

        Raises:
            UserError: nothing has been ingested.
        """
        types = {name: ARROW[kind] for name, kind in IMAGES.types.items() if kind in ARROW}
        types |= {"content": pa.binary()} if content else {}
        with self._in_store(), ExitStack() as spark:
            session = spark_session(self.profile, "images")
            newest = Newest(IMAGES, self.profile, lambda: spark.enter_context(session))
            if not newest.exists:
                raise UserError(f"{self.profile.lake} has no images yet", RunStep("ingest"))
            rows = read_current(newest, self._place, types)
        frame = rows.to_pandas().drop(columns="replaced_at")
        return frame.sort_values(["captured_at", "path"], ignore_index=True)

    def predict(
        self, images: Iterable[Image], version: str = CHAMPION, device: str = ""
    ) -> pd.DataFrame:
        """Score images as a device does; return their labels, scores and probabilities.

        Args:
            images: to score; one that is unreadable gets the reason in place of a label.
            version: an alias, or the number of a released version.
            device: the ID of the device that took them, if the model has regions.

        Raises:
            UserError: there is no such release, or a path cannot be read.
        """
        chosen = list(images)
        with self._in_store():
            scorer = self._scorer(version)
            try:
                found = scorer.predict_each(map(_readable, chosen), repeat(device))
            except OSError as error:
                raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
        return pd.DataFrame([_row(*pair) for pair in zip(chosen, found, strict=True)])

    def compare(self, first: ShownRun | str, second: ShownRun | str) -> "Styler":
        """Return the metrics of two runs of a step, below what decided that they differ.

        Args:
            first, second: as :meth:`run` returns them, or their IDs.
        """
        with self._in_store():
            runs = [_find_run(run) for run in (first, second)]
            steps = [run.data.tags.get("step", "no step") for run in runs]
            if steps[0] != steps[1]:
                raise UserError(f"a run of {steps[0]} is not compared with one of {steps[1]}")
            old, new = (read_key_parts(run.info.run_id) or {} for run in runs)
        metrics = pd.DataFrame([run.data.metrics for run in runs]).T.sort_index()
        metrics.columns = [run.info.run_id[:8] for run in runs]
        metrics["difference"] = metrics.iloc[:, 1] - metrics.iloc[:, 0]
        why = "; ".join(each_difference(old, new)) or "nothing that decides them differs"
        return metrics.style.set_caption(escape(why)).format("{:.4g}", na_rep="–")

    def _inputs(self, step: str, typed: dict[str, str]) -> dict[str, str]:
        """Return the source, the model and the runs that a step works on, with what was typed."""
        _require_entry_point(step)
        if step in OF_A_SOURCE:
            return {"source": self.source} | typed
        of_step = import_module(f"steps.{step}").STEP
        given = {"model": self.model} if MODEL in of_step.settings and step != "register" else {}
        given |= typed
        names = of_step.parameters.input_names()
        if "source" in given and "ingest" in names:
            names.remove("ingest")  # files are scored as they are
        for name in names:
            parameter = run_id_parameter(name)
            if given.get(parameter, LATEST) == LATEST:
                run_id = self._runs.get(name) or self._newest_own(name, given)
                if run_id is None and name not in of_step.optional:
                    raise self._missing(name)
                given[parameter] = run_id or NONE
        if "register" in names:
            _require_same_model(given)
        return given

    def _newest_own(self, step: str, given: dict[str, str]) -> str | None:
        """Return the newest finished run of a step on this landing zone, or for the given model."""
        if step not in INPUTS:
            return LATEST
        for run in _newest_runs(f"tags.step = '{step}' and attributes.status = 'FINISHED'"):
            outputs = read_outputs(run.info.run_id, INPUTS[step])
            if isinstance(outputs, RegisterOutputs):
                is_own = outputs.model == given["model"]
            else:
                is_own = getattr(outputs, "selection", outputs).source == self._place
            if is_own:
                return str(run.info.run_id)
        return None

    def _missing(self, step: str) -> UserError:
        source = {"source": self.source}
        if step == "ingest":
            return UserError(f"{self.source} has not been ingested yet", RunStep(step, source))
        fix = RunStep("main", source | {"until": step})
        return UserError(f"{self.source} has no finished run of {step} yet", fix)

    def _scorer(self, version: str) -> Scorer:
        """Return the scorer of a release, fetched and checked once."""
        name = released_name(self.model)
        if version.isdecimal():
            exported = onnx_version(require_version_number(self.model, version))
            if exported is None:
                raise UserError(f"{self.model} {version} was never released")
            release = require_version_number(name, exported)
        else:
            release = require_version(name, version, made_by="export")
        if release.version not in self._scorers:
            with TemporaryDirectory() as folder:
                self._scorers[release.version] = Scorer(fetch_files(release, Path(folder)))
        return self._scorers[release.version]

    @contextmanager
    def _in_store(self) -> Iterator[None]:
        """Use the profile's store; give an error its fix, and say in one line what is away."""
        use_store(self._store)
        try:
            yield
        except UserError as error:
            Commands(parameters=self._given).add_to(error)
            raise
        except Exception as error:
            if away := describe_fault(error, self.profile):
                raise UserError(away) from error
            raise


def _require_entry_point(step: str) -> None:
    known = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    if step not in known:
        hint = did_you_mean(step, known)
        raise UserError(f"there is no step {step!r}; {hint}the steps are: {' '.join(known)}")


def _require_same_model(given: dict[str, str]) -> None:
    """Check that a challenger, by its run of register, is of the model that is worked on."""
    if (run_id := given.get(run_id_parameter("register"), NONE)) == NONE:
        return
    registered = read_outputs(resolve_input("register", run_id), RegisterOutputs).model
    if registered != given["model"]:
        raise UserError(
            f"run {run_id} registered {registered}, not {given['model']}; pass model={registered!r}"
        )


def _newest_runs(condition: str) -> list[Run]:
    order = ["attributes.start_time DESC"]
    return list(mlflow.search_runs(filter_string=condition, order_by=order, output_format="list"))


def _find_run(wanted: ShownRun | str) -> Run:
    run_id = wanted.run_id if isinstance(wanted, ShownRun) else wanted
    run = ask_store(MlflowClient().get_run, run_id)
    if run is None:
        raise UserError(f"there is no run {run_id!r}; pass what run() returned, or a run's ID")
    return run


def _readable(image: Image) -> Image:
    """Return what the scoring core takes: a path of the tables may be a URI."""
    if isinstance(image, str):
        return place.read(image) if "://" in image else place.display(image)
    return image


def _row(image: Image, found: Prediction | UnreadableError) -> dict[str, Any]:
    path = str(image) if isinstance(image, str | os.PathLike) else None
    if isinstance(found, UnreadableError):
        return {"path": path, "label": None, "score": None, "reason": str(found)}
    probabilities = {f"probability_{name}": p for name, p in found.probabilities.items()}
    return {"path": path, "label": found.label, "score": found.score, **probabilities}
