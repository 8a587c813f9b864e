"""A lake of small images and a sitting, without Spark."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawing import jpeg

from benchmarks.made_lake import frame_name, make_lake
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.sitting import Sitting
from steps.settings.profile import Profile

IMAGES = 40


@pytest.fixture
def made(tmp_path) -> tuple[Profile, str]:
    """Forty frames of a device, every two hours."""
    return make_lake(
        tmp_path, [(frame_name(number, minutes=120), jpeg(number)) for number in range(IMAGES)]
    )


@pytest.fixture
def sit(made) -> Iterator:
    """Begins a sitting; the one before has ended then, as if its process had died."""
    profile, source = made
    journals: list[Journal] = []

    def begin(labeller: str = "ann") -> Sitting:
        while journals:
            journals.pop().close()
        journals.append(Journal(journal_folder(profile)))
        return Sitting(profile, source, journals[-1], labeller)

    yield begin
    for journal in journals:
        journal.close()


@pytest.fixture
def sitting(sit) -> Sitting:
    return sit()


@pytest.fixture
def table(made) -> Path:
    """The folder of ``images``."""
    return Path(made[0].lake, "images")


@pytest.fixture(scope="module")
def grouped() -> np.ndarray:
    """Features of four groups of images, one after the other."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 300)) * 3
    values = np.repeat(centres, 25, axis=0) + rng.standard_normal((100, 300))
    return (values / np.sqrt((values**2).sum(axis=1).mean())).astype(np.float32)
