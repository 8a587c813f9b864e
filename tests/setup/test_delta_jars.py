"""Delta's jars are fetched once, whole, or not at all."""

from pathlib import Path

import pytest

from steps.lake import delta_jars


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache" / "lakehouse-vision" / "jars"


def resolves(scratch: Path) -> Path:
    jars = scratch / "jars"
    jars.mkdir()
    for name in ("delta-storage.jar", "delta-spark.jar"):
        (jars / name).write_bytes(b"jar")
    return jars


def test_missing_jars_are_fetched_once(cache, monkeypatch):
    calls = []
    monkeypatch.setattr(
        delta_jars, "_resolve", lambda scratch: calls.append(1) or resolves(scratch)
    )

    first, second = delta_jars.delta_jars(), delta_jars.delta_jars()

    assert [jar.name for jar in first] == ["delta-spark.jar", "delta-storage.jar"]
    assert first == second and all(jar.is_file() for jar in first)
    assert len(calls) == 1
    assert len(list(cache.iterdir())) == 1, "nothing but the finished folder stays"


def test_an_interrupted_fetch_leaves_nothing_behind(cache, monkeypatch):
    def breaks_off(scratch):
        resolves(scratch)
        raise KeyboardInterrupt

    monkeypatch.setattr(delta_jars, "_resolve", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        delta_jars.delta_jars()
    assert list(cache.iterdir()) == []


def test_a_faster_process_is_no_error(cache, monkeypatch):
    def is_overtaken(scratch):
        faster = delta_jars._cache_folder()
        faster.mkdir()
        (faster / "delta-spark.jar").write_bytes(b"jar")
        return resolves(scratch)

    monkeypatch.setattr(delta_jars, "_resolve", is_overtaken)
    assert [jar.name for jar in delta_jars.delta_jars()] == ["delta-spark.jar"]


def test_without_java_the_error_names_the_command(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(RuntimeError, match="`make setup`"):
        delta_jars.delta_jars()
