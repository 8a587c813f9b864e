"""The switch to a release: its files at their place and on the disk, then the link, in one step."""

import os
from dataclasses import replace
from pathlib import Path

from edge.files.atomic import sync_file, sync_folder
from edge.protocol.release import Release
from edge.update.faultpoints import UpdateStep, reached
from edge.update.home import ModelHome
from edge.update.state import State


def activate(home: ModelHome, release: Release, staging: Path, folder: Path) -> None:
    """Move a release that passed its trial to its place, and the link to it; wherever the process
    ends meanwhile, a whole release stays in use.

    Args:
        home: the model's folder.
        release: what is put in use; it is on probation afterwards.
        staging: where its files are, the device's choice among them.
        folder: their place.
    """
    for file in release.files:
        sync_file(staging / file.name)
    sync_folder(staging)
    reached(UpdateStep.SYNCED)
    if home.current == folder:  # damaged: file by file, so that it is never gone
        for path in staging.iterdir():
            os.replace(path, folder / path.name)
        sync_folder(folder)
        staging.rmdir()
    else:
        home.discard(folder)
        staging.rename(folder)
    sync_folder(home.folder)
    reached(UpdateStep.PLACED)
    with home.changing():
        _switch(home, release, folder)


def _switch(home: ModelHome, release: Release, folder: Path) -> None:
    state, current = home.state, home.current
    failures = {k: v for k, v in state.failures.items() if k != release.digest}
    if current == folder:
        home.remember(replace(state, failures=failures))
        return
    in_use = current.name if current else None
    before = state.previous if home.on_probation() else in_use
    home.remember(
        State(
            taken=max(state.taken, release.release),
            statement=release.digest,
            probation=folder.name,
            previous=before,
            failures=failures,
        )
    )
    reached(UpdateStep.NOTED)
    home.switch(folder)
