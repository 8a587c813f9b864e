"""From the alias to the switch, and then to the commit or the rollback."""

import errno
import json
import os
import shutil

import pytest
from release_server import MODEL, is_file
from tiny_model import write_model, write_reference_images

from edge.cli.main import main
from edge.inference.errors import UserError
from edge.inference.reference_images import ReferenceImages
from edge.protocol.release import Release, ReleaseError
from edge.update.current import CurrentModel
from edge.update.errors import BusyError, NoModelError, RegistryError
from edge.update.home import MAX_ATTEMPTS, STAGING
from edge.update.probation import MAX_STARTS
from edge.update.self_test import SELF_TEST_FILE


def test_a_release_is_on_probation_until_it_is_committed(updated):
    updater = updated.updater()
    assert updater.check().release == 2
    assert updater.probation.is_active() and updated.require_working(2)
    assert updater.check() is None and updater.refusal is None
    updater.probation.commit()
    assert not updater.probation.is_active()
    updater.probation.rollback("too late")
    assert updated.require_working(2)


def test_a_release_that_was_rolled_back_is_removed_and_not_downloaded_again(updated):
    updater = updated.updater()
    updater.check()
    updater.probation.rollback("all frames are bright")
    assert updated.require_working(1) and not updater.probation.is_active()
    updated.server.fetched()
    for _ in range(3):
        assert updater.check() is None
        assert updater.refusal == "release 2 failed here: all frames are bright"
    assert updated.updater().check() is None, "it is remembered on the disk"
    assert updated.server.fetched() == []
    assert sorted(path.name for path in updated.home.iterdir()) == [
        *("current", "release-1", "update.json")
    ]
    updated.release(3)
    assert updater.check().release == 3 and updater.refusal is None
    assert updated.require_working(3)


def test_a_release_with_a_withdrawn_file_goes_once_another_is_committed(updated):
    updater = updated.updater()
    withdrawn = {file.sha256 for file in updater.home.active_release().files}
    updater.check()
    for files in (set(), {"0" * 64}, withdrawn):
        updater.home.discard_with(files)
        assert (updated.home / "release-1").exists(), "the way back from probation stays"
    updater.probation.commit()
    updater.home.discard_with({"0" * 64})
    assert (updated.home / "release-1").exists()
    updater.home.discard_with(withdrawn)
    assert not (updated.home / "release-1").exists() and updated.require_working(2)
    updater.home.discard_with({file.sha256 for file in updater.home.active_release().files})
    assert updated.require_working(2), "the one in use stays until there is another"


def test_a_failed_release_is_installed_again_on_request(updated):
    updater = updated.updater()
    updater.check()
    updater.probation.rollback("a mistake")
    assert updater.check(again=True).release == 2
    updater.probation.commit()
    assert updated.require_working(2) and updater.check() is None and updater.refusal is None


def test_a_failed_release_is_tried_again_after_retry(updated, tmp_path, capsys):
    updater = updated.updater()
    updater.check()
    updater.probation.rollback("a mistake")
    config = tmp_path / "agent.toml"
    text = f'device = "a7"\nlanding.url = "/"\nstore.folder = "{updated.models.parent}"\n'
    config.write_text(f'{text}model = {{ server = "http://localhost", name = "{MODEL}" }}\n')
    assert updater.check() is None
    for failed in ("1 release", "0 releases"):
        assert main(["retry", "--config", str(config)]) == 0
        assert capsys.readouterr().out.endswith(f"{failed}\n")
    assert updater.check().release == 2


def test_a_failed_release_is_installed_again_with_another_runtime(updated, monkeypatch):
    updater = updated.updater()
    updater.check()
    updater.probation.rollback("this runtime is odd")
    assert updater.check() is None
    monkeypatch.setattr("edge.update.updater.runtime_fingerprint", lambda: "a newer one")
    assert updater.check().release == 2


def test_the_first_release_has_none_to_roll_back_to(device):
    updater = device.updater()
    updater.check()
    updater.probation.rollback("it sees ghosts")
    with pytest.raises(NoModelError):
        CurrentModel(device.home)
    assert updater.check() is None and "ghosts" in updater.refusal
    device.release(2)
    updater.check()
    assert device.require_working(2)


def test_only_two_releases_are_kept_and_other_files_are_not_touched(updated):
    mine = [
        *("notes.txt", ".env", ".git/HEAD", "4/model.onnx", "release-notes/a.md"),
        *("release-7/model.onnx", ".staging-mine/a", ".removed-mine/a", ".mine.part"),
    ]
    for path in (updated.home / name for name in mine):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    shutil.copytree(updated.home / "release-1", updated.home / "release-1 kept")
    (updated.home / "release-8").symlink_to("release-1 kept")
    for name in (".staging-0123456789abcdef", ".removed-release-7"):
        (updated.home / name).mkdir()
    for name in (".update.json.part", ".freshness.json.part"):
        (updated.home / name).touch()
    (updated.home / ".current.new").symlink_to("release-1")
    withdrawn = {file.sha256 for file in updated.updater().home.active_release().files}
    for number in (2, 3):
        updated.release(number)
        updater = updated.updater()
        updater.check()
        updater.probation.commit()
        updater.home.discard_with(withdrawn)
    kept = {"release-1 kept", "release-8", *(name.partition("/")[0] for name in mine)}
    assert {path.name for path in updated.home.iterdir()} == {
        *("current", "release-2", "release-3", "update.json", *kept)
    }
    assert {(updated.home / name).read_text() for name in mine} == {"mine"}
    assert (updated.home / "release-8" / "model.onnx").exists()


def test_a_folder_with_the_name_of_a_release_is_not_replaced(updated):
    mine = updated.home / "release-2" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    updated.server.fetched()
    with pytest.raises(ReleaseError, match="release-2 is in the way and is no release: move it"):
        updated.updater().check()
    assert mine.read_text() == "mine" and updated.require_working(1)
    assert updated.server.fetched() == []
    mine.parent.rename(updated.home / "elsewhere")
    assert updated.updater().check().release == 2


def test_a_folder_that_cannot_be_removed_stops_no_update(updated, caplog, monkeypatch):
    """As of a release that root has pulled; the tests may run as root."""
    (updated.home / "release-1" / "roots-own").touch()
    unlink = os.unlink

    def refused(path, **options):
        if str(path).endswith("roots-own"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        unlink(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refused)
        for number in (2, 3, 4):
            updated.server.release(updated.folders[min(number, 3)], number)
            updater = updated.updater()
            assert updater.check().release == number
            updater.probation.commit()
    assert {"release-3", "release-4"} < {path.name for path in updated.home.iterdir()}
    assert ".removed-release-1 is unused but cannot be removed" in caplog.text
    updater.home.clean_up()
    assert not list(updated.home.glob("*release-1"))


def test_a_release_after_one_on_probation_rolls_back_to_the_committed_one(updated):
    updater = updated.updater()
    updater.check()
    updated.release(3)
    assert updater.check().release == 3
    updater.probation.rollback("no better")
    assert updated.require_working(1)


@pytest.mark.parametrize("during", ["rollback", "check"])
def test_a_cut_between_state_and_link_leaves_no_way_back_to_the_release_itself(
    updated, monkeypatch, during
):
    class PowerCutError(Exception):
        pass

    def cut(*_):
        raise PowerCutError

    updater = updated.updater()
    if during == "rollback":
        updater.check()
        save = updater.home.save
        monkeypatch.setattr(
            updater.home, "save", lambda state: save(state) if state.probation else cut()
        )
    else:
        monkeypatch.setattr(updater.home, "switch", cut)
    with pytest.raises(PowerCutError):
        updater.probation.rollback("ghosts") if during == "rollback" else updater.check()
    monkeypatch.undo()
    updater = updated.updater()
    assert updater.home.state.previous == "release-1" and updated.require_working(1)
    updater.probation.rollback("it hangs", updater.home.current, although_committed=True)
    assert updated.require_working(1)


def test_a_release_that_crashes_the_process_repeatedly_is_rolled_back(updated):
    updated.updater().check()
    for _ in range(MAX_STARTS - 1):
        updater = updated.updater()
        updater.probation.recover()
        assert updater.probation.is_active()
    updater = updated.updater()
    updater.probation.recover()
    assert not updater.probation.is_active() and updated.require_working(1)
    assert updater.check() is None
    assert updater.refusal.endswith("the process started 3 times without committing it")


def test_only_one_process_updates(updated):
    updater = updated.updater()
    with updater.home.update_lock(), pytest.raises(BusyError):
        updated.updater().check()
    assert updated.updater().check().release == 2


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_probation_may_end_while_the_next_release_is_downloaded(updated, ends):
    updater = updated.updater()
    updater.check()
    updated.release(3)

    def end_probation(handler):
        if is_file(handler, "model.onnx"):
            updater.probation.commit() if ends == "commit" else updater.probation.rollback("ghosts")
            assert not updater.probation.is_active()
        return False

    updated.server.fault = end_probation
    assert updated.updater().check().release == 3
    assert updated.require_working(3)
    assert updater.home.previous.name == ("release-2" if ends == "commit" else "release-1")


def test_the_loaded_model_notices_a_switch_and_a_repair(updated):
    model = CurrentModel(updated.home)
    assert (model.release, model.version, model.is_stale()) == (1, "1", False)
    updater = updated.updater()
    updater.check()
    assert model.is_stale()
    updater.probation.commit()
    model = CurrentModel(updated.home)
    damaged = updated.home / "current" / "model.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    fallen_back = CurrentModel(updated.home)
    assert (fallen_back.release, fallen_back.is_stale(), model.is_stale()) == (1, False, False)
    assert updated.updater().check().release == 2
    assert fallen_back.is_stale() and updated.require_working(2)


def test_a_model_that_is_damaged_repeatedly_is_repaired_each_time(updated):
    updated.release(1)
    for _ in range(MAX_ATTEMPTS + 1):
        (updated.home / "current" / "model.onnx").write_bytes(b"?")
        assert updated.updater().check().release == 1
        assert updated.require_working(1)


def test_damaged_models_are_named(updated):
    for path in updated.home.rglob("record.json"):
        path.write_text("{")
    with pytest.raises(NoModelError, match="no complete model in .*release-1: record.json differs"):
        CurrentModel(updated.home)


def change_reference_images(folder):
    reference = ReferenceImages.read(folder)
    reference.images[1].scores["model.onnx"][0] += 0.01
    reference.write(folder)


def no_reference_scores(folder):
    reference = ReferenceImages.read(folder)
    reference.images[1].scores.clear()
    reference.write(folder)


def reference_of_no_image(folder):
    rows = json.loads((folder / "reference_images.json").read_text())
    rows["images"][0]["jpeg"] = "aGVsbG8="
    (folder / "reference_images.json").write_text(json.dumps(rows))


FAILING = {
    "other scores": (
        change_reference_images,
        "a reference image's score is 0.01 off, 0.001 is allowed",
    ),
    "no scores": (no_reference_scores, "reference_images.json has no scores of model.onnx"),
    "no image": (reference_of_no_image, "not an image"),
    "no JSON": (
        lambda folder: (folder / "reference_images.json").write_text("{"),
        "reference_images.json is damaged",
    ),
    "no end": (
        lambda folder: (folder / "record.json").write_text("[" * 100_000),
        "self-test",
    ),
    "no list": (
        lambda folder: (folder / "reference_images.json").write_text("[]"),
        "reference_images.json is damaged",
    ),
    "none": (
        lambda folder: (folder / "reference_images.json").write_text('{"images": []}'),
        "has no image",
    ),
    "no network": (lambda folder: (folder / "model.onnx").write_bytes(b"?"), "self-test"),
    "a damaged record": (lambda folder: (folder / "record.json").write_text("{"), "record.json"),
}


@pytest.mark.parametrize(("change", "message"), FAILING.values(), ids=FAILING)
def test_a_release_that_fails_its_self_test_is_refused_once(updated, tmp_path, change, message):
    folder = write_reference_images(write_model(tmp_path / "failing"))
    change(folder)
    updated.server.release(folder, 2)
    updater = updated.updater()
    with pytest.raises(ReleaseError, match=message):
        updater.check()
    updated.server.fetched()
    assert updater.check() is None and "failed here: the model fails its self" in updater.refusal
    assert updated.server.fetched() == [] and updated.require_working(1)
    assert not updater.probation.is_active()


def test_a_fault_of_the_device_is_no_failure_of_the_release(updated, monkeypatch):
    """Neither after the self-test, nor if that does not even begin."""
    digest = Release.parse(updated.server.statement).digest
    in_the_way = updated.home / f"{STAGING}{digest[:16]}" / SELF_TEST_FILE
    in_the_way.mkdir(parents=True)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises((UserError, OSError), match="Is a directory"):
            updated.updater().check()
    in_the_way.rmdir()
    with monkeypatch.context() as patched:
        patched.setattr("edge.update.self_test_process.sys.executable", "/none")
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises((UserError, OSError), match="/none"):
                updated.updater().check()
    assert updated.updater().check().release == 2


def test_a_release_too_large_is_refused_before_it_is_fetched(updated, monkeypatch):
    monkeypatch.setattr("edge.update.updater.MAX_RELEASE_BYTES", 100)
    with pytest.raises(ReleaseError, match="and this device takes 100"):
        updated.updater().check()
    assert updated.server.fetched() == [] and updated.require_working(1)


def test_a_poll_sends_one_request_and_hashes_nothing(updated):
    updated.release(1)
    updater = updated.updater()
    assert updater.check() is None
    (updated.home / "current" / "model.onnx").unlink()
    assert updater.check() is None  # the files were looked at when the process started
    assert len(updated.server.requests) == 2


def test_a_release_that_is_signed_again_is_the_same_one(updated):
    updated.release(1)
    stated = json.loads(updated.server.statement)
    stated["signatures"]["another"] = "key's"
    updated.server.statement = json.dumps(stated)
    assert updated.updater().check() is None and updated.server.fetched() == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"highest_release": "x", "failures": {}}', "\udcff", None]
)
def test_a_damaged_state_is_an_empty_one(updated, text):
    state_file = updated.home / "update.json"
    if text is None:
        text = state_file.read_text().replace('"highest_release": 1', '"highest_release": 9')
    state_file.write_bytes(text.encode("utf-8", "surrogateescape"))
    updater = updated.updater()
    updater.probation.recover()
    assert not updater.probation.is_active()
    assert updater.check().release == 2
    updater.probation.rollback("and back")
    assert updated.require_working(1)


def test_a_model_name_that_is_not_a_folder_name_is_refused(tmp_path):
    from edge.update.registry import Registry
    from edge.update.updater import Updater

    for name in ("../up", ".hidden", "a/b", ""):
        with pytest.raises(ReleaseError, match="cannot be a folder's name"):
            Updater(Registry("http://127.0.0.1:1"), name, "champion", tmp_path)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"message": "no alias"}', "no alias"),
        (b"[" * 200_000, "Bad Request"),
        (b'{"message": "%s"}' % (b"x" * 200_000), "x{500}"),
    ],
    ids=["MLflow's", "nested without end", "long"],
)
def test_a_missing_alias_changes_nothing(updated, answer, message):
    updated.server.fault = lambda handler: handler.send(400, answer) or True
    with pytest.raises(RegistryError, match=rf": {message} \(HTTP 400\)"):
        updated.updater().check()
    assert updated.require_working(1) and MODEL in str(updated.home)


def test_a_file_that_was_replaced_has_another_address(updated):
    """A cache in front of the server may keep what it has under the old one for weeks."""
    updated.updater().check()
    hashes = {file.sha256 for file in updated.updater().home.active_release().files}
    asked = [path for path, _ in updated.server.requests if "get-artifact" in path]
    assert asked and all(any(one in path for one in hashes) for path in asked)
