"""TLS, its certificates, proxies and users: taken from MLflow's own environment variables."""

import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from typing import ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from release_server import MODEL, ReleaseServer

from edge.update.errors import RegistryError
from edge.update.registry import Registry

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class Authority:
    """Issues certificates into a folder, for the server on loopback and for its clients."""

    def __init__(self, folder):
        self.folder = folder
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), _named("the test's CA")
        signs = {name: name == "key_cert_sign" for name in USAGES}
        certificate = (
            self._builder(self._name, self._key, NOW - DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**signs), critical=True)
        )
        self.path = self._write("ca", certificate.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, begin=NOW - DAY) -> str:
        """A key and its certificate, valid from a moment on; the path of the file with both."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(name), key, begin).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        return self._write(name, builder.sign(self._key, hashes.SHA256()), key)

    def _builder(self, name, key, begin) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + 30 * DAY)
            .add_extension(  # Python 3.13 takes none without these two
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )

    def _write(self, name: str, certificate, key=None) -> str:
        content = certificate.public_bytes(serialization.Encoding.PEM)
        if key:
            content += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        path = self.folder / f"{name}.pem"
        path.write_bytes(content)
        return str(path)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve(authority, folders, monkeypatch):
    """Starts a server with TLS; no variable of this machine's is set."""
    for name in ("SERVER_CERT_PATH", "CLIENT_CERT_PATH", "INSECURE_TLS"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    without_proxy(monkeypatch)
    started = []

    def start(begin=NOW - DAY, of_clients: bool = False) -> ReleaseServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.issue("server", begin))
        if of_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority.path)
        started.append(ReleaseServer(context))
        started[0].release(folders[1], 1)
        return started[0]

    yield start
    for server in started:
        server.close()


def without_proxy(monkeypatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)  # it counts before the capitals


def poll(server: ReleaseServer) -> str:
    return ask(server.address)


def ask(address: str) -> str:
    return Registry(address).release(MODEL, "champion").version


def test_a_private_authority_is_trusted_if_it_is_named(serve, authority, monkeypatch):
    server = serve()
    with pytest.raises(RegistryError, match="is not trusted .*MLFLOW_TRACKING_SERVER_CERT_PATH"):
        poll(server)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority.path)
    assert poll(server) == "1"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")  # MLflow's own goes first
    assert poll(server) == "1"
    monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
    with pytest.raises(RegistryError, match=r"is not trusted \(there is no /nowhere\)"):
        poll(server)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, authority.path)
            assert poll(server) == "1"


@pytest.mark.filterwarnings("error:Unverified HTTPS request")
def test_insecure_tls_can_be_allowed(serve, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    assert poll(serve()) == "1"


def test_a_client_shows_its_certificate(serve, authority, monkeypatch):
    server = serve(of_clients=True)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority.path)
    with pytest.raises(RegistryError):
        poll(server)
    monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", authority.issue("client"))
    assert poll(server) == "1"


def test_a_clock_that_is_behind_is_reported(updated, serve, authority, monkeypatch):
    """To a clock at 1970, as of a Pi without a battery, no certificate is valid yet."""
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority.path)
    updater = updated.updater()
    updater.registry = Registry(serve(begin=NOW + 10 * DAY).address)
    with pytest.raises(RegistryError, match="not yet valid.*check this device's clock"):
        updater.check()
    assert updated.require_working(1)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SERVER_CERT_PATH": "/nowhere"}, "MLFLOW_TRACKING_SERVER_CERT_PATH names no file"),
        ({"CLIENT_CERT_PATH": "/nowhere"}, "MLFLOW_TRACKING_CLIENT_CERT_PATH names no file"),
        ({"SERVER_CERT_PATH": __file__, "INSECURE_TLS": "true"}, "exclude each other"),
        ({"TOKEN": "abc\n"}, "MLFLOW_TRACKING_TOKEN has characters that no token has"),
    ],
)
def test_contradictory_variables_are_refused(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with pytest.raises(RegistryError, match=message):
        Registry("https://mlflow.example")


@pytest.mark.parametrize(
    ("variable", "proxy", "user"),
    [
        ("HTTP_PROXY", "http://{}", None),
        ("http_proxy", "{}/", None),
        ("ALL_PROXY", "http://{}", None),
        ("HTTP_PROXY", "http://pi:s%40cret@{}", "Basic cGk6c0BjcmV0"),
    ],
)
def test_a_proxy_is_used_if_there_is_one(server, monkeypatch, variable, proxy, user):
    """The server itself stands for the proxy: it is asked for another machine's address."""
    without_proxy(monkeypatch)
    monkeypatch.setenv(variable, proxy.format(server.address.removeprefix("http://")))
    assert ask("http://me:secret@mlflöw.example:5000") == "1"
    path, headers = server.requests[0]
    assert path.startswith("http://xn--mlflw-mua.example:5000/api/2.0/")
    assert headers["Host"] == "xn--mlflw-mua.example:5000"
    assert headers["Authorization"] == "Basic bWU6c2VjcmV0"
    assert headers.get("Proxy-Authorization") == user


@pytest.mark.parametrize(
    ("excluded", "host", "is_used"),
    [
        *[
            (text, "localhost", False)
            for text in ("x, localhost", "*", "LOCALHOST:9", ".localhost")
        ],
        *[(text, "localhost", True) for text in ("", "x", "host", "localhost:8", "127.0.0.1")],
        *(("127.0.0.2", "127.0.0.2", False), ("x, 127.0.0.0/8", "127.0.0.2", False)),
        *(("127.0.1.0/24", "127.0.0.2", True), ("::1", "[::1]", False)),
    ],
)
def test_no_proxy_is_used_for_what_is_excluded(server, monkeypatch, excluded, host, is_used):
    """Nothing answers at that port itself."""
    for name in ("NO_PROXY", "no_proxy"):
        without_proxy(monkeypatch)
        monkeypatch.setenv("HTTP_PROXY", server.address)
        monkeypatch.setenv(name, excluded)
        if is_used:
            assert ask(f"http://{host}:9") == "1"
        else:
            with pytest.raises(RegistryError, match="no MLflow server answers"):
                ask(f"http://{host}:9")


class Tunnel(http.server.BaseHTTPRequestHandler):
    """A proxy for HTTPS, which lets one user through."""

    asked: ClassVar[list[str]] = []

    def do_CONNECT(self):
        self.asked.append(self.path)
        if self.headers["Proxy-Authorization"] != "Basic cGk6c0BjcmV0":
            self.send_error(407)
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as beyond:
            self.send_response(200)
            self.end_headers()
            ends = [(self.connection, beyond), (beyond, self.connection)]
            threads = [threading.Thread(target=self.pass_on, args=pair) for pair in ends]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.close_connection = True

    def pass_on(self, begin: socket.socket, end: socket.socket):
        with suppress(OSError):
            while content := begin.recv(1 << 16):
                end.sendall(content)
            end.shutdown(socket.SHUT_WR)

    def log_message(self, *_):
        pass


def test_https_goes_through_a_proxys_tunnel(serve, authority, monkeypatch):
    server = serve()
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority.path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tunnel) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        place = f"127.0.0.1:{proxy.server_port}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://pi:s%40cret@{place}")
        Tunnel.asked.clear()
        assert poll(server) == "1"
        assert Tunnel.asked == [server.address.removeprefix("https://")]
        assert "Proxy-Authorization" not in server.requests[0][1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://pi:wrong@{place}")
        with pytest.raises(RegistryError, match="the proxy to .* does not connect") as error:
            poll(server)
        assert "wrong" not in str(error.value)
        proxy.shutdown()


@pytest.mark.parametrize(
    "proxy",
    [
        *("http://127.0.0.1:9", "http://me:secret@127.0.0.1:9", "http://me:sec/ret@127.0.0.1:9"),
        *("http://me:secret@[", "http://me:secret@proxy..local", "socks5://me:secret@127.0.0.1:9"),
    ],
)
def test_a_proxy_that_is_none_or_down_is_named(monkeypatch, proxy):
    without_proxy(monkeypatch)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(RegistryError) as error:
        ask("http://mlflow.example")
    assert str(error.value) == (
        "the proxy to http://mlflow.example does not connect: check HTTPS_PROXY and NO_PROXY"
    )


@pytest.mark.parametrize(("closings", "works"), [(1, True), (2, False)])
def test_a_connection_that_the_server_has_closed_is_opened_again_once(server, closings, works):
    registry = Registry(server.address)
    assert registry.release(MODEL, "champion").version == "1"
    left = [closings]

    def close(handler):
        left[0] -= 1
        handler.close_connection = left[0] >= 0
        return handler.close_connection

    server.fault = close
    if works:
        assert registry.release(MODEL, "champion").version == "1"
    else:
        with pytest.raises(RegistryError, match="no MLflow server answers"):
            registry.release(MODEL, "champion")
    assert len(server.requests) == 3
