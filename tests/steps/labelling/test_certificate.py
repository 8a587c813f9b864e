"""The page's certificate, as a browser reads it."""

import hashlib
import socket
import ssl
from datetime import timedelta

import pytest
import requests

from steps.errors import UserError
from steps.labelling import certificate, server
from steps.labelling.certificate import fingerprint_of
from steps.labelling.server import Server

HOST = "127.0.0.2"


@pytest.fixture
def served(sitting, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "data_home", lambda: tmp_path)
    page = Server(sitting, 0, HOST)
    yield page, tmp_path / "data" / f"label-page-{HOST}.pem"
    page.stop()


def test_another_host_is_served_by_tls_with_the_fingerprint_that_is_shown(served):
    page, pem = served
    assert page.address.startswith(f"https://{HOST}:{page.port}/") and page.token in page.address
    assert requests.get(f"{page.address}state", verify=pem, timeout=5).json()["images"] == 40
    sent = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((HOST, page.port)))
    assert page.fingerprint.replace(":", "").lower() == hashlib.sha256(sent).hexdigest()
    assert pem.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Host": "localhost"}, "open the page as 127.0.0.2"),
        ({"Host": "evil.example"}, "open the page as 127.0.0.2"),
        ({"Origin": "http://127.0.0.2:PORT"}, "another site's page"),
        ({"Origin": "https://evil.example"}, "another site's page"),
    ],
)
def test_other_hosts_and_origins_are_refused(served, headers, words):
    page, pem = served
    headers = {name: value.replace("PORT", str(page.port)) for name, value in headers.items()}
    answer = requests.get(f"{page.address}state", headers=headers, verify=pem, timeout=5)
    assert answer.status_code == 403 and words in answer.text
    origin = {"Origin": f"https://{HOST}:{page.port}"}
    assert requests.get(f"{page.address}state", headers=origin, verify=pem, timeout=5).ok


def test_without_tls_or_token_nothing_is_answered(served):
    page, pem = served
    with pytest.raises(requests.ConnectionError):
        requests.get(page.address.replace("https", "http"), timeout=5)
    answer = requests.get(f"https://{HOST}:{page.port}/", verify=pem, timeout=5)
    assert answer.status_code == 403 and "lacks its token" in answer.text


def test_it_stays_the_same_until_it_ends_soon_or_is_damaged(tmp_path, monkeypatch):
    pem = tmp_path / "new" / "page.pem"
    first = fingerprint_of("porch.local", pem)
    assert fingerprint_of("porch.local", pem) == first
    pem.write_text("no certificate")
    second = fingerprint_of("porch.local", pem)
    assert second != first
    monkeypatch.setattr(certificate, "LEFT", timedelta(days=366))
    assert fingerprint_of("porch.local", pem) != second


EVERY = ["0.0.0.0", "::", "", "*", "0", "0.0", "::0", "::ffff:0.0.0.0"]
"""Ways to write every address."""


@pytest.mark.parametrize("host", [*EVERY, "192.0.2.1", "no-such-host.invalid"])
def test_hosts_that_are_not_one_address_of_this_machine(sitting, host):
    with pytest.raises(UserError, match="is not one address of this machine") as caught:
        Server(sitting, 0, host)
    assert caught.value.fix.changed["host"]


def test_a_name_that_only_means_this_machine_is_refused(sitting, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.1.1", 0))]  # as Debian has it
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    with pytest.raises(UserError, match=r"it means 127\.0\.1\.1, which no other") as caught:
        Server(sitting, 0, "porch")
    assert caught.value.fix.changed["host"]
