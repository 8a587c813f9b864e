"""Spark starts while the command of ingest or main still imports MLflow, which takes a second.

So this module imports no MLflow, nor does what it imports.
"""

import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from os import walk
from pathlib import Path

from edge.inference.image import SUFFIXES
from steps.environment import prepare_environment
from steps.errors import UserError
from steps.lake.early_session import EarlySession
from steps.lake.session import spark_session
from steps.lake.spark_settings import is_local
from steps.landing.place import display, normalize
from steps.pipeline.signals import INTERRUPTED, raise_when_stopped
from steps.settings.parameters import StepParameters, parse_parameters, read_flag
from steps.settings.profile import Profile, load_profile
from steps.terminal import filtered_stderr, log_to_terminal


class _Parameters(StepParameters):
    """Those with which ingest is sure to read files, if it has no others."""

    source: str


NOT_ALL = {"--from", "--until", "--force", "--dry_run", "--help", "-h", "--version"}
"""With which main may not ingest. Its other parameters say nothing of that."""


@contextmanager
def begun_session(step: str) -> Iterator[EarlySession | None]:
    """Start Spark while ingest is imported, if the command is sure to need it.

    Its block imports and runs the step, and may be interrupted.

    Args:
        step: ``ingest``, or ``main``, which ingests first.

    Yields:
        the session, which ends with the block at the latest; None: it may not be needed.
    """
    log_to_terminal()
    raise_when_stopped()
    verbose = read_flag("verbose", None)
    try:
        with filtered_stderr(passes_all=verbose):
            if profile := _profile_of_new_lake(step, verbose):
                with EarlySession(lambda: spark_session(profile, step)) as session:
                    session.begin()
                    yield session
            else:
                yield None
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _profile_of_new_lake(step: str, verbose: bool) -> Profile | None:
    """Return the profile if the command brings images into a lake that it makes on this machine.

    What is wrong and what asks for help is left to the step, whose run can tell of it.
    """
    heard = StringIO()
    with suppress(UserError, SystemExit), redirect_stdout(heard), redirect_stderr(heard):
        prepare_environment(verbose)
        argv = sys.argv[1:] if step == "ingest" else _about_ingest(sys.argv[1:])
        given = parse_parameters(_Parameters, step, argv)
        profile = load_profile(given.profile, given.override)
        is_here = is_local(profile) and "://" not in profile.lake
        if is_here and not Path(profile.lake).exists() and _has_images(given.source):
            return profile
    return None


def _about_ingest(argv: list[str]) -> list[str]:
    """Return main's arguments that decide whether it ingests; none if it may not."""
    names = {word.partition("=")[0] for word in argv}
    if names & NOT_ALL or any(name.startswith("--override.") for name in names):
        return []
    parser = ArgumentParser(add_help=False, allow_abbrev=False, argument_default=SUPPRESS)
    for name in _Parameters.model_fields:
        parser.add_argument(f"--{name}", nargs="?", const="true")
    return [f"--{name}={value}" for name, value in vars(parser.parse_known_args(argv)[0]).items()]


def _has_images(source: str) -> bool:
    folders = walk(display(normalize(source)))
    return any(name.lower().endswith(tuple(SUFFIXES)) for *_, names in folders for name in names)
