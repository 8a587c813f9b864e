"""What there is to label: the images of a landing zone as columns in memory, in time order."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from steps.errors import RunStep, UserError
from steps.ingestion.brightness import brightness
from steps.ingestion.label_rows import FROM_LABELS
from steps.ingestion.tables import BAND, IMAGES, TIME
from steps.lake.delta_log import DeltaLog
from steps.landing.place import display
from steps.settings.profile import Profile

NARROW = pa.schema(
    [(name, pa.string()) for name in ("path", "sha256", "device_id", "label", "label_from")]
    + [(name, TIME) for name in ("captured_at", "replaced_at", "ingested_at")]
    + [("statistics", pa.list_(BAND))]
)


@dataclass(frozen=True)
class ImageIndex:
    """The images, each once, whatever the number of its files.

    Attributes:
        version: of the table.
        files: the data files, relative to the table.
        columns: sha256, device, label (None: none but by a row of ``labels``), captured_at,
            ingested_at, brightness (0–255), file (number in ``files``) and row (in that file), in
            time order.
    """

    version: int
    files: list[str]
    columns: pa.Table

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @cached_property
    def sha256(self) -> NDArray[np.bytes_]:
        """The hashes, ``S64 [N]``."""
        return np.array(self.columns["sha256"].to_numpy(), "S64")

    @cached_property
    def times(self) -> NDArray[np.int64]:
        """The capture times in microseconds since 1970, ``int64 [N]``."""
        times: NDArray[np.int64] = self.columns["captured_at"].cast(pa.int64()).to_numpy()
        return times

    @cached_property
    def brightness(self) -> NDArray[np.float32]:
        """The mean of the pixels, 0–255; NaN if unknown. ``float32 [N]``."""
        values: NDArray[np.float32] = self.columns["brightness"].to_numpy()
        return values

    @cached_property
    def devices(self) -> tuple[list[str], NDArray[np.int32]]:
        """The devices' IDs, and which of them took each image."""
        names = self.columns["device"].combine_chunks().dictionary_encode()
        return names.dictionary.to_pylist(), names.indices.to_numpy()

    @cached_property
    def _by_hash(self) -> NDArray[np.intp]:
        return np.argsort(self.sha256)

    def find(self, sha256: str) -> int | None:
        """Return where an image stands; None if it is not there."""
        wanted = np.bytes_(sha256.encode())
        place = int(np.searchsorted(self.sha256, wanted, sorter=self._by_hash))
        if place == len(self) or self.sha256[self._by_hash[place]] != wanted:
            return None
        return int(self._by_hash[place])

    def place_of(self, number: int) -> tuple[str, int]:
        """Return the data file of an image, and its row there."""
        file, row = (self.columns[name][number].as_py() for name in ("file", "row"))
        return self.files[file], row


def newest_version(profile: Profile) -> int:
    """Return the newest version of ``images``.

    Raises:
        UserError: there is no such table.
    """
    return _log(profile).versions[-1]


def _log(profile: Profile) -> DeltaLog:
    log = DeltaLog(IMAGES.path(profile))
    if not log.versions:
        raise UserError(f"{profile.lake} has no images yet", RunStep("ingest"))
    return log


def read_index(profile: Profile, source: str) -> ImageIndex:
    """Read what there is to label.

    Args:
        profile: names the lake.
        source: the landing zone, as the tables write it.

    Raises:
        UserError: there is no table, only Spark can read it, or it has no image of the source.
    """
    log = _log(profile)
    snapshot = log.read_plain()
    files = sorted(snapshot.files)
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(partial(_read_file, log, source), range(len(files)), files))
    rows = pa.concat_tables([_schema().empty_table(), *parts])
    if not rows.num_rows:
        place = display(source)
        raise UserError(f"the lake has no image of {place}", RunStep("ingest", {"source": place}))
    rows = rows.sort_by([("captured_at", "ascending"), ("sha256", "ascending")])
    firsts = np.unique(rows["sha256"].to_numpy(), return_index=True)[1]
    return ImageIndex(
        snapshot.version, files, rows.take(pa.array(np.sort(firsts))).combine_chunks()
    )


def _schema() -> pa.Schema:
    text = [(name, pa.string()) for name in ("sha256", "device", "label")]
    places = [("file", pa.int32()), ("row", pa.int32())]
    times = [(name, TIME) for name in ("captured_at", "ingested_at")]
    return pa.schema([*text, *times, ("brightness", pa.float32()), *places])


def _read_file(log: DeltaLog, source: str, number: int, file: str) -> pa.Table:
    """Return the rows of one data file, whose places only a reading without a filter shows."""
    rows = log.read_rows([file], NARROW, pc.scalar(True))
    here = pc.and_(pc.starts_with(rows["path"], f"{source}/"), pc.is_null(rows["replaced_at"]))
    is_own = pc.not_equal(pc.fill_null(rows["label_from"], ""), FROM_LABELS)
    columns: dict[str, Any] = {
        "sha256": rows["sha256"],
        "device": pc.fill_null(rows["device_id"], ""),
        "label": pc.if_else(is_own, rows["label"], None),
        "captured_at": rows["captured_at"],
        "ingested_at": rows["ingested_at"],
        "brightness": brightness(rows["statistics"].combine_chunks()).astype(np.float32),
        "file": np.full(rows.num_rows, number, np.int32),
        "row": np.arange(rows.num_rows, dtype=np.int32),
    }
    return pa.table(columns, schema=_schema()).filter(here)
