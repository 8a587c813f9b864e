"""Builds the wheel of this folder, ``lakehouse-vision-edge``, with Python's standard library alone.

It is a PEP 517 backend and a program: ``python edge/install/edge_wheel.py FOLDER`` writes the
wheel there and prints its name. The same files give the same bytes, on every processor.
"""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

EDGE = Path(__file__).resolve().parents[1]


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Write the wheel into a folder, and return its name, as PEP 517 asks for."""
    version = (EDGE / "VERSION").read_text(encoding="ascii").strip()
    name = f"lakehouse_vision_edge-{version}"
    sources = [path for path in sorted(EDGE.rglob("*")) if _is_shipped(path)]
    files = {f"edge/{path.relative_to(EDGE).as_posix()}": path.read_bytes() for path in sources}
    files[f"{name}.dist-info/METADATA"] = _metadata(version)
    files[f"{name}.dist-info/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: edge_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in files.items())
    files[f"{name}.dist-info/RECORD"] = f"{record}{name}.dist-info/RECORD,,\n".encode()
    with zipfile.ZipFile(Path(wheel_directory, f"{name}-py3-none-any.whl"), "w") as wheel:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path)  # of 1980, whatever the file's time
            entry.external_attr = (0o755 if data.startswith(b"#!") else 0o644) << 16
            wheel.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return f"{name}-py3-none-any.whl"


def _is_shipped(path: Path) -> bool:
    hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(EDGE).parts)
    return path.is_file() and not hidden and path.name != "pyproject.toml"


def _metadata(version: str) -> bytes:
    lines = (EDGE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [f"Requires-Dist: {line}" for line in lines if line[:1].isalpha()]
    about = ["Metadata-Version: 2.1", "Name: lakehouse-vision-edge", f"Version: {version}"]
    about += ["Summary: the agent of a lakehouse-vision device", "License: Apache-2.0"]
    return "\n".join([*about, "Requires-Python: >=3.11", *required, ""]).encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    print(build_wheel(sys.argv[1]))  # noqa: T201 – what install.sh reads
