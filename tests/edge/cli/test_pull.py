import json
import os
import subprocess
from pathlib import Path

import pytest
from file_snapshot import snapshot
from signing import OURS, signing
from tiny_model import write_model

from edge.cli.main import main
from edge.cli.pull import pull
from edge.inference.scoring import Scorer
from edge.protocol.release import ReleaseError
from edge.update.errors import RegistryError
from edge.update.self_test import run_self_test

SHA = "0" * 64


def pulled(registered, into, alias="champion"):
    return pull(registered.server, registered.name, alias, into, unsigned=True)


def test_a_released_model_is_pulled_and_scores(registered, tmp_path):
    version = registered.publish()
    done = pulled(registered, tmp_path / "models")
    home = tmp_path / "models" / registered.name
    assert done.version == version and done.downloaded > 0
    assert (home / "current").readlink() == Path("release-1")
    files = sorted(path.name for path in (home / "current").iterdir())
    assert files == ["model.onnx", "record.json", "release.json", "self_test.json"]
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []
    assert Scorer(home / "current").record.labels == ["dark", "bright"]


def test_the_model_in_use_is_not_downloaded_again(registered, tmp_path):
    registered.publish()
    pulled(registered, tmp_path)
    before = snapshot(tmp_path / registered.name)
    done = pulled(registered, tmp_path)
    assert done.downloaded == 0
    assert snapshot(tmp_path / registered.name) == before


def test_a_new_version_replaces_the_old_one_and_a_rollback_needs_no_download(registered, tmp_path):
    first = registered.publish()
    pulled(registered, tmp_path)
    second = registered.publish(steepness=0.1)
    assert pulled(registered, tmp_path).version == second
    home = tmp_path / registered.name
    assert (home / "current").readlink() == Path("release-2")
    statement_again = json.loads((home / "release-1" / "release.json").read_text()) | {"release": 3}
    signing(OURS)(statement_again)
    registered.set_release(first, statement_again)
    registered.set_alias("champion", first)
    back = pulled(registered, tmp_path)
    assert (back.version, back.release, back.downloaded) == (first, 3, 0)
    assert (home / "current").readlink() == Path("release-3")
    assert json.loads((home / "current" / "release.json").read_text())["release"] == 3
    kept = sorted(path.name for path in home.iterdir())
    assert kept == ["current", "release-2", "release-3", "update.json"]


@pytest.mark.parametrize("damage", ["flip", "delete"])
def test_a_damaged_file_on_the_device_is_pulled_again(registered, tmp_path, damage):
    registered.publish()
    model = pulled(registered, tmp_path).folder / "model.onnx"
    whole = model.read_bytes()
    if damage == "flip":
        model.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    else:
        model.unlink()
    assert pulled(registered, tmp_path).downloaded > 0
    assert model.read_bytes() == whole


def other_hash(stated):
    stated["files"]["artifacts/model.onnx"]["sha256"] = SHA


def longer(stated):
    stated["files"]["artifacts/model.onnx"]["bytes"] += 1


def shorter(stated):
    stated["files"]["artifacts/model.onnx"]["bytes"] -= 1


def other_model(stated):
    stated["model"] = "another"


def other_version(stated):
    stated["version"] = "999"


def no_record(stated):
    del stated["files"]["artifacts/record.json"]


def missing_file(stated):
    stated["files"]["artifacts/labels.txt"] = {"sha256": SHA, "bytes": 1}


def twice(stated):
    stated["files"]["other/model.onnx"] = {"sha256": SHA, "bytes": 1}


def own_statement(stated):
    stated["files"]["artifacts/release.json"] = {"sha256": SHA, "bytes": 1}


def number_as_text(stated):
    stated["release"] = "three"


def climbing(path):
    def change(stated):
        stated["files"][path] = stated["files"].pop("artifacts/model.onnx")

    return change


REFUSED = {
    "another hash": ({"change": other_hash}, "another SHA-256"),
    "longer": ({"change": longer}, "model.onnx differs from the released file"),
    "shorter": ({"change": shorter}, "longer than the"),
    "another model": ({"change": other_model}, "carries the release statement of another"),
    "another version": ({"change": other_version}, "carries the release statement of"),
    "no record": ({"change": no_record}, "the release lacks record.json"),
    "missing file": ({"change": missing_file}, "labels.txt"),
    "same name twice": ({"change": twice}, "names a file twice"),
    "release.json itself": ({"change": own_statement}, "names a file twice"),
    "release is text": ({"change": number_as_text}, "release or version is not a number"),
    "path up": ({"change": climbing("../model.onnx")}, "unsafe path"),
    "path down and up": ({"change": climbing("artifacts/../../model.onnx")}, "unsafe path"),
    "absolute path": ({"change": climbing("/etc/model.onnx")}, "unsafe path"),
    "backslash": ({"change": climbing("..\\model.onnx")}, "unsafe path"),
    "drive": ({"change": climbing("C:/model.onnx")}, "unsafe path"),
    "no files": ({"change": lambda stated: stated.pop("files")}, "statement is damaged"),
    "no release": ({"tag": False}, "has no tag 'release'"),
    "another prepare": ({"prepare_version": "0"}, "fails its self-test.*prepare version 0"),
    "too many labels": ({"labels": ["a", "b", "c"]}, "fails its self-test.*not probabilities"),
    "another size": ({"input_size": (32, 32)}, "fails its self-test"),
}


@pytest.mark.parametrize(("publish", "message"), REFUSED.values(), ids=REFUSED)
def test_a_faulty_release_is_refused_and_the_old_model_stays(
    registered, tmp_path, capsys, publish, message
):
    registered.publish(alias="good", signed=False)
    pulled(registered, tmp_path / "models", "good")
    before = snapshot(tmp_path)
    registered.publish(**publish, signed=False)
    with pytest.raises((ReleaseError, RegistryError), match=message):
        pulled(registered, tmp_path / "models")
    command = ["pull", "--unsigned", "--server", registered.server, "--model", registered.name]
    assert main([*command, "--into", str(tmp_path / "models")]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert snapshot(tmp_path) == before
    assert (tmp_path / "models" / registered.name / "current").readlink() == Path("release-1")


def test_an_unloadable_network_is_refused(tmp_path):
    folder = write_model(tmp_path / "model")
    (folder / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ReleaseError, match="fails its self-test"):
        run_self_test(folder)


def test_a_folder_of_another_user_is_one_line_with_the_next_command(tmp_path, capsys, monkeypatch):
    """Root may write anywhere, so what the system says of that is said for it."""
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / "state")
    command = ["pull", "--server", "http://127.0.0.1:9", "--model", "m"]
    assert main([*command, "--into", str(tmp_path / "state/models")]) == 1
    assert capsys.readouterr().err == (
        f"edge pull: this user may not write to {tmp_path}/state: put sudo before the command\n"
    )


def test_a_read_only_disk_is_no_matter_of_sudo(small_disk, capsys):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    command = ["pull", "--server", "http://127.0.0.1:9", "--model", "m"]
    assert main([*command, "--into", str(small_disk / "models")]) == 1
    assert capsys.readouterr().err == (
        f"edge pull: {small_disk} is read-only: make its file system writable, or name another "
        "folder\n"
    )
