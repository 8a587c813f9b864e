"""Which images the benchmarks measure on, unless they are told."""

import argparse
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
REAL = PROJECT.parent / "shared" / "data" / "package-images" / "images"
SIMULATED = PROJECT / "data" / "landing"


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--images``."""
    parser.add_argument(
        "--images",
        type=Path,
        help="folder of JPEG files; default: ../shared/data/package-images, or else frames of the "
        "simulated camera",
    )


def images_folder(chosen: Path | None) -> Path:
    """Return the folder that was chosen, or the default one, with its number of images printed."""
    folder = chosen or (REAL if REAL.is_dir() else SIMULATED)
    if folder == SIMULATED and not any(folder.glob("*.jpg")):
        command = [sys.executable, "-m", "edge", "capture", "--to", str(folder)]
        subprocess.run(command, cwd=PROJECT, check=True)
    found = sum(1 for _ in folder.glob("*.jpg"))
    if not found:
        sys.exit(f"no JPEG files in {folder}; pass --images <folder of JPEG files>")
    print(f"{found} images in {folder}", file=sys.stderr, flush=True)
    return folder
