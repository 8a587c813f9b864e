"""The release keys: how they are made, rotated and retired, and what they sign."""

import base64
import errno
import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient

from edge.protocol.release import Release
from edge.protocol.signature import SignatureError
from steps.errors import UserError
from steps.release.keys import KEY_VARIABLE, main, public_key, public_keys, signing_keys
from steps.release.statement import release_again, release_version

NAME = 'it\'s a "model"'


@pytest.fixture
def key_file(tmp_path, capsys):
    main(["make", str(tmp_path / "release.pem")])
    capsys.readouterr()
    return tmp_path / "release.pem"


def run_keys(capsys, *arguments: object) -> list[str]:
    main([str(argument) for argument in arguments])
    return capsys.readouterr().out.split()


def test_keys_are_made_rotated_and_retired(key_file, capsys):
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    (first,) = run_keys(capsys, "show", key_file)
    assert len(base64.b64decode(first)) == 32
    second, kept = run_keys(capsys, "rotate", key_file)
    assert kept == first != second
    assert [public_key(key) for key in signing_keys(str(key_file))] == [second, first]
    assert run_keys(capsys, "retire", key_file) == [second]
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    with pytest.raises(SystemExit, match="exists"):
        main(["make", str(key_file)])
    assert run_keys(capsys, "show", key_file) == [second]


def test_the_environment_comes_before_the_file(key_file, monkeypatch):
    (key,) = signing_keys(str(key_file))
    monkeypatch.setenv(KEY_VARIABLE, key_file.read_text())
    (found,) = signing_keys(None)
    assert public_key(found) == public_key(key)
    monkeypatch.setenv(KEY_VARIABLE, "no key")
    with pytest.raises(UserError, match=f"variable {KEY_VARIABLE} holds no Ed25519 key"):
        signing_keys(str(key_file))


def test_a_missing_file_is_an_error_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(SystemExit, match="run: python -m steps.release.keys make"):
        main(["rotate", str(tmp_path / "none.pem")])
    (tmp_path / "damaged.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
    )
    with pytest.raises(UserError, match="damaged"):
        signing_keys(str(tmp_path / "damaged.pem"))


def test_the_first_release_makes_a_key_that_no_other_user_can_read(tmp_path, caplog):
    path = tmp_path / "data" / "release.pem"
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(public_keys, str(path)) for _ in range(8)]
        (key,) = {key for one in made for key in one.result()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and [*path.parent.iterdir()] == [path]
    assert caplog.text.count("made the key that signs releases") == 1
    assert public_keys(str(path)) == [key]


@pytest.mark.parametrize("refuses", ["link", "open"])
def test_no_private_key_is_left_behind_where_files_or_their_links_are_refused(
    tmp_path, monkeypatch, refuses
):
    """As on an exFAT disk or an SMB share, which have no links, and in another user's folder."""
    path = tmp_path / "release.pem"

    def refused(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as context:
        context.setattr(f"os.{refuses}", refused)
        if refuses == "link":
            made = public_keys(str(path))
        else:
            with pytest.raises(UserError, match=r"\(Operation not permitted\): make its folder"):
                public_keys(str(path))
    assert [*tmp_path.iterdir()] == ([path] if refuses == "link" else [])
    assert refuses == "open" or public_keys(str(path)) == made


@pytest.fixture
def files(tmp_path):
    for name in ("model.onnx", "record.json"):
        (tmp_path / name).write_text(name)
    return [tmp_path / "model.onnx", tmp_path / "record.json"]


def test_devices_with_the_old_or_the_new_key_accept_while_keys_change(
    store, files, key_file, capsys
):
    client = MlflowClient()
    client.create_registered_model(NAME)
    client.create_model_version(NAME, source="file:///nowhere")
    (old,) = run_keys(capsys, "show", key_file)
    new, _ = run_keys(capsys, "rotate", key_file)
    assert release_version(NAME, "1", files, signing_keys(str(key_file))) == 1
    first = Release.parse(client.get_model_version(NAME, "1").tags["release"])
    for key in (old, new):
        first.require_signature([key])
    run_keys(capsys, "retire", key_file)
    version = client.get_model_version(NAME, "1")
    assert release_again(version, signing_keys(str(key_file))) == 2
    again = Release.parse(client.get_model_version(NAME, "1").tags["release"])
    again.require_signature([new])
    with pytest.raises(SignatureError, match="none of which this device trusts"):
        again.require_signature([old])
    assert again.files == first.files


def test_without_a_key_a_release_is_unsigned_and_says_so(store, files, caplog):
    client = MlflowClient()
    client.create_registered_model("package-onnx")
    client.create_model_version("package-onnx", source="file:///nowhere")
    release_version("package-onnx", "1", files)
    assert "NOT SIGNED" in caplog.text and "release.key_file" in caplog.text
    tag = client.get_model_version("package-onnx", "1").tags["release"]
    assert "signatures" not in json.loads(tag)
