"""The pulled model that is in use."""

import os
from pathlib import Path

import numpy as np

from edge.inference.errors import UserError
from edge.inference.record import RecordError
from edge.inference.scoring import Scorer
from edge.protocol.release import CURRENT, RELEASE_FILE, ReleaseError
from edge.update.home import ModelHome, stated_in
from edge.update.self_test import UNLOADABLE, Choice


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
        folder: where it was loaded from.
        linked: the folder that the link names.
        passed_over: why that one did not load, and this one did; None where this is the one.

    Raises:
        NoModelError: nothing was pulled there, or nothing there is whole.
    """

    def __init__(self, models: Path, threads: int = 0):
        self._models, self._seen = models, link_state(models)
        home = ModelHome(models)
        self.linked = home.linked
        reasons: list[str] = []
        for folder in filter(None, (self.linked, home.previous)):
            try:
                self._load(folder, threads)
                self.folder, self.passed_over = folder, "; ".join(reasons) or None
                return
            except (ReleaseError, RecordError, OSError, *UNLOADABLE) as error:
                reasons.append(f"{folder.name}: {' '.join(str(error).split())}")
        whole, why = ("whole ", f" ({'; '.join(reasons)})") if reasons else ("", "")
        raise NoModelError(f"no {whole}model in {models}{why}")

    def stale(self) -> bool:
        """Whether the link has moved since, or what it points at was mended: load anew."""
        return link_state(self._models) != self._seen

    def _load(self, folder: Path, threads: int) -> None:
        release = stated_in(folder)
        if release is None:
            raise ReleaseError(f"its {RELEASE_FILE} is missing or damaged")
        release.require_files(folder)
        self.version, self.release = release.version, release.release
        self.file = Choice.read(folder).file
        self.scorer = Scorer(folder, threads=threads, model_file=self.file)
        height, width = self.scorer.record.input_size
        self.scorer.score_prepared(np.zeros((1, height, width, 3), np.uint8))  # warms up


def link_state(models: Path) -> tuple:
    """Another one whenever the link was moved, or what it points at was mended; () without one.

    Args:
        models: the folder of one model.
    """
    try:
        link = models / CURRENT
        stated = os.stat(link / RELEASE_FILE)
        return os.readlink(link), stated.st_ino, stated.st_mtime_ns
    except OSError:
        return ()
