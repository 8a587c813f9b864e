"""A server that wants harm: whatever it answers, the old model scores on and the poll ends."""

import gzip
import json
import re
import resource
import time
from contextlib import suppress

import pytest
from dripping_server import DRIPS, dripping
from hostile_models import HARM, add_harm
from release_server import KEY, PUBLIC_KEY, is_file
from signing import FOREIGN, public, signing
from tiny_model import write_model, write_reference_images

from edge.inference.errors import UserError
from edge.protocol.release import Release, ReleaseError
from edge.update.errors import RegistryError
from edge.update.home import MAX_ATTEMPTS
from edge.update.registry import Registry


def redirect(handler, to: str, content: bytes = b"", **headers) -> bool:
    """Answer 302, with a body that a client may unzip while it follows."""
    handler.send(302, content, {"Location": to} | headers)
    return True


def test_a_redirect_is_not_followed_and_its_body_not_unzipped(updated):
    bomb = gzip.compress(bytes(1 << 20)) * 256
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for to in ("http://169.254.169.254/latest", "/elsewhere", updated.server.address + "/again"):
        updated.server.requests.clear()
        updated.server.fault = lambda handler, to=to: redirect(
            handler, to, bomb, **{"Content-Encoding": "gzip"}
        )
        with pytest.raises(RegistryError, match=f"redirects to .*{to[-5:]}.*: set model.server"):
            updated.updater().check()
        assert len(updated.server.requests) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert updated.require_working(1)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("prefix", "drip"), DRIPS.values(), ids=DRIPS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_poll_ends_whatever_never_ends(updated, monkeypatch, prefix, drip, scheme):
    monkeypatch.setattr("edge.update.server.READ_SECONDS", 0.5)
    monkeypatch.setattr("edge.update.server.SLOWEST", 1 << 30)
    with dripping(prefix, drip) as address:
        updater = updated.updater()
        updater.registry = Registry(address.replace("http", scheme))
        began = time.monotonic()
        with pytest.raises(RegistryError):
            updater.check()
        assert time.monotonic() - began < 5
    assert updated.require_working(1)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["nothing", "header"])
def test_a_poll_ends_though_a_proxys_tunnel_never_opens(updated, monkeypatch, name):
    monkeypatch.setattr("edge.update.server.READ_SECONDS", 0.5)
    monkeypatch.setattr("edge.update.server.SLOWEST", 1 << 30)
    monkeypatch.setattr("edge.update.server.CONNECT_SECONDS", 20.0)
    for variable in ("https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with dripping(*DRIPS[name]) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        began = time.monotonic()
        with pytest.raises(RegistryError, match="is too slow"):
            Registry("https://mlflow.example").release("m", "champion")
        assert time.monotonic() - began < 5


@pytest.mark.timeout(60)
def test_a_round_ends_though_each_file_is_in_time(updated, monkeypatch):
    monkeypatch.setattr("edge.update.server.ROUND_SECONDS", 1.0)
    updated.server.fault = lambda handler: time.sleep(0.7) if is_file(handler) else False
    for _ in range(3):
        with suppress(RegistryError):
            updated.updater().check()
    assert updated.require_working(2), "each round goes on where the last one ended"


def resigned(updated, change) -> None:
    """Publish release 2, changed and signed again."""
    updated.release(2)
    stated = json.loads(updated.server.statement)
    change(stated)
    signing(KEY)(stated)
    updated.server.statement = json.dumps(stated)


def size_of_model(size) -> object:
    return lambda stated: stated["files"]["artifacts/model.onnx"].update(bytes=size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (size_of_model(-(1 << 40)), "states no SHA-256 or length"),
        (size_of_model(True), "states no SHA-256 or length"),
        (lambda stated: stated.update(release=True), "is not a number"),
        (lambda stated: stated.update(release=-3), "is not a number"),
        (lambda stated: stated.update(release=10**9), "far ahead of release 1"),
        (lambda stated: stated.update(release=10**9, previous=10**9 - 1), "far ahead of release 1"),
    ],
)
def test_a_number_that_no_release_has_is_refused_though_it_is_signed(updated, change, message):
    resigned(updated, change)
    with pytest.raises(ReleaseError, match=message):
        updated.updater().check()
    assert updated.server.fetched() == [] and updated.require_working(1)
    updated.release(2)
    assert updated.updater().check().release == 2, "the next real one is taken"


def test_a_number_far_ahead_is_taken_from_who_names_the_one_before(updated):
    resigned(updated, lambda stated: stated.update(release=10**9, previous=1))
    assert updated.updater().check().release == 10**9


def test_any_one_good_signature_counts_whatever_the_order_of_keys(updated):
    """A key that changed hands may leave a bad signature beside a good one."""
    stated = json.loads(updated.server.statement)
    stated["signatures"][public(FOREIGN)] = stated["signatures"][PUBLIC_KEY]
    release = Release.parse(json.dumps(stated))
    for keys in ([PUBLIC_KEY, public(FOREIGN)], [public(FOREIGN), PUBLIC_KEY]):
        release.require_signature(keys)


def test_a_portal_in_between_blacklists_no_release(updated):
    """A hotel's page has status 200 for every address."""

    def portal(handler):
        return handler.send(200, b"<html>log in</html>") or True

    for fault in (portal, lambda handler: is_file(handler) and portal(handler)):
        updated.server.fault = fault
        for _ in range(MAX_ATTEMPTS + 2):
            with pytest.raises(UserError, match="not answer as an MLflow|differs from the rel"):
                updated.updater().check()
            assert updated.require_working(1)
    updated.server.fault = lambda handler: False
    assert updated.updater().check().release == 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("harm", [*list(HARM)[:-1], "external data", "a signal"])
def test_a_network_that_does_harm_ends_its_self_test_and_no_more(
    updated, tmp_path, monkeypatch, harm
):
    monkeypatch.setattr("edge.update.self_test_process.SECONDS", 3.0)
    folder = write_reference_images(write_model(tmp_path / "harmful"))
    if harm == "a signal":  # as the kernel ends it without memory
        monkeypatch.setattr("edge.update.self_test_process.sys.executable", str(killed(tmp_path)))
    else:
        add_harm(folder / "model.onnx", harm)
    updated.server.release(folder, 2)
    updater, message = updated.updater(), "fails its self-test|longer than 3 s|status -9"
    for _ in range(MAX_ATTEMPTS):
        with suppress(ReleaseError):
            assert updater.check() is None
    assert updater.check() is None and re.search(message, updater.refusal)
    assert updated.require_working(1)


def killed(folder):
    """A Python that is killed at once."""
    path = folder / "python"
    path.write_text("#!/bin/sh\nkill -9 $$\n")
    path.chmod(0o755)
    return path
