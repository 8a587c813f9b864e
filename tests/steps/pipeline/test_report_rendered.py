"""Reports in a browser: light and dark, nothing wider than the page, and nothing fetched."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from drawing import drawn
from matplotlib.figure import Figure
from PIL import Image

from steps.pipeline.pipeline_state import StepDone
from steps.pipeline.report import Report
from steps.reports.main import fill_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium"),
]

LIGHT, DARK = (255, 255, 255), (20, 25, 31)
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
FETCHED = "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length"
ASKED = f"<script>document.title = 'wide=' + ({WIDE}) + ' fetched=' + {FETCHED}</script>"


def _everything() -> Report:
    """A report with each kind of section, and long words in each place."""
    report = Report(
        "train", "1" * 32, about="Train a network.", given={"source": "s3a://" + "b" * 90}
    )
    report.inputs = {"ingest": "a" * 32}
    report.outputs = {"table": "/srv/" + "lake/" * 30, "metrics": {"accuracy": 0.98765}}
    report.headline("held-out accuracy", "98.8 %")
    figure = Figure(figsize=(9, 2))
    figure.subplots().plot([0, 1, 2], [3, 1, 2])
    report.plot("Epochs", figure, "What the curve says.")
    report.table("By slice", [f"column {n}" for n in range(14)], [[n / 7 for n in range(14)]])
    report.images("Mistakes", [("x" * 60, drawn(1), "5f")] * 3)
    report.next_command = "mlflow run . -e register -P train_run_id=" + "1" * 32
    return report


def _failed() -> Report:
    report = Report("main", "1" * 32)
    reused = StepDone(step="ingest", run_id="2" * 32, reused=True, reason="", seconds=37)
    broken = StepDone(step="tune", run_id="", reused=False, reason="x", seconds=0, failed=True)
    fill_report(report, [reused] * 5 + [broken])
    report.failure = "Traceback\n" + "  File " + "/srv/" * 60
    return report


@pytest.fixture(scope="module", params=[_everything, _failed], ids=["everything", "failed"])
def page(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(request.param().html().replace("</body>", f"{ASKED}</body>"), encoding="utf-8")
    return path


def chromium(page: Path, *options: str) -> str:
    """What headless Chromium prints of a page; no host can be reached by name."""
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.parent}/browser"),
            *(*options, page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(("scheme", "back"), [(1, LIGHT), (0, DARK)], ids=["light", "dark"])
def test_a_report_has_the_colours_that_the_reader_prefers(page, tmp_path, scheme, back):
    shot = tmp_path / "report.png"
    preferred = f"--blink-settings=preferredColorScheme={scheme}"
    chromium(page, preferred, "--window-size=1000,1400", f"--screenshot={shot}")
    image = Image.open(shot).convert("RGB")
    assert image.getpixel((2, 2)) == back
    # something is drawn, and most of the page is left free
    free = image.quantize(8).convert("RGB").getcolors()
    assert 0.5 < max(count for count, _ in free) / (image.width * image.height) < 0.99


@pytest.mark.parametrize("width", [1000, 520])
def test_nothing_is_wider_than_the_page_and_nothing_is_fetched(page, width):
    dom = chromium(page, f"--window-size={width},1400", "--dump-dom")
    assert re.search("<title>([^<]*)", dom)[1] == "wide=false fetched=0"
