"""The version of the project, which is also that of its agent. ``edge/VERSION`` alone states it."""

from pathlib import Path


def project_version() -> str:
    """Return the project's version, such as ``0.1.0``.

    It is read from a file that is no module, so that another version alone reruns no step.
    """
    return Path(__file__).parents[1].joinpath("VERSION").read_text(encoding="ascii").strip()
