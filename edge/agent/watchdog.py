"""Who notices that the agent hangs: systemd, and the process itself.

A call into a camera's driver or a network drive may never return, and no thread can be ended
from outside. What helps is a new process, so a hanging one ends itself, after it has said where
it hangs; systemd starts it again.
"""

import faulthandler
import os
import socket


class Watchdog:
    """Wants a beat every so often; without one, the process ends with every thread's trace.

    Args:
        seconds: the longest time between two beats; 0 for no limit of its own.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds

    def ready(self) -> None:
        """The agent works: tells systemd."""
        notify("READY=1")

    def beat(self) -> None:
        """The agent goes on."""
        notify("WATCHDOG=1")
        if self._seconds:
            # a thread without the interpreter's lock, which a hanging driver may hold
            faulthandler.dump_traceback_later(self._seconds, exit=True)

    def stop(self) -> None:
        """The agent ends as it should."""
        faulthandler.cancel_dump_traceback_later()
        notify("STOPPING=1")


def notify(state: str) -> None:
    """Tell systemd, where it is the one that started this process (sd_notify's protocol)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract one
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.connect(address)
        out.sendall(state.encode())
