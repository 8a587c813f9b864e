"""The report of a step: one self-contained page, the same look for all."""

import base64
import io
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup
    from matplotlib.figure import Figure
    from PIL import Image

LOCAL_UI = "http://127.0.0.1:5000"
"""Where MLflow's pages are while runs are kept without a server: `mlflow ui`'s own default."""

LONG = 24
"""Characters from which on a cell of a table may be broken into lines."""


@dataclass
class Section:
    """A part of a report: a heading, a sentence, and a table, a plot, a drawing or images."""

    title: str
    text: str = ""
    header: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    plot: str = ""
    drawing: str = ""
    images: list[tuple[str, str]] = field(default_factory=list)

    def kind(self, column: int, cell: Any = "") -> str:
        """The class of a cell: a column with a number in it is one of numbers."""
        if any(isinstance(row[column], int | float) for row in self.rows):
            return "number"
        return "long" if len(str(cell)) >= LONG else ""


@dataclass
class Report:
    """What went in, what came out, what to look at, and what to run next.

    Attributes:
        step, run_id: whose report it is.
        about: one sentence of what the step does.
        seconds: that it took; None where it did not end well.
        given: its parameters that are not as by default.
        inputs: run ID by step.
        outputs: as in ``outputs.json``.
        headlines: figures for the top of the page.
        sections: what to look at.
        next_command: what to run next.
        failure: why it failed.

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

    def table(self, title: str, header: list[str], rows: list[list[Any]], text: str = "") -> None:
        """Add a table; columns with numbers are set to the right, fractions with four digits."""
        self.sections.append(Section(title, text, header, rows))

    def plot(self, title: str, figure: "Figure", text: str = "") -> None:
        """Add a matplotlib figure, drawn as SVG."""
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight")
        svg = buffer.getvalue()
        self.sections.append(Section(title, text, plot=svg[svg.index("<svg") :]))

    def drawing(self, title: str, svg: str, text: str = "") -> None:
        """Add an SVG that has the page's own colours."""
        self.sections.append(Section(title, text, drawing=svg))

    def images(self, title: str, images: list[tuple[str, "Image.Image"]], text: str = "") -> None:
        """Add a grid of captioned thumbnails, 160 pixels at the most."""
        shown = [(caption, _data_uri(image)) for caption, image in images]
        self.sections.append(Section(title, text, images=shown))

    def html(self) -> str:
        """The page."""
        return _template().render(report=self)


def run_address(run_id: str) -> str:
    """Where a server shows a run of the active run's experiment; empty where none is active."""
    import mlflow

    from edge.protocol.addresses import without_userinfo

    run, store = mlflow.active_run(), mlflow.get_tracking_uri()
    if run is None:
        return ""
    server = without_userinfo(store).rstrip("/") if store.startswith("http") else LOCAL_UI
    return f"{server}/#/experiments/{run.info.experiment_id}/runs/{run_id}"


def run_link(run_id: str) -> "Markup | str":
    """The first eight digits of a run's ID, as a link where a server shows it; – for none."""
    from markupsafe import Markup

    if not (run_id and (address := run_address(run_id))):
        return run_id[:8] or "–"
    return Markup('<a href="{}" target="_blank">{}</a>').format(address, run_id[:8])


def plain(text: str) -> str:
    """A text as Matplotlib draws it as it is: no formula, and in a legend where it begins with _.

    >>> plain("_$x$")
    ' _\\\\$x\\\\$'
    """
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


def flat(values: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """A record's values as text, those of a section under the section's name.

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
            rows.append((f"{above}{name}", ", ".join(map(rounded, value))))
        else:
            rows.append((f"{above}{name}", rounded(value)))
    return rows


def rounded(value: Any) -> Any:
    """A fraction with four digits, a float above a thousand without any; the rest as it is.

    >>> rounded(0.99979716), rounded(12345.6), rounded("as it is")
    ('0.9998', '12346', 'as it is')
    """
    if not isinstance(value, float):
        return value if hasattr(value, "__html__") else str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("steps.pipeline", "."), autoescape=True)
    environment.globals |= {"flat": flat, "run_address": run_address}
    environment.filters |= {"rounded": rounded, "breakable": _breakable, "with_code": _with_code}
    return environment.get_template("report.html.j2")


def _breakable(name: str) -> "Markup":
    """A name that may go on in the next line after a dot or an underscore."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name))))


def _with_code(text: str) -> "Markup":
    """A sentence with what stands between backticks set as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _data_uri(image: "Image.Image") -> str:
    thumbnail = image.convert("RGB")
    thumbnail.thumbnail((160, 160))
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
