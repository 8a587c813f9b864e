"""Spark starts while the command of ingest still imports MLflow, which takes a second.

So this module imports no MLflow, nor does what it imports.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from os import walk
from pathlib import Path

from edge.inference.image import SUFFIXES
from steps.environment import prepare_environment
from steps.errors import UserError
from steps.lake.early_session import EarlySession
from steps.lake.session import is_local, spark_session
from steps.landing.place import display, normalize
from steps.pipeline.signals import INTERRUPTED, raise_when_stopped
from steps.settings.parameters import StepParameters, parse_parameters, read_flag
from steps.settings.profile import Profile, load_profile
from steps.terminal import filtered_stderr, log_to_terminal


class _Parameters(StepParameters):
    """Those with which ingest is sure to read files, if it has no others."""

    source: str


@contextmanager
def begun_session() -> Iterator[EarlySession | None]:
    """Start Spark in the background for the command, if it is sure to need it.

    Its block imports and runs the step, and may be interrupted.

    Yields:
        the session, which ends with the block at the latest; None: it may not be needed.
    """
    log_to_terminal()
    raise_when_stopped()
    verbose = read_flag("verbose", None)
    try:
        with filtered_stderr(passes_all=verbose):
            if profile := _profile_of_new_lake(verbose):
                with EarlySession(lambda: spark_session(profile, "ingest")) as session:
                    session.begin()
                    yield session
            else:
                yield None
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _profile_of_new_lake(verbose: bool) -> Profile | None:
    """Return the profile if the command brings images into a lake that it makes on this machine.

    What is wrong and what asks for help is left to the step, whose run can tell of it.
    """
    heard = StringIO()
    with suppress(UserError, SystemExit), redirect_stdout(heard), redirect_stderr(heard):
        prepare_environment(verbose)
        given = parse_parameters(_Parameters, "ingest")
        profile = load_profile(given.profile, given.override)
        is_here = is_local(profile) and "://" not in profile.lake
        if is_here and not Path(profile.lake).exists() and _has_images(given.source):
            return profile
    return None


def _has_images(source: str) -> bool:
    folders = walk(display(normalize(source)))
    return any(name.lower().endswith(tuple(SUFFIXES)) for *_, names in folders for name in names)
