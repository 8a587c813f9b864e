"""Run the notebooks, and write what they show into docs/notebooks.md: `make notebooks`."""

import base64
import html
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image, ImageChops

NOTEBOOKS = Path(__file__).parent
PROJECT = NOTEBOOKS.parent
PAGE, IMAGES = PROJECT / "docs" / "notebooks.md", PROJECT / "docs" / "notebooks"
SHOWN_AS = "/home/me/lakehouse-vision"
"""What stands for the project's folder."""

WIDTH, HEIGHT = 1040, 1100
"""Pixels of the page that is shown of a report."""
COLOURS = 128

HEADER = """# The notebooks, run

Made by `make notebooks`, which runs `notebooks/` on images of the simulated camera. The notebooks
themselves are kept without outputs. [Python and notebooks](python.md) says how to start them, and
what each call does. Of a report, its top is shown.
"""


def execute(notebook: Path, **parameters: Any) -> Any:
    """Run a notebook in a kernel of its own, in its folder, and return it with its outputs.

    Args:
        notebook: its file.
        parameters: set after the cell with the tag ``parameters``, as papermill sets them.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    opened = nbformat.read(notebook, as_version=4)
    tagged = [cell.metadata.get("tags") == ["parameters"] for cell in opened.cells]
    lines = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    opened.cells.insert(tagged.index(True) + 1, nbformat.v4.new_code_cell(lines))
    with tempfile.TemporaryDirectory() as folder:  # of its sockets: no port that others could find
        kernel = AsyncKernelManager(transport="ipc", ip=f"{folder}/kernel", kernel_name="python3")
        place = {"metadata": {"path": notebook.parent}}
        NotebookClient(
            opened, km=kernel, timeout=None, coalesce_streams=True, resources=place
        ).execute()
    return opened


def to_markdown(notebook: Any, name: str) -> Iterator[str]:
    """Yield a notebook's cells and outputs as Markdown, and write the images that it names."""
    for number, cell in enumerate(cell for cell in notebook.cells if cell.source):
        if cell.cell_type == "markdown":
            yield re.sub(r"^#", "##", cell.source.replace("](../docs/", "]("), flags=re.M)
            continue
        yield f"```python\n{cell.source}\n```"
        for place, output in enumerate(cell.outputs):
            yield _shown(output, IMAGES / f"{name[:2]}-{number}-{place}.png")


def _shown(output: Any, file: Path) -> str:
    if output.output_type == "stream":
        return f"```text\n{_as_printed(output.text)}\n```"
    data = output.data
    if "image/png" in data:
        _write(base64.b64decode(data["image/png"]), file)
    elif (page := data.get("text/html", "")).startswith("<iframe"):
        _write(_photograph(html.unescape(re.search('srcdoc="(.*?)"', page, re.S)[1])), file)
    elif table := re.search("<table.*</table>", page, re.S):
        return re.sub(r'\s(id|class|style|border|data-\w+)="[^"]*"|\n\s*', "", table[0])
    else:
        return f"```text\n{_as_printed(data['text/plain'])}\n```"
    return f"![Output of this cell]({file.relative_to(PAGE.parent)})"


def _as_printed(text: str) -> str:
    """Return what a terminal shows in the end: a progress bar is drawn over itself."""
    return re.sub(r".*\r(?!\n)", "", text.replace(str(PROJECT), SHOWN_AS)).rstrip()


def _photograph(page: str) -> bytes:
    """Return the top of an HTML page as a browser shows it, as PNG."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("no chromium here; run: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        file, shot = Path(folder, "page.html"), Path(folder, "page.png")
        file.write_text(page.replace(str(PROJECT), SHOWN_AS), encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += ["--blink-settings=preferredColorScheme=1", f"--user-data-dir={folder}/browser"]
        options += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", file.as_uri()]
        subprocess.run([browser, *options], check=True, capture_output=True, timeout=120)
        return shot.read_bytes()


def _write(png: bytes, file: Path) -> None:
    """Write an image without its empty rest, with few colours: a tenth of the bytes."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    empty = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    box = ImageChops.difference(image, empty).getbbox() or (0, 0, *image.size)
    shown = image.crop((0, 0, image.width, min(box[3] + 16, image.height)))
    shown.quantize(COLOURS).save(file, optimize=True)


def main() -> None:
    """Run all notebooks, and write the page."""
    shutil.rmtree(IMAGES, ignore_errors=True)
    IMAGES.mkdir()
    parts = [HEADER]
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        print(f"running {notebook.name} …", flush=True)
        parts += to_markdown(execute(notebook), notebook.stem)
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
