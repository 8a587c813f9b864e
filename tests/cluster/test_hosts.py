"""The hosts that this machine plays: what they share, and what they do not."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import hosts
import pytest
from hosts import Host, Network
from services import PROJECT

OBSTACLE = hosts.obstacle()
pytestmark = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)

PORT = 4000
LISTEN = f"""
import socket
with socket.create_server(("", {PORT})) as server:
    print("listening", flush=True)
    while True:
        server.accept()[0].close()
"""


@pytest.fixture(scope="module")
def network():
    home = Path("/tmp/hosts-of-a-test")
    with hosts.network(home, ["one", "two"], {"one": [PROJECT / "steps"]}) as made:
        yield made


@pytest.fixture
def one(network: Network) -> Host:
    return network.hosts["one"]


@pytest.fixture
def two(network: Network):
    """The other host, which listens."""
    host = network.hosts["two"]
    command = [*host.enter, "python3", "-c", LISTEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "listening\n"
        yield host
        host.run("pkill", "--full", "listening")  # it ends no process of another host


def connects(host: Host, seconds: float = 0.5) -> bool:
    try:
        socket.create_connection((host.address, PORT), seconds).close()
    except TimeoutError:
        return False
    return True


def test_a_host_that_is_disconnected_is_silent_until_it_is_reconnected(network, one, two):
    with one.network():
        before = two.moved()
        assert connects(two) and two.moved() > before
        network.disconnect(two)
        assert not connects(two)
        network.reconnect(two)
        assert connects(two, seconds=3)


def test_nothing_leads_out_of_the_network_or_into_it(one, two):
    with one.network(), pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", PORT), 0.5)
    assert "default" not in one.run("ip", "route")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", PORT), 0.5)


def test_packets_are_lost(one, two):
    """Of 4,000 datagrams, two cables with a loss of 0.5 % each lose forty."""
    with one.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(4000):
            sender.sendto(b"", (two.address, PORT + 1))
    received = two.run("cat", "/proc/net/snmp").splitlines()
    (names, counts) = (line.split() for line in received if line.startswith("Udp:"))
    arrived = int(counts[names.index("NoPorts")])
    assert 3900 < arrived < 3995


def test_hosts_share_no_file_that_they_write(network, one, two):
    for folder in (network.home, "/tmp", "/var/tmp", "/run", "/dev/shm"):
        path = Path(folder, "written-by-one")
        one.run("touch", path)
        assert one.file(path).exists() and not two.file(path).exists() and not path.exists()
    for path in (PROJECT / "written", Path.home() / "written"):
        assert "Read-only" in one.run("sh", "-c", f"touch {path} 2>&1 || true")
        assert not path.exists()
    assert not any(one.file(PROJECT / "steps").iterdir())
    assert any(two.file(PROJECT / "steps").iterdir())


def test_a_host_has_a_name_and_processes_of_its_own(one, two):
    assert one.run("hostname").strip() == "one"
    assert one.run("getent", "hosts", "two").split() == [two.address, "two"]
    assert "LISTEN" not in one.run("ps", "-e", "-o", "args").upper()


MAKE = """
import signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import hosts
with hosts.network(Path("/tmp/hosts-of-a-test"), ["one"]) as made:
    print(made.hosts["one"].pid, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_hosts_end_with_what_made_them(how):
    command = [sys.executable, "-c", MAKE, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as making:
        pid = int(making.stdout.readline())
        enter = ["nsenter", f"--target={pid}", "--all", "sh", "-c", "echo in; sleep 600"]
        inside = subprocess.Popen(enter, stdout=subprocess.PIPE)
        assert inside.stdout.readline() == b"in\n"
        making.send_signal(how)
    assert inside.wait(timeout=5) == -signal.SIGKILL
