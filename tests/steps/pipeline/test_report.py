"""The report: text stays text, images and plots are in the page itself."""

import base64
import inspect
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from drawing import drawn
from matplotlib.figure import Figure
from PIL import Image

from steps.pipeline.report import Report
from steps.settings.profile import PROJECT

HOSTILE = "<script>alert('1')</script> & \"quoted\" <b>bold</b> {{ 7 * 7 }}"


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text of each tag."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.tags[-1][0], data.strip()))

    def text_of(self, tag: str) -> list[str]:
        return [text for at, text in self.texts if at == tag]


def report(**fields) -> Report:
    return Report("train", "1" * 32, **fields)


def curve(title: str = "loss") -> Figure:
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.plot([0, 1, 2], [3, 1, 2])
    axes.set_title(title)
    return figure


def _in_step(page: Report) -> None:
    page.step = HOSTILE


def _in_headline(page: Report) -> None:
    page.headline(HOSTILE, HOSTILE)


def _in_table(page: Report) -> None:
    page.table(HOSTILE, [HOSTILE], [[HOSTILE]], HOSTILE)


def _in_images(page: Report) -> None:
    page.images(HOSTILE, [(HOSTILE, drawn(1), HOSTILE)], HOSTILE)


def _in_plot(page: Report) -> None:
    page.plot(HOSTILE, curve(), HOSTILE)


def _in_inputs(page: Report) -> None:
    page.inputs = {HOSTILE: HOSTILE}


def _in_outputs(page: Report) -> None:
    page.outputs = {HOSTILE: HOSTILE}


def _in_command(page: Report) -> None:
    page.next_command = HOSTILE


@pytest.mark.parametrize(
    ("put", "tags"),
    [
        (_in_step, ["title", "h1"]),
        (_in_headline, ["b", "span"]),
        (_in_table, ["h3", "p", "th", "td"]),
        (_in_images, ["h3", "p", "figcaption"]),
        (_in_plot, ["h3", "p"]),
        (_in_inputs, ["th", "code"]),
        (_in_outputs, ["th", "code"]),
        (_in_command, ["code"]),
    ],
)
def test_text_is_shown_and_never_read_as_html(put, tags):
    page = report()
    put(page)
    seen = Page(page.html())
    assert "script" not in {tag for tag, _ in seen.tags}
    assert "bold" not in {text for _, text in seen.texts}
    for tag in tags:
        assert HOSTILE in seen.text_of(tag)


def test_text_in_a_plot_is_no_html_either():
    page = report()
    page.plot("Loss", curve(title="--> <script>alert(1)</script>"))
    assert "script" not in {tag for tag, _ in Page(page.html()).tags}


def test_a_plot_is_an_svg_of_the_page():
    page = report()
    page.plot("Loss", curve(), "by epoch")
    html = page.html()
    svg = ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])
    lines = svg.findall(".//*[@id='line2d_1']")
    assert svg.tag == "{http://www.w3.org/2000/svg}svg" and lines
    assert "<?xml" not in html and html.count("<!DOCTYPE") == 0


@pytest.mark.parametrize(
    ("size", "mode", "shown"),
    [
        ((320, 200), "RGB", (160, 100)),
        ((100, 400), "RGB", (40, 160)),
        ((33, 31), "RGB", (33, 31)),
        ((320, 320), "RGBA", (160, 160)),
        ((320, 320), "L", (160, 160)),
        ((320, 320), "CMYK", (160, 160)),
    ],
)
def test_images_are_thumbnails_in_the_page(size, mode, shown):
    image = drawn(3, mode, size=(32, 31)).resize(size, Image.Resampling.NEAREST)
    page = report()
    page.images("Samples", [("one", image, "5f"), ("two", image, "6a")])
    images = [attributes for tag, attributes in Page(page.html()).tags if tag == "img"]
    assert [image["alt"] for image in images] == ["one", "two"]
    kind, _, content = images[0]["src"].partition(",")
    assert kind == "data:image/jpeg;base64"
    thumbnail = Image.open(io.BytesIO(base64.b64decode(content, validate=True)))
    thumbnail.load()
    assert (thumbnail.format, thumbnail.size) == ("JPEG", shown)
    assert (image.size, image.mode) == (size, mode)


def test_the_page_fetches_nothing():
    page = report(next_command="mlflow run . -e register")
    page.plot("Loss", curve())
    page.images("Samples", [("one", drawn(1), "5f")])
    places = [
        value
        for _, attributes in Page(page.html()).tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset")
    ]
    assert places and all(place.startswith(("data:", "#")) for place in places)
    assert "@import" not in page.html() and "url(http" not in page.html()


def test_numbers_stand_to_the_right_with_their_header():
    page = report()
    page.table("By label", ["label", "images", "share"], [["0", 351, 0.5], ["1", 327, 0.25]])
    cells = [(t, a.get("class")) for t, a in Page(page.html()).tags if t in ("th", "td")]
    row = [None, "number", "number"]
    assert cells[:3] == [("th", kind) for kind in row]
    assert cells[3:9] == [("td", kind) for kind in row] * 2


def test_a_number_that_is_not_known_stands_where_the_numbers_are():
    page = report()
    page.table(
        "Compared", ["metric", "ours", "theirs"], [["a", 0.123456, "–"], ["b", 1.0, 12345.6]]
    )
    seen = Page(page.html())
    cells = [a.get("class") for t, a in seen.tags if t == "td"]
    assert cells == [None, "number", "number"] * 2
    assert seen.text_of("td") == ["a", "0.1235", "–", "b", "1", "12346"]


def test_what_went_in_and_came_out_is_on_the_report():
    page = report(
        inputs={"ingest": "a" * 32},
        outputs={"epochs": 3, "labels": ["0", "1"]},
        next_command="mlflow run . -e register",
    )
    page.headline("accuracy", 0.984)
    page.table("First", ["x"], [["1"]])
    page.table("Second", ["x"], [])
    seen = Page(page.html())
    assert seen.text_of("h1") == ["train"]
    assert seen.text_of("b") == ["0.984"]
    assert seen.text_of("code") == [
        "1" * 32, "a" * 32, "3", "0, 1", "mlflow run . -e register"
    ]  # fmt: skip
    assert seen.text_of("h2") == [
        "Inputs", "Outputs", "What to look at", "What to run next"
    ]  # fmt: skip
    assert seen.text_of("h3") == ["First", "Second"]


@pytest.mark.parametrize(("count", "folded"), [(3, 0), (13, 0), (14, 4), (40, 30)])
def test_a_long_list_of_what_came_out_is_folded_so_that_the_curves_are_near(count, folded):
    html = report(outputs={f"metric{n}": n for n in range(count)}).html()
    shown, _, hidden = html.partition("<details>")
    assert len(Page(shown).text_of("code")) - 1 == count - folded
    assert len(Page(hidden).text_of("code")) == folded
    assert Page(html).text_of("summary") == [f"and {folded} more"] * bool(folded)


def test_an_empty_report_says_that_nothing_went_in():
    seen = Page(report().html())
    assert seen.text_of("h2") == ["Inputs"]
    assert "No input runs. All parameters have their default values." in seen.text_of("p")


def test_nothing_that_comes_out_of_a_step_hangs_on_its_report():
    """Or the cache key could not leave its file out."""
    given_back = {
        name
        for name, method in vars(Report).items()
        if inspect.isfunction(method) and inspect.signature(method).return_annotation is not None
    }
    assert {name for name in given_back if not name.startswith("_")} == {"html"}
    sources = {path: path.read_text(encoding="utf-8") for path in PROJECT.glob("steps/**/*.py")}
    drawing = {path.name for path, text in sources.items() if "report.html()" in text}
    assert drawing == {"run_files.py", "failures.py"}
    taken = re.compile(r"from steps\.pipeline\.report import (?!Report\n)")
    outside = [path for path, text in sources.items() if taken.search(text)]
    assert {path.parent.name for path in outside} == {"reports"}  # links and legends
