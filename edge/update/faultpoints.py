"""The steps of an update; a test kills the process after each of them."""

import os
import signal
from enum import StrEnum

KILL_AFTER = "EDGE_KILL_AFTER"
"""Environment variable: the step after which the process kills itself."""


class UpdateStep(StrEnum):
    """The steps of an update in their order, and those of a rollback."""

    STAGED = "created the staging folder"
    PART_FETCHED = "downloaded part of a file"
    FILE_FETCHED = "downloaded a file"
    FETCHED = "downloaded all files"
    ATTEMPT_COUNTED = "counted the attempt"
    SELF_TESTED = "self-tested the model"
    RESULT_WRITTEN = "wrote the self-test's result"
    SYNCED = "synced the files"
    MOVED = "moved the files to their place"
    PROBATION_SAVED = "saved the probation"
    LINKED = "created the new link"
    SWITCHED = "switched the link"
    CLEANED_UP = "removed what is no longer needed"
    COMMITTED = "committed"
    FAILURE_SAVED = "saved the failure"
    ROLLED_BACK = "switched the link back"


def reached(step: UpdateStep) -> None:
    """Mark a step as done."""
    if os.environ.get(KILL_AFTER) == step:
        os.kill(os.getpid(), signal.SIGKILL)
