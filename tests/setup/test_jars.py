"""Spark's jars are fetched once and completely, or not at all."""

from importlib.metadata import version
from pathlib import Path

import pytest

from steps.errors import UserError
from steps.lake import jars


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache" / "lakehouse-vision" / "jars"


def resolves(scratch: Path) -> Path:
    folder = scratch / "jars"
    folder.mkdir()
    for name in ("delta-storage.jar", "delta-spark.jar"):
        (folder / name).write_bytes(b"jar")
    return folder


def test_missing_jars_are_fetched_once(cache, monkeypatch):
    calls = []
    monkeypatch.setattr(
        jars, "_resolve", lambda wanted, scratch: calls.append(1) or resolves(scratch)
    )

    first, second = jars.delta_jars(), jars.delta_jars()

    assert [jar.name for jar in first] == ["delta-spark.jar", "delta-storage.jar"]
    assert first == second and all(jar.is_file() for jar in first)
    assert len(calls) == 1
    assert len(list(cache.iterdir())) == 1, "nothing but the finished folder stays"


def test_the_jars_of_s3_are_those_of_sparks_hadoop(cache, monkeypatch):
    wanted = []
    monkeypatch.setattr(
        jars, "_resolve", lambda jars, scratch: wanted.append(jars) or resolves(scratch)
    )
    assert {jar.parent.name for jar in jars.s3_jars()} == {"hadoop-aws-3.4.1"}
    assert "org.apache.hadoop:hadoop-aws:3.4.1" in wanted[0].packages


def test_an_interrupted_fetch_leaves_nothing_behind(cache, monkeypatch):
    def breaks_off(wanted, scratch):
        resolves(scratch)
        raise KeyboardInterrupt

    monkeypatch.setattr(jars, "_resolve", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        jars.delta_jars()
    assert list(cache.iterdir()) == []


def test_a_faster_process_is_no_error(cache, monkeypatch):
    def is_overtaken(wanted, scratch):
        faster = cache / f"delta-spark-{version('delta-spark')}"
        faster.mkdir()
        (faster / "delta-spark.jar").write_bytes(b"jar")
        return resolves(scratch)

    monkeypatch.setattr(jars, "_resolve", is_overtaken)
    assert [jar.name for jar in jars.delta_jars()] == ["delta-spark.jar"]


def test_without_java_the_error_names_the_command(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UserError, match="`make setup`"):
        jars.delta_jars()


def test_a_home_that_cannot_be_written_is_one_line(cache):
    cache.parents[1].write_bytes(b"")  # in place of the folder, since root may write anywhere
    with pytest.raises(UserError, match=r"cannot be kept in \S+ \(Not a directory\): .*HOME"):
        jars.delta_jars()
