"""The two Debian systems of ``make emulation``, and how a Python program is run in them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[3]
SYSTEMS = Path.home() / ".cache" / "lakehouse-vision" / "systems"
ARM64, CAMERA = SYSTEMS / "arm64", SYSTEMS / "camera"


def lacks(system: Path) -> str | None:
    """Why a system cannot be run in, on one line; None where it can."""
    if not (system / "made-from").exists():
        return f"there is no emulated system {system.name}: run `make emulation`"
    if system == ARM64 and shutil.which("qemu-aarch64-static") is None:
        return "qemu-aarch64-static is missing: run `make emulation`"
    return None


def on_arm64(*arguments: str, seconds: float, **environment: str) -> subprocess.CompletedProcess:
    """Run the emulated Cortex-A72's Python in the project's folder; its output is captured.

    Only the processor is emulated: files, network and processes are this machine's.
    """
    return subprocess.run(
        [str(ARM64 / "python"), *arguments],
        cwd=PROJECT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


class CameraSystem:
    """The system with the virtual camera, whose ``/work`` holds the project's ``edge``.

    Attributes:
        work: the folder ``/work``, as this machine sees it.
    """

    def __init__(self):
        self.work = CAMERA / "work"

    def run(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess:
        """Run the device's Python in ``/work``; its output is captured."""
        enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot"]
        # unpacked packages have not linked numpy's two libraries into their place
        libraries = ":".join(f"/usr/lib/x86_64-linux-gnu/{name}" for name in ("blas", "lapack"))
        inside = ["/usr/bin/env", "--chdir=/work", "LD_PRELOAD=/opt/dma_heap.so"]
        return subprocess.run(
            [*enter, str(CAMERA), *inside, "/opt/agent/bin/python", *arguments],
            env={"PATH": "/usr/sbin:/usr/bin", "HOME": "/root", "LD_LIBRARY_PATH": libraries},
            capture_output=True,
            text=True,
            timeout=seconds,
        )


@contextmanager
def camera_system(virtual_camera: str, frames: list[Path]) -> Iterator[CameraSystem]:
    """The system with the virtual camera, for one at a time.

    Args:
        virtual_camera: libcamera's description of it, which has its frames in ``/frames``.
        frames: JPEG files.
    """
    with (SYSTEMS / ".camera-in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        system = CameraSystem()
        folders = [system.work, CAMERA / "frames"]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        described = CAMERA / "usr/share/libcamera/pipeline/virtual/virtual.yaml"
        described.parent.mkdir(parents=True, exist_ok=True)
        described.write_text(virtual_camera)
        for number, frame in enumerate(frames):
            shutil.copyfile(frame, CAMERA / "frames" / f"{number:03}.jpg")
        shutil.copytree(PROJECT / "edge", system.work / "edge")
        yield system
        for folder in folders:
            shutil.rmtree(folder)
