"""The typed records that a step logs as ``outputs.json`` and the next step reads."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from edge.inference.region import Region
from steps.endings import Result


class Record(BaseModel):
    """A typed part of the outputs of a step."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Outputs(Record):
    """The outputs of a step, few enough to read at a glance.

    Attributes:
        result: how the step ended.
        line: what it ended with, as the terminal's last line; empty: nothing to say.
    """

    result: Result = Result.DONE
    line: str = ""


class IngestOutputs(Outputs):
    """Images in Delta: the rows of ``table`` at ``version`` whose path is under ``source``.

    ``table_id`` is Delta's own: a table that was recreated at the same place has another one.
    Rows whose file was rewritten since are not counted; ``duplicates`` counts those among
    ``images`` whose bytes were ingested before under another name. ``labelled`` is a hash of the
    labelled images. ``labels_version`` is the version of the table ``labels`` that they follow; -1:
    none. ``labels_from`` counts labels by where they are from, and ``splits`` images by the split
    that they bring themselves.
    """

    table: str
    table_id: str = ""
    version: int
    source: str
    images: int
    new_images: int
    duplicates: int
    quarantined: int
    labels: dict[str, int]
    labelled: str = ""
    labels_version: int = -1
    labels_from: dict[str, int] = {}
    splits: dict[str, int] = {}


class LabelOutputs(Outputs):
    """Labels that a sitting added to the table of labels, and the images by label after it."""

    added: int
    labels: dict[str, int]
    unlabelled: int


class UpkeepOutputs(Outputs):
    """By table: the number of data files before and after, and the new version.

    By what takes space: megabytes before it. By table: megabytes that were, or would be, freed.
    By place: what was erased for its age.
    """

    compacted: dict[str, tuple[int, int]]
    versions: dict[str, int]
    megabytes: dict[str, float]
    freed: dict[str, float]
    erased: dict[str, int] = {}


class Selection(Record):
    """In outputs: which images a network learns from, how they are split, and which part of them.

    ``labelled`` is a hash of the labelled images; empty: unknown, as in older runs. ``regions``
    are by device ID, as in the model's record.
    """

    table: str
    table_id: str = ""
    version: int
    source: str
    labelled: str = ""
    input_size: tuple[int, int]
    resizing: str = "squash"
    regions: dict[str, Region] = {}
    block_minutes: int
    guard_minutes: int
    split_seed: int
    test: str = ""

    def content(self) -> dict[str, Any]:
        """Return what decides a cache: equal ones have the same images in the same splits.

        The version at which they are read decides only if the images are unknown.
        """
        where = {"table_id", "version"} if self.labelled else set()
        return self.model_dump(mode="json", exclude=where)


class TuneOutputs(Outputs):
    """The best trial's hyperparameters, and how many trials finished and failed."""

    best_trial_run_id: str
    validation_loss: float
    hyperparameters: dict[str, float | int | str]
    finished: int = 0
    failed: int = 0
    selection: Selection

    @property
    def network(self) -> str:
        """The network that was searched, or that won."""
        return str(self.hyperparameters["network"])


class TrainOutputs(Outputs):
    """What train hands on: a network, logged as ``model.keras``, and its metrics.

    ``own_splits`` are the splits that the images brought themselves.
    ``threshold`` is the probability from which ``threshold_label`` is predicted, or the second of
    two labels if that is None. Without a threshold, the most probable label is predicted.
    ``temperature``, ``offsets`` and ``abstention`` are as in the model's record; None without a
    wished risk, or if no threshold keeps it.
    ``cross_validated`` are images by true label (rows) and predicted label, if the test split is
    small: of all labelled images, predicted by classifiers of others.
    ``metrics`` are of the ``test_images`` of the test split, with that threshold.
    ``shortcut`` says which shortcut the network is seen to follow; empty: none.
    ``proposed_region`` is what it might see alone, if its answers depend on the surroundings.
    """

    labels: list[str]
    network: str
    launcher: str
    processes: int
    epochs: int
    metrics: dict[str, float]
    test_images: int = 0
    cross_validated: list[list[int]] = []
    threshold: float | None = None
    threshold_label: str | None = None
    temperature: float | None = None
    offsets: list[float] | None = None
    abstention: float | None = None
    own_splits: list[str] = []
    shortcut: str = ""
    proposed_region: Region | None = None
    selection: Selection


class RegisterOutputs(Outputs):
    """A version of the registered Keras model, under the alias ``challenger``."""

    model: str
    version: str


class PromoteOutputs(Outputs):
    """The version that was promoted or refused, and why; ``champion`` is the one of then."""

    model: str
    version: str
    alias: str
    reason: str
    champion: str | None = None
    metrics: dict[str, float] = {}


class ExportOutputs(Outputs):
    """The released ONNX version and how far it is from Keras."""

    model: str
    version: str
    alias: str
    release: int
    source_version: str
    files: dict[str, str]
    max_difference: float
    test_images: int


class ScoreOutputs(Outputs):
    """Rows appended to the table of scores."""

    table: str
    version: int
    scored: int
    unreadable: int
    model: str
    model_version: str


class DeviceOutputs(Outputs):
    """What the edge agent scored."""

    model: str
    model_version: str
    frames: int


class EraseOutputs(Outputs):
    """The number of images that were, or would be, erased, and what of them by place."""

    images: int
    removed: dict[str, int]


class AlarmOutputs(Record):
    """A change of a device that lasted: what it is, and when it began and was noticed (UTC).

    ``cause`` is the same in each run of the monitor that finds it.
    """

    device: str
    test: str
    meaning: str
    began: str
    noticed: str
    ended: str | None = None
    cause: str


class MonitorOutputs(Outputs):
    """What changed on devices since a version was trained; ``acted`` says what was started."""

    model: str
    version: str
    devices: int
    images: int
    alarms: list[AlarmOutputs]
    accuracy: tuple[float, float, float] | None = None
    control_images: int = 0
    acted: str = ""


class InspectOutputs(Outputs):
    """Figures of a run of the pipeline, by step and metric."""

    figures: dict[str, float]
