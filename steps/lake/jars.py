"""The jars of Delta and S3 that Spark lacks, fetched once into the home folder.

If Ivy resolved them, each session would need a network and a second more; with `spark.jars` it
needs neither.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from steps.environment import use_own_spark
from steps.errors import UserError

# Delta publishes its jars for the Scala that Spark 4 is built with.
SCALA = "2.13"

# What Hadoop 3.4's S3A is built against. These modules have 20 MB; the bundle that Hadoop asks for
# has 550 MB.
AWS_SDK = "2.24.8"
AWS_SDK_MODULES = ("s3", "s3-transfer-manager", "apache-client", "netty-nio-client", "sts")
# the bundle, and what Spark already has, perhaps in another version
NOT_WITH_S3 = (
    "software.amazon.awssdk:bundle",
    "io.netty:*",
    "org.apache.httpcomponents:*",
    "org.slf4j:*",
    "org.wildfly.openssl:*",
    "commons-codec:*",
    "commons-logging:*",
)


@dataclass(frozen=True)
class _Jars:
    """Packages that are fetched together into one folder."""

    folder: str
    packages: tuple[str, ...]
    excluded: tuple[str, ...] = ()


def delta_jars() -> list[Path]:
    """Return the cached jars of the installed delta-spark; fetch them if they are missing."""
    delta = version("delta-spark")
    return _cached(_Jars(f"delta-spark-{delta}", (f"io.delta:delta-spark_{SCALA}:{delta}",)))


def s3_jars() -> list[Path]:
    """Return the cached jars for `s3a://` that fit pyspark's Hadoop; fetch them if missing."""
    import pyspark

    (jar,) = Path(pyspark.__file__).parent.glob("jars/hadoop-client-api-*.jar")
    hadoop = jar.stem.removeprefix("hadoop-client-api-")
    sdk = (f"software.amazon.awssdk:{module}:{AWS_SDK}" for module in AWS_SDK_MODULES)
    packages = (f"org.apache.hadoop:hadoop-aws:{hadoop}", *sdk)
    return _cached(_Jars(f"hadoop-aws-{hadoop}", packages, NOT_WITH_S3))


def _cached(jars: _Jars) -> list[Path]:
    folder = Path.home() / ".cache" / "lakehouse-vision" / "jars" / jars.folder
    if not folder.is_dir():
        try:
            _fetch(jars, folder)
        except OSError as error:
            raise UserError(
                f"{jars.folder} cannot be kept in {folder.parent} ({error.strerror}): let this "
                "user write there, or set HOME to a folder of its own, then run `make jars`"
            ) from error
    return sorted(folder.glob("*.jar"))


def _fetch(jars: _Jars, folder: Path) -> None:
    """Let Spark's launcher resolve the jars, then move them to their final folder at once."""
    print(f"fetching {jars.folder}, once: about 10 seconds", file=sys.stderr)  # noqa: T201  for make
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as scratch:
        resolved = _resolve(jars, Path(scratch))
        try:
            resolved.rename(folder)
        except OSError:
            # another process was faster, with the same jars
            if not folder.is_dir():
                raise


def _resolve(jars: _Jars, scratch: Path) -> Path:
    """Fetch the jars with their dependencies; return their folder below `scratch`."""
    from pyspark import SparkConf
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise UserError("fetching Spark's jars needs Java 17 or 21: run `make setup`")
    use_own_spark(here=True)
    conf = SparkConf(loadDefaults=False)
    conf.set("spark.jars.packages", ",".join(jars.packages))
    conf.set("spark.jars.excludes", ",".join(jars.excluded))
    # an Ivy home of its own: its `jars` then hold these packages and no others
    conf.set("spark.jars.ivy", str(scratch))
    log = scratch / "resolve.log"
    try:
        with log.open("wb") as output:
            # the launcher resolves packages before it starts: no Spark context is needed
            gateway = launch_gateway(conf, {"stdout": output, "stderr": output})
    except PySparkRuntimeError as error:
        raise UserError(
            f"{jars.folder} could not be fetched ({_reason(log)}): "
            "check the network, then run `make jars`"
        ) from error
    end_jvm(gateway)
    return scratch / "jars"


def end_jvm(gateway: Any) -> None:
    """End the process of Spark's launcher, and wait until it has ended."""
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


def _reason(log: Path) -> str:
    """Return the line of the launcher's output that names the error."""
    lines = log.read_text(errors="replace").splitlines()
    named = [line.strip() for line in lines if "Exception" in line or "rror:" in line]
    return (named or lines or ["Java ended without a message"])[0]


if __name__ == "__main__":
    try:
        delta_jars()
        if "s3" in sys.argv[1:]:
            s3_jars()
    except UserError as error:
        sys.exit(str(error))
