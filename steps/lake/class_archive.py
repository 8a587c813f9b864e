"""An archive of the classes that Spark loads: a JVM that maps it need not read and verify them.

``make setup`` makes it, for this environment and its Java. A JVM ignores one that does not fit or
is damaged, and starts as it would without.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pyspark

from steps.lake.jars import delta_jars

FOLDER = Path(sys.prefix, "spark-classes")

QUIET = "-Xlog:disable -Xlog:all=error:stderr"
"""Or a JVM warns, on standard output, of an archive that it ignores."""


def archive_name() -> str:
    """Return how the name of an archive begins that is made with this Java for these jars."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=home and f"{home}/bin") or "java"
    places = [Path(java).resolve(), Path(pyspark.__file__).resolve().parent / "jars", *delta_jars()]
    made_from = [f"{place} {place.stat().st_mtime_ns}" for place in places if place.exists()]
    return hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]


def keep_archive(made: Path) -> Path:
    """Move an archive to where sessions look for it, in place of others; return its new path."""
    for old in FOLDER.glob("*.jsa"):
        old.unlink(missing_ok=True)
    # with its size: of one that was cut, the JVM would crash
    return made.rename(FOLDER / f"{archive_name()}-{made.stat().st_size}.jsa")


def _find_archive() -> Path | None:
    """Return the archive; None if there is none that fits."""
    found = FOLDER.glob(f"{archive_name()}-*.jsa")
    return next((one for one in found if one.stem.endswith(f"-{one.stat().st_size}")), None)


def archive_options() -> str:
    """Return the options of a JVM that uses the archive; empty if there is none."""
    if not (path := _find_archive()):
        return ""
    return f'-Xshare:auto "-XX:SharedArchiveFile={path}" -XX:+VerifySharedSpaces {QUIET}'


if __name__ == "__main__":  # for make
    sys.exit(_find_archive() is None)
