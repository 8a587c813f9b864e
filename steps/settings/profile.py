"""The profile: where things run and what a team sets once, as one typed object."""

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from edge.inference.region import Region
from steps.errors import UserError
from steps.settings.parameters import ModelName
from steps.settings.profile_file import EXTENDS, VARIABLE, ProfileFile, read_profile_file
from steps.settings.search_space import SearchSpace, Section
from steps.settings.validation_errors import describe_item, key_of

PROJECT = Path(__file__).resolve().parents[2]
"""The project's folder: relative paths in a profile start here."""

PROFILES = PROJECT / "profiles"

Area = Annotated[Region, BeforeValidator(Region.of)]


def data_home() -> Path:
    """Return where relative places of a profile start: the project's folder.

    ``mlflow run <git URL>`` fetches the project into a temporary folder. Data then stays beside
    ``mlflow.db``, or in the home folder if the runs go to a server.
    """
    is_fetched = re.fullmatch(r"tmp\w{8}", PROJECT.name) and (PROJECT / ".git").exists()
    if not is_fetched:
        return PROJECT
    scheme, store = "sqlite:////", os.environ.get("MLFLOW_TRACKING_URI", "")
    if store.startswith(scheme):
        return Path("/", store.removeprefix(scheme)).parent
    return Path.home() / "lakehouse-vision"


class Spark(Section):
    """The profile's section on how Spark is started."""

    master: str | None = Field(description="Spark master URL; null: the running session")
    config: dict[str, str] = Field(description="Spark settings, added to the project's own")


class Training(Section):
    """How the network is trained, unless a parameter says otherwise."""

    launcher: Literal["auto", "horovod", "horovod-spark", "single"]
    processes: int = Field(ge=1, description="Horovod processes")
    cache_gigabytes: float = Field(
        20, gt=0, description="limit of the Petastorm caches; the least recently used are removed"
    )


class Tuning(Section):
    """The profile's section on what tune searches."""

    space: SearchSpace


class Bound(Section):
    """A limit of one metric: its minimum or its maximum."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Bound":
        if (self.min is None) == (self.max is None):
            raise ValueError("give either min or max")
        return self


class Promotion(Section):
    """What a challenger has to reach on the test set."""

    min_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="a wish, 0–1; 0: any; null: better than the most frequent label",
    )
    max_regression: float = Field(ge=0, le=1, description="below the champion's accuracy, 0–1")
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="of the paired test against the champion"
    )
    thresholds: dict[str, Bound] = Field(
        {},
        description="by metric: accuracy, log_loss, recall_<label>, precision_<label>, the label "
        "as it is; of a slice as <metric>@<slice>, the slices being day, night and device=<ID>",
    )
    max_onnx_bytes: int | None = Field(None, gt=0, description="of the ONNX graph")
    max_latency_ms: float | None = Field(
        None, gt=0, description="of one prepared image, on one thread of this machine"
    )


class Release(Section):
    """The profile's section on how a release is signed."""

    key_file: str | None = Field(
        "data/release.pem",
        description="private keys, made if they do not exist; null: releases are unsigned",
    )
    fresh_days: float = Field(
        30, gt=0, description="days until devices that hear of nothing newer say that it is stale"
    )


class Monitoring(Section):
    """How sure an alarm of the monitor has to be."""

    false_alarms_per_camera_month: float = Field(
        0.5, gt=0, le=10, description="of all tests together, on average, if nothing changed"
    )


class Profile(Section):
    """One file of ``profiles/``. An unknown key or a missing one without a default is an error.

    ``lake`` and ``cache`` are folders or URIs; a relative path starts at the project's folder.
    """

    name: str
    tracking_uri: str | None = Field(
        description="MLflow server; null: MLFLOW_TRACKING_URI, or else MLflow's own default"
    )
    lake: str = Field(description="where the Delta tables are")
    cache: str = Field(description="where the Petastorm caches are")
    file_name: str = Field(description="regex with the groups time, device, view, label")
    retention_days: float | None = Field(
        None, gt=0, description="days after which upkeep erases an image; null: never"
    )
    model: ModelName = Field("", description="registered model's name; null: the source's")
    regions: dict[str, Area] = Field(
        {}, description="by device ID, the part of its images that counts: [x, y, width, height]"
    )
    privacy_masks: dict[str, list[Area]] = Field(
        {}, description="by device ID, areas that ingest blackens: [[x, y, width, height], …]"
    )
    spark: Spark
    training: Training
    tuning: Tuning | None = Field(None, description="needed by tune only")
    promotion: Promotion
    monitoring: Monitoring = Monitoring()
    release: Release = Release()
    _shown: dict[str, Any] = PrivateAttr(default_factory=dict)
    _file: Path = PrivateAttr(default=PROFILES)

    @property
    def file(self) -> Path:
        """The file that it was read from."""
        return self._file

    @property
    def shown(self) -> dict[str, Any]:
        """Return what may be logged: the file's values, with the names of environment variables."""
        return self._shown

    def named(self, model: str) -> "Profile":
        """Return the profile with another name of the model."""
        profile = self.model_copy(update={"model": model})
        profile._shown = self._shown | {"model": model}
        return profile

    def cache_key_values(self, keys: tuple[str, ...]) -> dict[str, Any]:
        """Return the values at dotted keys; for a value from the environment, its hash."""
        values = self.model_dump(mode="json")
        return {
            key: hashlib.sha256(str(_at(values, key)).encode()).hexdigest()
            if VARIABLE.search(str(_at(self.shown, key)))
            else _at(values, key)
            for key in keys
        }

    @field_validator("file_name")
    @classmethod
    def _pattern_has_groups(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"not a valid regular expression: {error}") from error
        missing = {"time", "device", "view", "label"} - set(groups)
        if missing:
            raise ValueError(f"the pattern has no group {', '.join(sorted(missing))}")
        return pattern

    @field_validator("lake", "cache")
    @classmethod
    def _absolute(cls, place: str) -> str:
        if "://" in place:
            return place.rstrip("/")
        return str((data_home() / Path(place).expanduser()).resolve())


def _at(values: Any, key: str) -> Any:
    """Return the value at a dotted key, or None."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def load_profile(name: str, overrides: str = "") -> Profile:
    """Read ``profiles/<name>.yaml``, or the file at the path ``name``.

    ``${VARIABLE}`` in a value is replaced by that environment variable; ``extends: <profile>``
    takes the values of another profile.

    Args:
        name: a name or a path.
        overrides: ``key=value`` with commas between, such as ``training.processes=4``.

    Raises:
        UserError: the profile does not exist or is not YAML, or a key is unknown, missing or
            wrong; the message names the key, and the file or the override that has it.
    """
    file = read_profile_file(name, PROFILES, overrides)
    try:
        profile = Profile.model_validate({"name": file.path.stem, **file.values})
    except ValidationError as error:
        raise UserError(_describe_errors(error, file)) from error
    profile._shown, profile._file = {"name": profile.name, **file.shown}, file.path
    return profile


def _describe_errors(error: ValidationError, file: ProfileFile) -> str:
    """Return what is wrong, first in the file and then in the overrides."""
    wrong: dict[str, list[str]] = {str(file.path): [], "-P override": []}
    for item in error.errors():
        overridden = file.overrides(item["loc"])
        source = "-P override" if overridden else str(file.path)
        what = describe_item(item, Profile, above=() if overridden else (EXTENDS,))
        wrong[source].append(f"{key_of(item) or 'value'}: {what}")
    return "; ".join(f"{source}: {'; '.join(items)}" for source, items in wrong.items() if items)
