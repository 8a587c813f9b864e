"""The pulled model that is in use."""

import os
from pathlib import Path

import numpy as np

from edge.errors import UserError
from edge.record import RecordError
from edge.release import CURRENT, RELEASE_FILE, ReleaseError
from edge.scoring import Scorer
from edge.update.home import ModelHome, stated_in
from edge.update.trial import UNLOADABLE, Choice


class NoModelError(UserError):
    """There is no pulled model."""


class CurrentModel:
    """The pulled model that is in use, loaded; the one before it where its files are damaged.

    Args:
        models: the folder of one model, where a pull put its releases.
        threads: onnxruntime's intra-op threads; 0 leaves the choice to onnxruntime.

    Attributes:
        version: the model's version.
        release: the number of its release.
        file: the network's file, as this device chose it.
        scorer: what scores with it; it has scored once, so the first frame takes no longer.

    Raises:
        NoModelError: nothing was pulled there, or nothing there is whole.
    """

    def __init__(self, models: Path, threads: int = 0):
        self._home = ModelHome(models)
        self._seen = self._state_of_link()
        folders = [folder for folder in (self._home.current, self._home.previous) if folder]
        reasons = []
        for folder in folders:
            try:
                self._load(folder, threads)
                return
            except (ReleaseError, RecordError, OSError, *UNLOADABLE) as error:
                reasons.append(f"{folder.name}: {' '.join(str(error).split())}")
        whole, why = ("whole ", f" ({'; '.join(reasons)})") if reasons else ("", "")
        raise NoModelError(
            f"no {whole}model in {models}{why}: python -m edge pull --server URL "
            f"--model {models.name} --into {models.parent}"
        )

    def stale(self) -> bool:
        """Whether the link has moved since, or what it points at was mended: load anew."""
        return self._state_of_link() != self._seen

    def _load(self, folder: Path, threads: int) -> None:
        release = stated_in(folder)
        if release is None:
            raise ReleaseError(f"{RELEASE_FILE} is missing or damaged")
        release.require_files(folder)
        self.version, self.release = release.version, release.release
        self.file = Choice.read(folder).file
        self.scorer = Scorer(folder, threads=threads, model_file=self.file)
        height, width = self.scorer.record.input_size
        self.scorer.score_prepared(np.zeros((1, height, width, 3), np.uint8))  # warms up

    def _state_of_link(self) -> tuple:
        try:
            link = self._home.folder / CURRENT
            stated = os.stat(link / RELEASE_FILE)
            return os.readlink(link), stated.st_ino, stated.st_mtime_ns
        except OSError:
            return ()
