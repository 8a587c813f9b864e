"""Signed releases on the device: whose it takes, and whose it refuses."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from file_snapshot import snapshot
from signing import FOREIGN, NEXT, OURS, public, signing

from edge.cli.main import main
from edge.cli.pull import pull
from edge.protocol.release import ReleaseError
from edge.protocol.signature import KEYS_FILE, SignatureError, pinned_keys, read_keys


def after_signing(change):
    """Alters what was signed."""

    def both(stated: dict) -> None:
        signing(OURS)(stated)
        change(stated)

    return both


def numbered(number: int, *keys: Ed25519PrivateKey):
    def change(stated: dict) -> None:
        stated["release"] = number
        signing(*keys)(stated)

    return change


@pytest.mark.parametrize("signers", [(OURS,), (NEXT, OURS), (OURS, NEXT)])
@pytest.mark.parametrize("trusted", [(OURS,), (FOREIGN, OURS)])
def test_a_release_signed_by_a_pinned_key_is_taken(registered, tmp_path, signers, trusted):
    version = registered.publish(change=signing(*signers))
    keys = [public(key) for key in trusted]
    assert pull(registered.server, registered.name, "champion", tmp_path, keys).version == version


def changed(key: str, value: object):
    return lambda stated: stated.update({key: value})


def raised(stated: dict) -> None:
    stated["release"] += 1


def another_hash(stated: dict) -> None:
    stated["files"]["artifacts/model.onnx"]["sha256"] = "0" * 64


def another_ones_signature(stated: dict) -> None:
    """The foreign key's signature under our key's name."""
    signing(FOREIGN)(stated)
    stated["signatures"] = {public(OURS): stated["signatures"][public(FOREIGN)]}


REFUSED = {
    "unsigned": (lambda stated: None, "is not signed"),
    "a foreign key": (signing(FOREIGN), "none of which this device trusts"),
    "the number was raised": (after_signing(raised), "is not valid"),
    "a hash was changed": (after_signing(another_hash), "is not valid"),
    "a field was added": (after_signing(changed("more", 1)), "is not valid"),
    "signature of another": (another_ones_signature, "is not valid"),
    "no base64": (after_signing(changed("signatures", {public(OURS): "§"})), "is not valid"),
    "no text": (after_signing(changed("signatures", {public(OURS): 5})), "is not valid"),
    "a list": (after_signing(changed("signatures", [1])), "is not signed"),
    "empty": (after_signing(changed("signatures", {})), "is not signed"),
}


@pytest.fixture(scope="module")
def pulled(register_model, tmp_path_factory):
    """A model of which a device has a signed release, and the device's folder."""
    registered, folder = register_model(), tmp_path_factory.mktemp("pulled")
    registered.publish(change=signing(OURS))
    pull(registered.server, registered.name, "champion", folder, [public(OURS)])
    return registered, folder


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_pinned_key_signed_is_refused(pulled, change, message):
    registered, folder = pulled
    before = snapshot(folder)
    registered.publish(change=change)
    with pytest.raises(SignatureError, match=message):
        pull(registered.server, registered.name, "champion", folder, [public(OURS)])
    assert snapshot(folder) == before


def test_an_older_release_is_refused_though_it_is_signed(registered, tmp_path):
    old = registered.publish(change=numbered(1, OURS))
    registered.publish(change=numbered(2, OURS))
    keys = [public(OURS)]
    pull(registered.server, registered.name, "champion", tmp_path, keys)
    registered.set_alias("champion", old)
    with pytest.raises(ReleaseError, match="release 1 of .* is not newer than release 2"):
        pull(registered.server, registered.name, "champion", tmp_path, keys)
    assert (tmp_path / registered.name / "current").readlink() == Path("release-2")


def test_a_damaged_statement_on_the_device_does_not_lock_it_out(registered, tmp_path):
    registered.publish()
    done = pull(registered.server, registered.name, "champion", tmp_path)
    assert read_keys(tmp_path / KEYS_FILE) == [public(OURS)]
    (done.folder / "release.json").write_text("{")
    pull(registered.server, registered.name, "champion", tmp_path)
    assert json.loads((done.folder / "release.json").read_text())["release"] == 1


def test_another_models_release_is_refused_though_it_is_signed(registered, tmp_path):
    def change(stated):
        stated["model"] = "another"
        signing(OURS)(stated)

    registered.publish(change=change)
    with pytest.raises(ReleaseError, match="carries the release statement of another"):
        pull(registered.server, registered.name, "champion", tmp_path, [public(OURS)])


def test_keys_beside_the_models_are_pinned(registered, tmp_path, capsys):
    registered.publish(signed=False)
    command = ["pull", "--server", registered.server, "--model", registered.name]
    command += ["--into", str(tmp_path)]
    assert main(command) == 1
    assert "release 1 is not signed" in capsys.readouterr().err
    assert main([*command, "--unsigned"]) == 0
    assert "no key is pinned" in capsys.readouterr().err
    (tmp_path / "release-keys.txt").write_text(f"# ours\n{public(OURS)}  # since July\n")
    assert main(command) == 1
    assert "is not signed" in capsys.readouterr().err
    registered.publish(change=numbered(2, OURS))
    assert main(command) == 0
    assert capsys.readouterr().err == ""


def test_the_first_signed_release_pins_its_keys(registered, tmp_path):
    """What an attacker adds or serves later is refused, signed or not."""

    def ask(**publish):
        registered.publish(**publish)
        return pull(registered.server, registered.name, "champion", tmp_path, pins(), unsigned=True)

    def pins():
        return pinned_keys(None, tmp_path)

    def with_a_bad_signature(stated):
        signing(OURS)(stated)
        stated["signatures"][public(FOREIGN)] = stated["signatures"][public(OURS)]

    assert ask(signed=False).release == 1 and pins() == []
    with pytest.raises(SignatureError, match="is not valid"):
        ask(change=with_a_bad_signature)
    assert pins() == []
    assert ask(change=numbered(3, OURS, NEXT)).release == 3
    assert pins() == sorted([public(OURS), public(NEXT)])
    for change in (numbered(4, FOREIGN), numbered(5)):
        with pytest.raises(SignatureError):
            ask(change=change)
    assert ask(change=numbered(6, NEXT)).release == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no key"),
        ("# none\n", "has no key"),
        ("abc", "not a public key"),
        ("# der Schl\udcfcssel", "is not UTF-8"),
        (None, "does not exist"),
    ],
)
def test_a_file_of_keys_without_keys_is_refused(tmp_path, text, message):
    path = tmp_path / "keys"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SignatureError, match=message):
        read_keys(path)
