"""The report of a step: one self-contained HTML page in the same style for all steps."""

import base64
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import mlflow
from jinja2 import Environment, PackageLoader, Template
from markupsafe import Markup
from PIL import Image

from edge.protocol.addresses import shown_address

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # takes a third of a second

LOCAL_UI = "http://127.0.0.1:5000"
"""The address of MLflow's pages if runs are stored without a server: `mlflow ui`'s default."""

THUMBNAIL = (160, 160)
"""Pixels of an image in a report, at most."""

LONG = 24
"""Length in characters from which a cell of a table may wrap."""


@dataclass
class Section:
    """A section of a report: a heading, a sentence, and a table, a plot, a drawing or images."""

    title: str
    text: str = ""
    header: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    plot: str = ""
    drawing: str = ""
    images: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Report:
    """The inputs and outputs of a run, what to look at, and what to run next.

    Attributes:
        step, run_id: whose report it is.
        about: what the step does, in one sentence.
        seconds: duration of the run; None if it failed.
        given: its parameters that differ from their defaults.
        inputs: run ID by step.
        outputs: as in ``outputs.json``.
        headlines: figures for the top of the page.
        sections: what to look at.
        next_command: what to run next.
        failure: why the run failed.

    Example::

        run.report.headline("accuracy", "98.4 %")
        run.report.table("By label", ["label", "images"], [["0", 351], ["1", 327]])
    """

    step: str
    run_id: str
    about: str = ""
    seconds: float | None = None
    given: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    headlines: list[tuple[str, str]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    next_command: str = ""
    failure: str = ""

    def headline(self, name: str, value: Any) -> None:
        """Add a figure to the top of the page."""
        self.headlines.append((name, str(value)))

    def table(
        self, title: str, header: list[str], rows: Iterable[Iterable[Any]], text: str = ""
    ) -> None:
        """Add a table; numeric columns are right-aligned, fractions have four digits."""
        self.sections.append(Section(title, text, header, [list(row) for row in rows]))

    def plot(self, title: str, figure: "Figure", text: str = "") -> None:
        """Add a matplotlib figure, drawn as SVG, with axes that are open at the top and right."""
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        with warnings.catch_warnings(action="ignore"):  # its font lacks a label's emoji
            figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight")
        svg = buffer.getvalue()
        self.sections.append(Section(title, text, plot=svg[svg.index("<svg") :]))

    def drawing(self, title: str, svg: str, text: str = "") -> None:
        """Add an SVG in the page's own colours."""
        self.sections.append(Section(title, text, drawing=svg))

    def images(
        self, title: str, images: list[tuple[str, Image.Image, str]], text: str = ""
    ) -> None:
        """Add a grid of thumbnails, at most :data:`THUMBNAIL` wide and high.

        Args:
            title: of the section.
            images: caption, pixels, and sha256 of the image, by which it can be erased.
            text: of the section.
        """
        shown = [(caption, _data_uri(image), sha256) for caption, image, sha256 in images]
        self.sections.append(Section(title, text, images=shown))

    def html(self) -> str:
        """Return the page."""
        return template("pipeline/report.html.j2").render(report=self)


def run_address(run_id: str) -> str:
    """Return the address of a run of the active run's experiment; empty without an active run."""
    run, store = mlflow.active_run(), mlflow.get_tracking_uri()
    if run is None:
        return ""
    server = shown_address(store).rstrip("/") if store.startswith("http") else LOCAL_UI
    return f"{server}/#/experiments/{run.info.experiment_id}/runs/{run_id}"


def run_link(run_id: str) -> Markup | str:
    """Return the first eight digits of a run's ID, as a link if there is an address; – for none."""
    if not (run_id and (address := run_address(run_id))):
        return run_id[:8] or "–"
    return Markup('<a href="{}" target="_blank">{}</a>').format(address, run_id[:8])


def flat(values: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return a record's values as text, those of a section under the section's name.

    >>> flat({"table": "images", "labels": {"0": 51}, "loss": 0.0123456})
    [('table', 'images'), ('labels.0', '51'), ('loss', '0.01235')]
    """
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += flat(value, f"{above}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows.append((f"{above}{name}", f"{len(value)} entries"))
        elif isinstance(value, list):
            rows.append((f"{above}{name}", ", ".join(map(_rounded, value))))
        else:
            rows.append((f"{above}{name}", _rounded(value)))
    return rows


def _rounded(value: Any) -> Any:
    """Return a float with four digits, or as an integer from a thousand on; the rest as it is.

    >>> _rounded(0.99979716), _rounded(12345.6), _rounded("as it is")
    ('0.9998', '12346', 'as it is')
    """
    if not isinstance(value, float):
        return value if hasattr(value, "__html__") else str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@cache
def template(path: str) -> Template:
    """Return a report's template by its path below ``steps/``."""
    environment = Environment(loader=PackageLoader("steps", "."), autoescape=True)
    environment.globals |= {"flat": flat, "run_address": run_address, "LONG": LONG}
    environment.filters["rounded"] = _rounded
    return environment.get_template(path)


def _data_uri(image: Image.Image) -> str:
    thumbnail = image.convert("RGB")
    thumbnail.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
