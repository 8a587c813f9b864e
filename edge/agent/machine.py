"""The state of the machine: temperature, throttling, memory."""

import resource
import subprocess
from contextlib import suppress
from pathlib import Path

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
VCGENCMD_SECONDS = 5

FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""The firmware's bits for the present; those 16 above mean any time since the start."""


def temperature() -> float | None:
    """Return the processor's temperature in °C, or None if the kernel does not report it."""
    try:
        return int(THERMAL.read_text()) / 1000
    except (OSError, ValueError):
        return None


def throttling() -> list[str] | None:
    """Return the warnings of a Pi's firmware, ``… earlier`` if they are over; None elsewhere.

    Under-voltage means a weak power supply, the usual reason for a device that hangs.
    """
    bits = _throttled_bits()
    if bits is None:
        return None
    now = [text for bit, text in FLAGS.items() if bits >> bit & 1]
    ever = [text for bit, text in FLAGS.items() if bits >> bit + 16 & 1]
    return now + [f"{text} earlier" for text in ever if text not in now]


def memory_megabytes() -> float:
    """Return this process's resident memory, or its largest so far if /proc is not mounted."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return pages * resource.getpagesize() / 1e6


def _throttled_bits() -> int | None:
    with suppress(OSError, ValueError):
        return int(THROTTLED.read_text().strip(), 16)
    try:
        answer = subprocess.run(
            ["vcgencmd", "get_throttled"],
            capture_output=True,
            text=True,
            timeout=VCGENCMD_SECONDS,
            check=False,  # an answer that is not a number says as much as the exit status
        ).stdout
        return int(answer.strip().removeprefix("throttled="), 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
