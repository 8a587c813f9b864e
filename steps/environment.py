"""The environment of a step's process, which every process that it starts inherits.

What a user's shell has set for other programs must not reach Spark, Keras or Horovod. This is the
one place that changes it.
"""

import json
import locale
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import fsspec

from edge.protocol.addresses import LOOPBACK
from steps.errors import UserError
from steps.terminal import VERBOSE, hide_hints, is_verbose

FOREIGN_SPARK = (
    *("SPARK_HOME", "SPARK_CONF_DIR", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"),
    *("PYSPARK_SUBMIT_ARGS", "PYSPARK_DRIVER_PYTHON", "PYSPARK_GATEWAY_PORT", "PYSPARK_PYTHON"),
)
"""What would start another Spark than the one that ``conda.yaml`` pins, or start it otherwise."""

TEMPORARY_MEGABYTES = 100
"""Free space below which Spark, MLflow and Horovod fail in ways that do not name the reason."""

NESTED = "LAKEHOUSE_VISION_NESTED"
"""Set in a step that the pipeline runs, which then does not say again what the pipeline says."""


def prepare_environment(verbose: bool) -> None:
    """Take out of this process's environment what harms the step, and add what it needs.

    Args:
        verbose: show every log line of the libraries, here and in the processes started from here.

    Raises:
        UserError: nothing here can repair it, such as a full temporary folder.
    """
    for name in ("PYTHONSTARTUP", "PYTHONINSPECT", "TF_USE_LEGACY_KERAS"):
        os.environ.pop(name, None)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in ("no_proxy", "NO_PROXY"):
        given = os.environ.get("no_proxy", ""), os.environ.get("NO_PROXY", ""), *LOOPBACK
        hosts = dict.fromkeys(host for part in given for host in part.split(",") if host.strip())
        os.environ[name] = ",".join(hosts)
    if locale.getencoding().upper().replace("-", "") != "UTF8":  # as with LC_ALL=C
        os.environ["LC_ALL"] = "C.UTF-8"
    os.environ["TMPDIR"] = tempfile.tempdir = _temporary_folder()
    os.environ["FSSPEC_S3"] = _s3_options(os.environ.get("FSSPEC_S3") or "{}")
    fsspec.config.set_conf_env(fsspec.config.conf)
    if verbose:
        os.environ[VERBOSE] = "true"
    if not is_verbose():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # a progress bar for each file of a few kilobytes is noise
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        hide_hints()
    _require_named_user()


def use_own_spark(here: bool) -> None:
    """Change the environment so that PySpark starts the Spark that was installed with it.

    The caller starts Spark; where one runs already, as on Databricks, its variables have to stay.

    Args:
        here: on this machine alone, whose host name then need not resolve.
    """
    for name in FOREIGN_SPARK:
        os.environ.pop(name, None)
    if here:
        os.environ["SPARK_LOCAL_IP"] = LOOPBACK[1]


@contextmanager
def environment_kept() -> Iterator[None]:
    """Undo what a block changes in the environment, such as a step that others follow."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def ranks_inherit() -> Iterator[None]:
    """Let Horovod's ranks inherit the environment in place of a copy on their command line.

    Horovod (0.28.1) writes each variable there: a long environment does not fit, and everyone on
    the machine can read passwords. By a comma too many it also sets the pause between two polls
    and the size of the cache of exchanges to ``(None,)``, which is read as 0.
    """
    from horovod.runner.common.util import env

    before, main = env.is_exportable, sys.modules["__main__"]
    env.is_exportable = lambda name: (
        name not in os.environ and name not in ("HOROVOD_CYCLE_TIME", "HOROVOD_CACHE_CAPACITY")
    )
    # or the process beside each rank, which only watches it, would import the step first
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        env.is_exportable, sys.modules["__main__"] = before, main


def _s3_options(given: str) -> str:
    """Return the options of s3fs, as JSON: those given, and that it remembers no listings.

    It would do so for ever, and Spark and other machines write to the same folders.
    """
    try:
        return json.dumps({"use_listings_cache": False, **json.loads(given)})
    except (ValueError, TypeError):  # what it is may be secret
        raise UserError(
            """FSSPEC_S3 is no JSON object: write it as '{"anon": true}', or unset it"""
        ) from None


def _temporary_folder() -> str:
    """Return the first folder for temporary files that has space and may hold programs."""
    tempfile.tempdir = None
    folders = [os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"]  # noqa: S108
    for folder in filter(os.path.isdir, folders):
        flags, free = os.statvfs(folder).f_flag, shutil.disk_usage(folder).free
        has_space = free >= TEMPORARY_MEGABYTES * 10**6
        if has_space and os.access(folder, os.W_OK) and not flags & os.ST_NOEXEC:
            return os.path.abspath(folder)
    raise UserError(
        f"none of the folders for temporary files ({', '.join(filter(None, folders))}) can be "
        f"written, may hold programs, and has {TEMPORARY_MEGABYTES} MB free: free some space, or "
        "set TMPDIR to another folder"
    )


def _require_named_user() -> None:
    """Give the user a name for MLflow, and check that Java can find it.

    Raises:
        UserError: the user's number has no entry in ``/etc/passwd``.
    """
    number = os.getuid()
    try:
        pwd.getpwuid(number)
    except KeyError:
        os.environ.setdefault("LOGNAME", str(number))
        raise UserError(
            f"the user ID {number} has no entry in /etc/passwd, which Spark needs; as root, run: "
            f"echo 'user:x:{number}:0::{Path.home()}:/bin/sh' >> /etc/passwd"
        ) from None
