"""Hosts that this machine plays, in namespaces of their own, on a switch that leads nowhere else.

A host has a name, an address, processes, and private folders in memory. Everything else of the
disk is read-only there, so hosts share no file that they write. Namespaces end with the first
process of the host, and that one with the tests, however they end: nothing has to be removed.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from places import Place

SUBNET = "10.77.0"
RATE, LOSS = "200mbit", 0.005
"""Of each host's cable, in both directions; the loss is a share of packets."""

FIRST_PROCESS = Path(__file__).with_name("host.sh")
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
KEPT_BY = ("setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES)

CLONE_NEWNET = 0x40000000


def obstacle() -> str:
    """Why this machine cannot play several hosts; empty if it can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if FIRST_PROCESS.resolve().is_relative_to("/tmp"):
        return "NOT PROVEN HERE: the checkout is below /tmp, which each host has to itself"
    if missing := [name for name in ("findmnt", "ip", "tc", "unshare") if not shutil.which(name)]:
        return f"{' and '.join(missing)} must be installed (Debian: iproute2, util-linux)"
    cable = "ip link add switch type bridge; ip link add eth0 type veth peer name eth1"
    commands = f"hostname host; mount -t sysfs sysfs /sys; {cable}; {_shaped('eth0', RATE, LOSS)}"
    tried = ["unshare", *NAMESPACES, "--fork", "sh", "-ec", commands]
    failed = subprocess.run(tried, capture_output=True, text=True)
    return f"no hosts can be made here: {failed.stderr.strip()}" if failed.returncode else ""


@dataclass(frozen=True)
class Host(Place):
    """A place of its own; ``pid`` is its first process."""

    pid: int = 0

    def run(self, *command: object, check: bool = True) -> str:
        """The output of a command that runs there."""
        words = [*self.enter, *map(str, command)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=check)
        return done.stdout

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Let this thread, and the threads and processes that it starts, use the host's network."""
        with (
            open("/proc/thread-self/ns/net") as before,
            open(f"/proc/{self.pid}/ns/net") as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def moved(self) -> int:
        """The bytes that went through its cable, both ways."""
        for line in Path(f"/proc/{self.pid}/net/dev").read_text().splitlines():
            device, _, counts = line.partition(":")
            if device.strip() == "eth0":
                values = counts.split()
                return int(values[0]) + int(values[8])
        return 0


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "the network namespace cannot be entered")


class Network:
    """A switch with hosts on it.

    Args:
        switch: the first process of the switch.
        home: the folder that every host has, of its own.
        hosts: by name.
    """

    def __init__(self, switch: int, home: Path, hosts: dict[str, Host]):
        self._switch, self.home, self.hosts = switch, home, hosts

    def plug_in(self, host: Host, rate: str = RATE, loss: float = LOSS) -> None:
        """Give a host a cable to the switch, with a bandwidth and a share of lost packets."""
        cable = _cable(host)
        self._on_switch(f"ip link add {cable} type veth peer name eth0 netns {host.pid}")
        shape = f"gso_max_segs 1; {_shaped('{0}', rate, loss)}"
        self._on_switch(f"ip link set {cable} {shape.format(cable)}")
        self._on_switch(f"ip link set {cable} master switch up")
        inside = ["nsenter", "--target", str(host.pid), "--net", "sh", "-ec"]
        up = f"ip address add {host.address}/24 dev eth0; ip link set eth0 up"
        subprocess.run([*inside, f"{up}; ip link set eth0 {shape.format('eth0')}"], check=True)

    def disconnect(self, host: Host) -> None:
        """Pull the cable: packets are lost both ways, and nobody is told."""
        self._on_switch(f"ip link set {_cable(host)} down")

    def reconnect(self, host: Host) -> None:
        """Plug the cable in again."""
        self._on_switch(f"ip link set {_cable(host)} up")

    def _on_switch(self, commands: str) -> None:
        inside = ["nsenter", "--target", str(self._switch), "--net", "sh", "-ec", commands]
        subprocess.run(inside, check=True)


def _cable(host: Host) -> str:
    return f"to-{host.name}"


def _shaped(device: str, rate: str, loss: float) -> str:
    """Commands for `tc`: the kernel need not have netem, so a filter drops packets at random."""
    limit = int(loss * 0xFFFFFFFF)
    drop = f"4,32 0 0 {0xFFFFF038},37 0 1 {0xFFFFFFFF - limit},6 0 0 2,6 0 0 {0xFFFFFFFF},"
    return (
        f"tc qdisc add dev {device} root tbf rate {rate} burst 128k latency 50ms; "
        f"tc qdisc add dev {device} clsact; "
        f"tc filter add dev {device} egress bpf direct-action bytecode '{drop}'"
    )


@contextlib.contextmanager
def network(
    home: Path, names: Sequence[str], private: dict[str, list[Path]] | None = None
) -> Iterator[Network]:
    """Make hosts on a network, which ends with the block.

    Args:
        home: the folder that each host has for itself, in memory.
        names: of the hosts, up to eleven characters each.
        private: by name, the folders that are empty there, in memory.
    """
    addresses = {name: f"{SUBNET}.{10 + number}" for number, name in enumerate(names)}
    known = "\n".join(f"{address} {name}" for name, address in addresses.items())
    with contextlib.ExitStack() as until_end:
        switch = until_end.enter_context(_first_process("switch", home, known, []))
        hosts = {}
        for name, address in addresses.items():
            folders = (private or {}).get(name, [])
            pid = until_end.enter_context(_first_process(name, home, known, folders))
            enter = ("nsenter", "--target", str(pid), *NAMESPACES)
            enter += ("env", f"--chdir={home}", f"HOME={home}", "TMPDIR=/tmp")
            hosts[name] = Host(name, address, enter, Path(f"/proc/{pid}/root"), pid)
        made = Network(switch, home, hosts)
        made._on_switch("ip link add switch type bridge; ip link set switch up")
        for host in hosts.values():
            made.plug_in(host)
        yield made


@contextlib.contextmanager
def _first_process(name: str, home: Path, known: str, private: list[Path]) -> Iterator[int]:
    """Start the first process of a host; give its number as this machine sees it."""
    command = [*KEPT_BY, "--fork", "--kill-child=KILL", "--mount-proc", FIRST_PROCESS]
    command += [name, home, known, *private]
    pipe = subprocess.PIPE
    with subprocess.Popen(list(map(str, command)), stdin=pipe, stdout=pipe, text=True) as outer:
        try:
            if outer.stdout.readline() != "ready\n":
                raise RuntimeError(f"host {name} did not start; its message is above")
            children = f"/proc/{outer.pid}/task/{outer.pid}/children"
            yield int(Path(children).read_text())
        finally:
            outer.stdin.close()  # it ends, and with it every process of its namespaces
            outer.wait()
