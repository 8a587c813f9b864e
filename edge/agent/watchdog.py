"""Notices that the agent hangs, through systemd and in the process itself.

A call into a camera's driver or a network drive may never return, and a thread cannot be ended
from outside. Only a new process helps: a hanging one prints where it hangs and ends itself, and
systemd starts it again.
"""

import faulthandler
import os
import socket


class Watchdog:
    """Ends the process with every thread's trace if the beats stop.

    Args:
        seconds: the longest time between two beats; 0 leaves the check to systemd.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds

    def ready(self) -> None:
        """Tell systemd that the agent has started."""
        _notify("READY=1")

    def beat(self) -> None:
        """Report that the agent still runs."""
        _notify("WATCHDOG=1")
        if self._seconds:
            # its thread does not need the interpreter's lock, which a hanging driver may hold
            faulthandler.dump_traceback_later(self._seconds, exit=True)

    def stop(self) -> None:
        """Tell systemd that the agent stops as intended."""
        faulthandler.cancel_dump_traceback_later()
        _notify("STOPPING=1")


def _notify(state: str) -> None:
    """Notify systemd if it started this process (sd_notify's protocol)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.connect(address)
        out.sendall(state.encode())
