"""Two releases of a tiny model, and a server that has them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from release_server import MODEL, PUBLIC_KEY, ReleaseServer
from tiny_model import probabilities, write_model, write_reference_images

from edge.update.current import CurrentModel
from edge.update.registry import Registry
from edge.update.updater import Updater


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> list[Path]:
    """The files of three releases, by number; there is none of number 0."""
    made = [Path()]
    for number in (1, 2, 3):
        folder = write_model(tmp_path_factory.mktemp("release"), steepness=0.02 * number)
        made.append(write_reference_images(folder))
    return made


@pytest.fixture
def server(folders):
    server = ReleaseServer()
    server.release(folders[1], 1)
    yield server
    server.close()


@dataclass
class Device:
    """A device that follows the server's releases."""

    server: ReleaseServer
    models: Path
    folders: list[Path]

    @property
    def home(self) -> Path:
        return self.models / MODEL

    def updater(self, **options) -> Updater:
        registry = Registry(self.server.address)
        options = {"keys": [PUBLIC_KEY], "threads": 1, "reserve": 0, **options}
        return Updater(registry, MODEL, "champion", self.models, **options)

    def release(self, number: int) -> None:
        self.server.release(self.folders[number], number)

    def score(self) -> tuple[int, float]:
        """Return the release in use, and its score of a bright image."""
        model = CurrentModel(self.home, threads=1)
        return model.release, float(
            probabilities(model.scorer, [np.full((64, 48, 3), 160, np.uint8)])[0, 1]
        )

    def require_working(self, *releases: int) -> int:
        """Require one of some releases in use, with the right scores, and return it."""
        release, score = self.score()
        assert release in releases
        logit = 0.02 * release * (160 - 127.5)
        assert score == pytest.approx(1 / (1 + np.exp(-2 * logit)), abs=1e-5)
        return release

    def copy(self, to: Path) -> "Device":
        shutil.copytree(self.models, to, symlinks=True)
        return Device(self.server, to, self.folders)


@pytest.fixture
def device(server, folders, tmp_path) -> Device:
    """A device without a model."""
    return Device(server, tmp_path / "models", folders)


@pytest.fixture
def updated(device) -> Device:
    """Release 1 is in use and committed, and release 2 is published."""
    updater = device.updater()
    assert updater.check().release == 1
    updater.probation.commit()
    device.release(2)
    device.server.requests.clear()
    device.server.sent = 0
    return device
