"""The jars that Spark lacks, fetched once and kept in the home folder: Delta's, and S3's.

Resolving them through Ivy costs every session a second and a network; a session that is given
`spark.jars` starts without either.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

# Delta publishes its jars for the Scala that Spark 4 is built with.
SCALA = "2.13"

# What Hadoop 3.4's S3A is built against. Its modules are 20 MB where the bundle, which Hadoop
# asks for, is 550 MB.
AWS_SDK = "2.24.8"
AWS_SDK_MODULES = ("s3", "s3-transfer-manager", "apache-client", "netty-nio-client", "sts")
# the bundle, and what Spark has already, perhaps in another version
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
    """What is fetched together, into one folder."""

    folder: str
    packages: tuple[str, ...]
    excluded: tuple[str, ...] = ()


def delta_jars() -> list[Path]:
    """The cached jars of the installed delta-spark; fetches them where they are missing."""
    delta = version("delta-spark")
    return _cached(_Jars(f"delta-spark-{delta}", (f"io.delta:delta-spark_{SCALA}:{delta}",)))


def s3_jars() -> list[Path]:
    """The cached jars for `s3a://`, of the Hadoop that comes with pyspark, as `delta_jars`."""
    hadoop = _hadoop()
    sdk = (f"software.amazon.awssdk:{module}:{AWS_SDK}" for module in AWS_SDK_MODULES)
    packages = (f"org.apache.hadoop:hadoop-aws:{hadoop}", *sdk)
    return _cached(_Jars(f"hadoop-aws-{hadoop}", packages, NOT_WITH_S3))


def _hadoop() -> str:
    import pyspark

    (jar,) = Path(pyspark.__file__).parent.glob("jars/hadoop-client-api-*.jar")
    return jar.stem.removeprefix("hadoop-client-api-")


def _cached(wanted: _Jars) -> list[Path]:
    folder = _cache_folder() / wanted.folder
    if not folder.is_dir():
        _fetch(wanted, folder)
    return sorted(folder.glob("*.jar"))


def _cache_folder() -> Path:
    return Path.home() / ".cache" / "lakehouse-vision" / "jars"


def _fetch(wanted: _Jars, folder: Path) -> None:
    """Let Spark's launcher resolve the jars, then show them all at once under their final name."""
    print(f"fetching {wanted.folder}, once: about 10 seconds", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as scratch:
        jars = _resolve(wanted, Path(scratch))
        try:
            jars.rename(folder)
        except OSError:
            # Another process was faster: its jars are the same.
            if not folder.is_dir():
                raise


def _resolve(wanted: _Jars, scratch: Path) -> Path:
    """The folder below `scratch` with the jars and theirs, and nothing else."""
    from pyspark import SparkConf
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise RuntimeError("Spark's jars need Java 17 or 21 to be fetched: run `make setup`")
    conf = SparkConf(loadDefaults=False)
    conf.set("spark.jars.packages", ",".join(wanted.packages))
    conf.set("spark.jars.excludes", ",".join(wanted.excluded))
    # An Ivy home of its own: what lands in its `jars` is these packages, whole, or nothing.
    conf.set("spark.jars.ivy", str(scratch))
    log = scratch / "resolve.log"
    try:
        with log.open("wb") as output:
            # The launcher resolves packages before it starts: no Spark context is needed.
            gateway = launch_gateway(conf, {"stdout": output, "stderr": output})
    except PySparkRuntimeError as error:
        raise RuntimeError(
            f"{wanted.folder} could not be fetched ({_reason(log)}): "
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
        if "s3" in sys.argv[1:]:
            s3_jars()
    except RuntimeError as error:
        sys.exit(str(error))
