"""Data files that an erasure may delete: those with an image, and the damaged ones."""

import json
import threading
import time
from contextlib import ExitStack

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steps.erasure.tables import _erase_files, has_any
from steps.erasure.writers import Writers
from steps.settings.profile import load_profile

LOCAL = fsspec.filesystem("file")


def test_a_file_has_an_image_or_is_damaged_or_cannot_be_read_now(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"sha256": ["a" * 64, "b" * 64]}), file)
    assert has_any(LOCAL, str(file), {"a" * 64}) and not has_any(LOCAL, str(file), {"c" * 64})
    content = file.read_bytes()
    for damaged in (b"", b"PAR1", content[:-9], content[:4] + b"x" * 60 + content[64:]):
        file.write_bytes(damaged)
        assert has_any(LOCAL, str(file), {"a" * 64}), damaged
    assert not has_any(LOCAL, str(tmp_path / "gone.parquet"), {"a" * 64})
    (tmp_path / "loop.parquet").symlink_to("loop.parquet")
    with pytest.raises(OSError, match="symbolic links"):
        has_any(LOCAL, str(tmp_path / "loop.parquet"), {"a" * 64})


def test_the_rows_that_stay_are_on_the_disk_before_an_older_file_is_deleted(tmp_path, monkeypatch):
    for name, images in {"old": ["a" * 64, "b" * 64], "new": ["b" * 64]}.items():
        pq.write_table(pa.table({"sha256": images}), tmp_path / f"{name}.parquet")
    (tmp_path / "_delta_log").mkdir()
    add = {"add": {"path": "new.parquet", "size": 1}}
    (tmp_path / "_delta_log" / f"{0:020}.json").write_text(json.dumps(add))
    profile = load_profile("local").model_copy(update={"lake": str(tmp_path)})
    synced = []
    monkeypatch.setattr("os.sync", lambda: synced.append((tmp_path / "old.parquet").exists()))
    with ExitStack() as until_end:
        writers = Writers(profile, "erase", until_end, dry_run=False)
        writers.wait()
        assert _erase_files(str(tmp_path), {"c" * 64}, writers, dry_run=False) == 0
        assert _erase_files(str(tmp_path), {"a" * 64}, writers, dry_run=False) == 1
    assert synced == [True]
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["new.parquet"]


def test_an_erasure_waits_for_a_run_that_began_meanwhile(tmp_path):
    profile = load_profile("local").model_copy(update={"lake": str(tmp_path)})
    theirs = tmp_path / "_ingest" / "new" / "lease.json"
    with ExitStack() as until_end:
        writers = Writers(profile, "erase", until_end, dry_run=False)
        assert writers.wait() and not writers.wait()
        theirs.parent.mkdir(parents=True)
        claim = {"run_id": "ingest", "host": "elsewhere", "pid": 1, "at": time.time()}
        theirs.write_text(json.dumps(claim))
        ends = threading.Timer(0.5, theirs.unlink)
        ends.start()
        assert not Writers(profile, "dry", until_end, dry_run=True).wait()
        assert writers.wait() and ends.finished.is_set() and not writers.wait()
        assert json.loads(theirs.read_text())["run_id"] == "erase"
