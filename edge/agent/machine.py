"""How the machine is: temperature, throttling, memory, disk."""

import resource
import shutil
import subprocess
from pathlib import Path

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
VCGENCMD_SECONDS = 5

FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""The firmware's bits for now; 16 above each is the one for since the start."""


def temperature() -> float | None:
    """Of the processor in °C; None where the kernel does not say."""
    try:
        return int(THERMAL.read_text()) / 1000
    except (OSError, ValueError):
        return None


def throttling() -> list[str] | None:
    """What the firmware of a Pi complains about, ``… earlier`` where it is over; else None.

    An under-voltage is a weak power supply, and the usual reason for a device that hangs.
    """
    bits = _throttled_bits()
    if bits is None:
        return None
    now = [text for bit, text in FLAGS.items() if bits >> bit & 1]
    earlier = [f"{text} earlier" for bit, text in FLAGS.items() if bits >> bit + 16 & 1]
    return now + [text for text in earlier if text.removesuffix(" earlier") not in now]


def memory_megabytes() -> float:
    """What this process has resident now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def free_megabytes(folder: Path) -> float:
    """Of the disk that a folder is on."""
    return shutil.disk_usage(folder).free / 1e6


def _throttled_bits() -> int | None:
    try:
        return int(THROTTLED.read_text().strip(), 16)
    except (OSError, ValueError):
        pass
    try:
        said = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=VCGENCMD_SECONDS
        ).stdout
        return int(said.strip().removeprefix("throttled="), 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
