"""A JVM uses the archive if it fits, and starts as without if it is missing, stale or damaged."""

import os
import shlex
import subprocess
from pathlib import Path

import pyspark
import pytest

from steps.lake import class_archive
from steps.lake.class_archive import QUIET, archive_name, archive_options
from steps.lake.jars import delta_jars

JARS = f"{Path(pyspark.__file__).parent}/jars/*"
TOP = "source: shared objects file (top)"
"""How the JVM's log of loaded classes names those that this archive has."""


def _run(options: str, log: Path, classpath: str = JARS) -> tuple[int, str, str]:
    java = ["java", *shlex.split(options), f"-Xlog:class+load:file={log}"]
    main = ["-cp", classpath, "org.apache.spark.deploy.SparkSubmit", "--version"]
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}  # or it logs the time
    done = subprocess.run([*java, *main], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def archived(tmp_path_factory) -> bytes:
    made = tmp_path_factory.mktemp("archive") / "made.jsa"
    assert _run(f"-XX:ArchiveClassesAtExit={made} {QUIET}", made.with_suffix(".log"))[0] == 0
    return made.read_bytes()


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> tuple[int, str, str]:
    return _run("", tmp_path_factory.mktemp("without") / "log")


def _keep(archive: bytes) -> Path:
    (made := class_archive.FOLDER / "made").write_bytes(archive)
    return class_archive.keep_archive(made)


def _flip_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([255 - content[middle]]) + content[middle + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "is_used"),
    [
        (lambda content: content, True),
        (_flip_byte, False),
        (lambda content: content[: len(content) // 2], False),
        (lambda content: b"", False),
        (lambda content: content.replace(b"17.0", b"18.0"), False),
    ],
    ids=["intact", "damaged", "cut", "empty", "of another Java"],
)
def test_a_jvm_starts_alike_with_any_archive(
    archived, started, tmp_path, monkeypatch, change, is_used
):
    monkeypatch.setattr(class_archive, "FOLDER", tmp_path)
    _keep(archived).write_bytes(change(archived))
    assert _run(archive_options(), tmp_path / "with.log") == started
    assert (TOP in (tmp_path / "with.log").read_text()) == is_used


@pytest.mark.slow
def test_a_jvm_of_other_jars_starts_as_without(archived, started, tmp_path, monkeypatch):
    monkeypatch.setattr(class_archive, "FOLDER", tmp_path)
    _keep(archived)
    jars = f"{delta_jars()[0]}:{JARS}"
    assert _run(archive_options(), tmp_path / "with.log", jars) == started
    assert TOP not in (tmp_path / "with.log").read_text()


def test_without_an_archive_a_jvm_gets_no_options(tmp_path, monkeypatch):
    monkeypatch.setattr(class_archive, "FOLDER", tmp_path / "missing")
    assert archive_options() == ""


def test_another_java_has_another_archive(tmp_path, monkeypatch):
    before = archive_name()
    (java := tmp_path / "bin" / "java").parent.mkdir()
    java.write_text("")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert archive_name() != before
