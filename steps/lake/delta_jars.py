"""The jars that Spark needs for Delta, fetched once and kept in the home folder.

Resolving them through Ivy costs every session a second and a network; a session that is given
`spark.jars` starts without either.
"""

import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

# Delta publishes its jars for the Scala that Spark 4 is built with.
SCALA = "2.13"


def delta_jars() -> list[Path]:
    """The cached jars of the installed delta-spark; fetches them where they are missing."""
    folder = _cache_folder()
    if not folder.is_dir():
        _fetch(folder)
    return sorted(folder.glob("*.jar"))


def _cache_folder() -> Path:
    cache = Path.home() / ".cache" / "lakehouse-vision"
    return cache / "jars" / f"delta-spark-{version('delta-spark')}"


def _fetch(folder: Path) -> None:
    """Let Spark's launcher resolve the jars, then show them all at once under their final name."""
    print("fetching Delta's jars, once: about 10 seconds", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as scratch:
        jars = _resolve(Path(scratch))
        try:
            jars.rename(folder)
        except OSError:
            # Another process was faster: its jars are the same.
            if not folder.is_dir():
                raise


def _resolve(scratch: Path) -> Path:
    """The folder below `scratch` with Delta's jars and theirs, and nothing else."""
    from pyspark import SparkConf
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise RuntimeError("Delta's jars need Java 17 or 21 to be fetched: run `make setup`")
    conf = SparkConf(loadDefaults=False)
    conf.set("spark.jars.packages", f"io.delta:delta-spark_{SCALA}:{version('delta-spark')}")
    # An Ivy home of its own: what lands in its `jars` is these packages, whole, or nothing.
    conf.set("spark.jars.ivy", str(scratch))
    log = scratch / "resolve.log"
    try:
        with log.open("wb") as output:
            # The launcher resolves packages before it starts: no Spark context is needed.
            gateway = launch_gateway(conf, {"stdout": output, "stderr": output})
    except PySparkRuntimeError as error:
        raise RuntimeError(
            f"Delta's jars could not be fetched ({_reason(log)}): "
            "check the network, then run `make jars`"
        ) from error
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    return scratch / "jars"


def _reason(log: Path) -> str:
    """The line of the launcher's output that names the error."""
    lines = log.read_text(errors="replace").splitlines()
    named = [line.strip() for line in lines if "Exception" in line or "rror:" in line]
    return (named or lines or ["Java ended without a word"])[0]


if __name__ == "__main__":
    try:
        delta_jars()
    except RuntimeError as error:
        sys.exit(str(error))
