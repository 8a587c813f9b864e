"""The switch to a release: first its files are in place and synced, then the link moves."""

import os
from pathlib import Path

from edge.files.atomic import sync_file, sync_folder
from edge.protocol.release import Release
from edge.update.home import ModelHome
from edge.update.state import State


def activate(home: ModelHome, release: Release, staging: Path, folder: Path) -> None:
    """Switch to a self-tested release, on probation.

    Whenever the process ends meanwhile, a complete release stays in use.

    Args:
        home: the model's folder.
        release: the release to activate.
        staging: where its files are, with the result of the self-test.
        folder: where they move.
    """
    for path in staging.iterdir():
        sync_file(path)
    sync_folder(staging)
    if home.current == folder:  # a repair: file by file, so that the model is never missing
        for path in staging.iterdir():
            os.replace(path, folder / path.name)
        sync_folder(folder)
        staging.rmdir()
    else:
        home.discard(folder)
        staging.rename(folder)
    with home.state_lock():
        _switch_link(home, release, folder)


def _switch_link(home: ModelHome, release: Release, folder: Path) -> None:
    state, current = home.state, home.current
    if current == folder:
        return
    in_use = current.name if current else None
    # a probation of another release: a power cut came before the link had moved to it
    committed = state.previous if state.probation else in_use
    home.save(
        State(
            highest_release=max(state.highest_release, release.release),
            digest=release.digest,
            probation=folder.name,
            previous=committed,
            failures=state.failures,
        )
    )
    home.switch(folder)
