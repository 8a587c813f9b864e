"""The steps of an update, after each of which a test ends the process."""

import os
import signal
from enum import StrEnum

KILL_AFTER = "EDGE_KILL_AFTER"
"""Environment variable: the step after which the process kills itself."""


class UpdateStep(StrEnum):
    """What an update has just done, in the order in which it happens."""

    STAGED = "made the staging folder"
    PART_FETCHED = "fetched part of a file"
    FILE_FETCHED = "fetched a file"
    FETCHED = "fetched all files"
    COUNTED = "counted the attempt"
    TRIED = "tried the model"
    CHOSEN = "wrote down which file to use"
    SYNCED = "synced the files"
    PLACED = "moved the files to their place"
    NOTED = "noted the probation"
    LINKED = "made the new link"
    SWITCHED = "switched the link"
    TIDIED = "removed what is no longer needed"
    CONFIRMED = "confirmed"
    FAILED = "noted the failure"
    REVERTED = "switched the link back"


def reached(step: UpdateStep) -> None:
    """Mark that a step is done."""
    if os.environ.get(KILL_AFTER) == step:
        os.kill(os.getpid(), signal.SIGKILL)
