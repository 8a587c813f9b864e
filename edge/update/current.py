"""The model in use, loaded."""

import os
from pathlib import Path

import numpy as np

from edge.inference.errors import RecordError, describe_error
from edge.inference.scoring import Scorer
from edge.protocol.release import CURRENT, RELEASE_FILE, ReleaseError, read_release
from edge.update.errors import NoModelError
from edge.update.home import ModelHome
from edge.update.load_errors import LOAD_ERRORS
from edge.update.self_test import SelfTestResult


class CurrentModel:
    """The model in use, loaded; the release before it if its files are damaged.

    Args:
        models: the folder of one model, with its releases.
        threads: onnxruntime's intra-op threads; 0 for onnxruntime's default.

    Attributes:
        model, version: the registered model that was trained and promoted.
        release: the number of its release.
        file: the network's file, as the self-test selected it.
        scorer: of the network; it is warm, so that the first frame takes no longer than others.
        folder: where it was loaded from.
        linked_folder: the folder that the link names.
        fallback_reason: why that folder did not load; None if it did.

    Raises:
        NoModelError: no model was pulled, or none is complete.
    """

    def __init__(self, models: Path, threads: int = 0):
        self._models, self._seen = models, current_fingerprint(models)
        home = ModelHome(models)
        self.linked_folder = home.linked_folder
        reasons: list[str] = []
        for folder in filter(None, (self.linked_folder, home.previous)):
            try:
                self._load(folder, threads)
                self.folder, self.fallback_reason = folder, "; ".join(reasons) or None
                return
            except (ReleaseError, RecordError, OSError, *LOAD_ERRORS) as error:
                reasons.append(f"{folder.name}: {describe_error(error)}")
        if reasons:
            raise NoModelError(f"no complete model in {models} ({'; '.join(reasons)})")
        raise NoModelError(f"no model in {models}")

    def is_stale(self) -> bool:
        """Return whether the link has moved, or its target was repaired."""
        return current_fingerprint(self._models) != self._seen

    def _load(self, folder: Path, threads: int) -> None:
        release = read_release(folder)
        if release is None:
            raise ReleaseError(f"its {RELEASE_FILE} is missing or damaged")
        release.require_files(folder)
        self.release = release.release
        self.file = SelfTestResult.read(folder).file
        self.scorer = Scorer(folder, threads=threads, model_file=self.file)
        # what people know it by: the version of its files has a number that only the registry needs
        files = {"model": release.model, "version": release.version}
        source = files | self.scorer.record.source
        self.model, self.version = source["model"], source["version"]
        height, width = self.scorer.record.input_size
        self.scorer.score_prepared(np.zeros((1, height, width, 3), np.uint8))  # warms up


def current_fingerprint(models: Path) -> tuple[str, int, int] | None:
    """Return a value that changes when the current model's link moves or its target is repaired.

    Args:
        models: the folder of one model.

    Returns:
        Target of the link, inode and time of its release statement; None without a link.
    """
    try:
        link = models / CURRENT
        status = os.stat(link / RELEASE_FILE)
        return os.readlink(link), status.st_ino, status.st_mtime_ns
    except OSError:
        return None
