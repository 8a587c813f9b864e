"""The page in a browser, by real keys and clicks."""

import os
import random
import resource
import time
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from busy_day import busy_day
from drawing import jpeg

from benchmarks.browser import CHROMIUM, browsing
from benchmarks.made_lake import frame_name, make_lake, write_table
from edge.inference.region import Region
from steps.ingestion.tables import CLASSES
from steps.labelling.describing import RECORD
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.server import Server
from steps.labelling.sitting import Sitting
from steps.settings.profile import Profile, load_profile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="NOT PROVEN HERE: no chromium; apt-get install chromium"
    ),
]

SECONDS = int(os.environ.get("LABEL_SECONDS", "6"))
A_SECOND = 10


class Place:
    """A lake, and a sitting at a time."""

    def __init__(self, home, images):
        self.home = home
        self.profile, self.source = make_lake(home, images)
        self.begin()

    def begin(self, port: int = 0) -> None:
        self.journal = Journal(journal_folder(self.profile))
        self.sitting = Sitting(self.profile, self.source, self.journal, "ann")
        self.server = Server(self.sitting, port)

    def end(self) -> None:
        self.server.stop()
        self.journal.close()

    def browse(self, **options):
        return browsing(
            self.home / f"browser-{time.monotonic_ns()}", self.server.address, **options
        )

    @property
    def labels(self) -> list:
        return [row.label for row in self.journal.rows]


@pytest.fixture
def place(tmp_path):
    frames = [(frame_name(number), jpeg(number)) for number in range(40 + A_SECOND * SECONDS)]
    place = Place(tmp_path, frames)
    yield place
    place.end()


def add_labels(page, *labels: str) -> None:
    for number, label in enumerate(labels, start=1):
        page.press("n")
        page.type(label)
        page.press("Enter")
        page.press(str(number))  # labels one image as that
    page.wait("!defining")
    page.wait(f"state.classes.length === {len(labels)} && !waiting.length")


def test_ten_keys_a_second_are_all_saved_for_the_image_that_was_shown(place):
    rng = random.Random(1)
    with place.browse() as page:
        add_labels(page, "no package", "package")
        shown, pressed, start = [], [], time.monotonic()
        for number in range(A_SECOND * SECONDS):
            time.sleep(max(0, start + number / A_SECOND - time.monotonic()))
            shown.append(page.run("document.getElementById('stage').dataset.sha256"))
            pressed.append(rng.choice("12"))
            page.press(pressed[-1])
        page.wait("!waiting.length")
        assert page.run("at('saved').textContent") == f"{len(pressed) + 2} saved"
    rows = place.journal.rows[2:]
    assert [row.sha256 for row in rows] == shown and len(set(shown)) == len(shown)
    assert [row.label for row in rows] == ["no package" if k == "1" else "package" for k in pressed]
    assert {row.how for row in rows} == {"key"} and time.monotonic() - start < 2 * SECONDS + 5


def test_n_defines_a_label_and_a_refused_one_has_no_button(place):
    with place.browse() as page:
        for label in ("no package", "x" * 150, "a\u200bb"):
            page.press("n")
            page.type(label)
            page.press("Enter")
        page.wait("!defining && !at('problem').hidden")
        told = page.run("at('problem').textContent")
        assert told == "a label has no line break and no control character"
        assert page.run("at('saved').textContent") == f"key 2 labels as {'x' * 150}"
        assert page.run("at('classes').children.length") == 2 and place.labels == []
        assert page.run("at('classes').lastChild.offsetWidth") < 350
        assert page.run("document.documentElement.scrollWidth === innerWidth")
        page.press("2")
        page.wait("state.given === 1 && !waiting.length")
    assert place.labels == ["x" * 150]


def test_a_tab_of_a_page_that_was_started_again_says_so(place):
    with place.browse() as page:
        add_labels(page, "a")
        port = place.server.port
        place.end()
        place.begin(port)
        page.press("1")
        page.wait("at('problem').textContent.includes('started again')")
        told = page.run("at('problem').textContent")
        assert told.endswith("that `label` printed now; 1 label of this tab is not saved")
        page.run("begin()")
        assert page.run("at('stage').textContent") == "The images could not be loaded."
        page.run("waiting.length = 0, 0")  # else the browser asks whether to leave
        page.press("t")
        page.wait("at('frame').textContent === 'The frames could not be loaded.'")
    assert place.labels == ["a"]


def test_at_the_end_of_a_day_a_key_changes_nothing_and_enter_opens_the_next(tmp_path):
    frames = [(frame_name(number, minutes=240), jpeg(number)) for number in range(8)]
    place = Place(tmp_path, frames)
    try:
        with place.browse() as page:
            add_labels(page, "a", "b")
            page.click("#tab-timeline")  # has the focus from then on
            page.wait("frames.sha256.length > 0")
            day, count = page.run("[at('day').value, frames.sha256.length]")
            page.run("at('marks').value = 0, proposeMarks(), 0")
            page.press("1")
            page.wait("!waiting.length && !!ended")
            (next_day,) = page.run("frames.left.filter(day => day !== at('day').value)")
            told = f"this day is done, 1 day left: {next_day}"
            assert told in page.run("at('segment').textContent")
            page.press("2")
            page.wait("at('problem').textContent.startsWith('this day is done')")
            page.press("Enter")
            page.wait(f"at('day').value === '{next_day}' && !ended && frames.label[0] === null")
    finally:
        place.end()
    assert next_day != day and place.labels == ["a", "b", *["a"] * count]


def test_after_a_dialog_the_keys_go_to_the_page(place):
    with place.browse() as page:
        page.click("#train")
        page.wait("at('training').open")
        page.click("#close-training")
        page.wait("document.activeElement === document.body")
        page.press("Enter")
        assert not page.run("at('training').open")


def test_undo_goes_back_over_a_restart_and_keys_that_follow_at_once_wait_for_it(place):
    with place.browse() as page:
        add_labels(page, "a", "b")
        for key in "12?":
            page.press(key)
        page.wait("state.given === 5 && !waiting.length")
    place.end()
    place.begin()
    with place.browse() as page:
        page.wait("state.unsure === 1")
        for key in "uuu1":
            page.press(key)
        page.wait("state.given === 1 && !waiting.length")
        about = page.run("[items[place - 1].at.slice(11, 16), items[place - 1].label]")
        assert about == ["00:10", "a"]
        assert page.run("state.unlabelled") == place.sitting.summary()["images"] - 3
    assert place.labels[-4:] == [None, None, None, "a"]


def write_features(sitting) -> None:
    """Give the images features by which those of even and of odd numbers differ."""
    records = np.zeros(len(sitting.state.images), RECORD)
    records["sha256"] = sitting.state.images.sha256
    records["values"] = np.random.default_rng(0).standard_normal(records["values"].shape)
    records["values"][::2, :300] += 2
    sitting.features.file.parent.mkdir(parents=True)
    sitting.features.file.write_bytes(records.tobytes())


def test_enter_accepts_what_is_proposed_after_a_few_labels(place):
    write_features(place.sitting)
    with place.browse() as page:
        add_labels(page, "even", "odd")
        for key in "12121212":
            page.press(key)
        for _ in range(10):
            page.wait("!!item().proposal && !at('accept').hidden")
            page.press("Enter")
        page.press("1")  # the next would be even too
        page.wait("!waiting.length")
        assert page.run("at('right').textContent") == "proposals right: 11 of 11"
        page.click("#accept")
        page.wait("!waiting.length")
        form = "at('filters').querySelector('form')"
        page.run("at('filters').open = true, 0")
        page.run(f"{form}.order.value = 'control', {form}.onchange({{target: {form}.order}})")
        page.wait("!loading && !!item()?.drawn")
        page.press("Enter")
        page.press("1")
        page.wait("!waiting.length")
        assert page.run("at('accept').hidden && items.every(one => !one.proposal)")
    assert place.journal.rows[-1].how == "control"
    rows = place.journal.rows[10:-1]
    assert [row.label for row in rows] == ["even", "odd"] * 6
    assert [row.how for row in rows] == ["proposal"] * 10 + ["key", "proposal"]
    assert {row.proposed_by is None for row in rows[:10]} == {False}
    assert rows[0].proposed_by.startswith("efficientnet_lite0, ") and rows[10].proposed_by is None


def test_similar_images_get_a_label_at_once_without_those_that_are_clicked(place):
    write_features(place.sitting)
    with place.browse() as page:
        add_labels(page, "even", "odd")
        page.press("g")
        page.wait("group.stacks.length > 1 && document.querySelectorAll('#cells img').length > 1")
        first, *others = page.run("group.stacks")
        page.click("#cells button")
        page.press("1")
        page.wait("group.stacks.length === 1 && !waiting.length")
        page.press("2")
        page.wait("group.stacks.length > 1 && !busy")
        assert page.run("group.stacks.flat()[0]") not in [*first, *chain(*others)]
        page.press("u")
        page.wait("group.stacks.flat().length === 1 && !busy")
    rows = place.journal.rows[2:]
    assert [row.sha256 for row in rows[:-2]] == [*chain(*others)]
    assert {row.label for row in rows[:-2]} == {"even"}
    assert [(row.sha256, row.label, row.how) for row in rows[-2:]] == [
        (first[0], "odd", "grid"),
        (first[0], None, "undo"),
    ]


DRAWN = [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]
"""The left half."""


@pytest.mark.parametrize("touch", [False, True])
def test_what_is_drawn_around_on_the_map_gets_a_label(place, touch):
    write_features(place.sitting)
    with place.browse() as page:
        add_labels(page, "left", "right")
        page.press("p")
        page.wait("plane.points.length > 0 && !plane.making", 60)
        inside = (
            "plane.members.filter(m => m.shown && place_(plane.points[m.point])[0] < at('plane')"
        )
        left = page.run(inside + ".clientWidth / 2).map(m => m.sha256)")
        page.draw("#plane", DRAWN, touch)
        page.wait("at('live').textContent.endsWith('images chosen')")
        page.click("#chosen-images button")  # leaves that one out
        page.press("2")
        page.press("3")
        page.wait("at('problem').textContent === 'there is no label 3: type a new one (N)'")
        page.wait("!waiting.length && plane.chosen.size === 0")
        page.press("a")
        page.wait(f"plane.chosen.size === {len(place.sitting.state.images) - 2 - len(left) + 1}")
        page.press("z")
        page.wait("plane.frame[2] !== 1 || plane.frame[0] !== 0")
        page.press("u")
        page.wait("!busy && state.unlabelled === state.images - 2")
    rows = place.journal.rows[2:]
    given = [row for row in rows if row.how == "map"]
    assert len(given) == len(left) - 1 and {row.sha256 for row in given} < set(left)
    assert {row.label for row in given} == {"right"} and {row.how for row in rows} == {
        "map",
        "undo",
    }


LATE = """
window.real = ask, window.maps = 0, ask = async (path, body) => {
    const found = await real(path, body);
    if (path.startsWith("map?") && !maps++) await new Promise(go => window.release = go);
    return found;
}, loadMap(), 0
"""
"""Holds the answer with a map back."""


def test_a_map_that_was_under_way_knows_what_was_labelled_meanwhile_and_ends_with_done(place):
    write_features(place.sitting)
    with place.browse() as page:
        add_labels(page, "a")
        page.press("p")
        page.wait("plane.points.length > 0 && !plane.making", 60)
        page.run(LATE)
        page.wait("!!window.release")
        page.press("a")
        page.press("1")
        page.wait("!waiting.length")
        page.run("release(), 0")
        page.wait("maps > 1 && plane.members.every(one => one.label === 'a')")
        page.run("maps = 0, window.release = null, window.late = loadMap(), 0")
        page.wait("!!release")
        page.click("#done")
        page.wait("document.body.innerText.includes('Done: ')")
        page.run("release(), late.then(loadMap)")
        assert page.run("at('problem').hidden")


def test_regions_and_masks_are_drawn_or_typed_and_written_into_the_profile(place, tmp_path):
    file = tmp_path / "porches.yaml"
    file.write_text("extends: local  # but for the areas\nregions:\n  '7': [0, 0, 1, 0.5]\n")
    lake = f"lake={place.profile.lake},cache={place.profile.cache}"
    place.sitting.profile = load_profile(str(file), lake)

    def written(page) -> Profile:
        page.run("at('written').textContent = '', 0")
        page.click("#write-areas")
        page.wait("at('written').textContent.startsWith('Written into ')")
        return load_profile(str(file))

    with place.browse() as page:
        page.click("#tab-regions")
        page.wait("!!area.image")
        page.draw("#area", [(0.5, 0.5), (0.6, 0.7)])
        drawn = written(page).regions
        region = drawn["porch"]
        assert drawn["7"] == (0, 0, 1, 0.5)
        assert abs(region.y - 0.5) < 0.01 and abs(region.height - 0.2) < 0.01
        assert page.run("at('one-region').textContent").endswith(f"-P region={region}")
        for typed in ("0.1,0,0.5,1", "0.1,0,0.95,1"):
            page.run(f"at('numbers').value = '{typed}', 0")
            page.run("at('numbers').onchange({target: at('numbers')})")
            assert page.run("rectangles('regions')[0].join()") == "0.1,0,0.5,1"
        assert page.run("at('problem').textContent").startswith("give x,y,width,height")
        page.run("document.querySelector('[value=privacy_masks]').click(), 0")
        page.draw("#area", [(0.5, 0.1), (0.55, 0.3)])
        page.draw("#area", [(0.5, 0.9), (1, 1)])
        page.wait("rectangles('privacy_masks').length === 2")
        drawn = written(page)
        assert drawn.regions["porch"] == Region(0.1, 0, 0.5, 1)
        first, last = drawn.privacy_masks["porch"]
        assert abs(first.y - 0.1) < 0.01 and first.height > 0.19
        assert last.x + last.width > 0.995 < last.y + last.height
        told = page.run("at('one-region').lastChild.textContent")
        assert told.startswith("privacy_masks = [[") and told.count("[") == 3
        page.run("area.drawn.privacy_masks[''] = [[0, 0, 1, 0.1]], 0")
        page.click("#clear")
        page.draw("#area", [(0.5, 0.9), (1, 1)])
        page.wait("rectangles('privacy_masks').length === 2")
        assert page.run("rectangles('privacy_masks')[0].join() === '0,0,1,0.1'")
        page.run("delete area.drawn.privacy_masks[''], 0")
        page.click("#clear")
        page.run("at('other-frame').click(), 0")
        assert page.run("area.image === null")  # until the other one is there
        page.wait("!!area.image")
        assert written(page).privacy_masks == {}
        assert file.read_text().startswith("extends: local  # but for the areas\nregions: {")


def test_a_label_is_named_and_merged_and_its_buttons_follow(place):
    done = []

    def name(names):
        row = {"label": "1", "name": names["1"], "colour": "#0072b2", "key": "1"}
        schema = pa.schema([(column, pa.string()) for column in row])
        write_table(CLASSES, place.profile, [row], schema)

    place.server.commits.names = name
    place.server.commits.merge = lambda *merged: done.append(merged)
    with place.browse() as page:
        add_labels(page, "1", "2")
        page.click("#labels")
        page.wait("document.querySelectorAll('#class-list tr').length === 2")
        field = "document.querySelector('#class-list input')"
        page.run(f"{field}.value = ' <b>package ', {field}.onchange(), 0")
        page.wait("at('changing').textContent === 'Written. Undo' && !at('manage').inert")
        assert page.run("at('classes').firstChild.textContent") == "1<b>package1"
        page.run("window.confirm = text => (window.asked = text, true), 0")
        into = "document.querySelectorAll('#class-list select')[1]"
        page.run(f"{into}.value = '1', {into}.onchange(), 0")
        page.wait("!at('manage').inert")
        assert page.run("asked").startswith("Give 1 images labelled 2 the label <b>package?")
    assert done == [(place.source, "2", "1", "ann")]


def test_a_training_runs_beside_the_page_which_says_how_it_ends(place, monkeypatch):
    monkeypatch.setattr(place.server.commits, "labels", lambda: None)
    training = place.server.training
    training.command = "sh -c 'echo epoch 1; sleep 4; echo a model'"
    with place.browse() as page:
        page.click("#train")
        page.wait("at('command').value.startsWith('sh -c')")
        page.click("#start")
        page.wait("at('training-lines').textContent === 'epoch 1'")
        page.click("#start")
        page.wait("at('training-state').textContent.startsWith('a training runs already')")
        page.click("#close-training")
        page.press("n")
        assert page.run("at('train').textContent") == "Training …"
        page.wait("at('train').textContent === 'Trained'")
        assert page.run("at('training-lines').textContent") == "epoch 1\na model"


def test_skip_arrows_zoom_filters_and_touch(place):
    with place.browse() as page:
        add_labels(page, "a")
        first = page.run("item().sha256")
        page.press("s")
        page.press("ArrowRight")
        page.press("ArrowLeft")
        page.press("ArrowLeft")
        assert page.run("item().sha256") == first
        page.press("z")
        page.wait("document.querySelector('.zoomed img').src.endsWith('side=0')")
        page.press("z")
        assert not page.run("!!document.querySelector('.zoomed')")
        page.swipe((900, 300), (500, 310))
        assert page.run("place") == page.run("items.findIndex(one => !one.label)") + 1
        page.swipe((500, 300), (900, 310))
        assert page.run("item().sha256") == first
        page.click("#unsure")
        page.click("#classes button")
        page.wait("state.given === 3 && !waiting.length")
        page.run("at('filters').open = true, 0")
        form = "at('filters').querySelector('form')"
        page.run(f"{form}.show.value = 'labelled', {form}.onchange({{target: {form}.show}})")
        page.wait("matching === 2 && item().label === 'a'")
        page.run(f"{form}.show.value = 'disagreement', {form}.onchange({{target: {form}.show}})")
        page.wait("at('stage').textContent.startsWith('No image fits')")
        page.run(f"{form}.show.value = 'unlabelled', {form}.order.value = 'control', 0")
        page.run(f"{form}.onchange({{target: {form}.order}})")
        page.wait("!loading && !!item()")
        page.click("#classes button")
        page.wait("state.given === 4 && !waiting.length")
        page.run(f"{form}.device.value = 'porch', {form}.onchange({{target: {form}.device}})")
        page.wait("!loading && !!item() && !item().drawn")
        page.click("#classes button")
        page.wait("state.given === 5 && !waiting.length")
    assert place.labels == ["a", None, "a", "a", "a"]
    hows = [row.how for row in place.journal.rows]
    # the fourth was drawn at random of all without a label, the last of some of them
    assert hows == ["key", "not sure", "key", "control", "key"]


def test_on_a_full_disk_the_page_says_so_and_saves_once_there_is_space(place):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with place.browse() as page:
        add_labels(page, "a")
        resource.setrlimit(resource.RLIMIT_FSIZE, (place.journal._size + 9, before[1]))
        try:
            page.press("1")
            page.wait("at('problem').textContent.includes('File too large')")
            assert page.run("at('saved').textContent") == "1 not saved yet"
            assert page.run("state.given") == 1 == len(place.labels)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        page.wait("at('problem').hidden && state.given === 2")
    assert place.labels == ["a", "a"]


def test_a_server_that_has_ended_is_named_and_done_ends_it(place):
    with place.browse() as page:
        add_labels(page, "a")
        page.press("u")
        page.press("1")
        page.wait("state.given === 2 && !waiting.length")
        page.click("#done")
        page.wait("document.body.innerText.includes('Done: 1 image labelled, 3 rows with')")
        assert place.server.over.wait(5)
    with place.browse() as page:
        place.server.stop()
        page.press("1")
        page.wait("at('problem').textContent.includes('the server does not answer')")
        assert page.run("waiting.length") == 1
        page.run("waiting.length = 0, 0")  # else the browser asks whether to leave
    assert place.labels == ["a", None, "a"]


NAMELESS = """
[...document.querySelectorAll('button, input, select, img, svg[role]')].filter(one =>
    one.checkVisibility() && !(one.getAttribute('aria-label') || one.alt || one.textContent.trim()
    || one.closest('label') || one.title || one.querySelector('img[alt]')))
    .map(one => one.outerHTML)
"""


@pytest.mark.parametrize(
    ("view", "dark"),
    [
        ("single", False),
        ("single", True),
        ("timeline", True),
        ("grid", False),
        ("map", True),
        ("regions", False),
    ],
)
def test_on_a_phone_everything_fits_and_has_a_name(place, tmp_path, dark, view):
    with place.browse(size=(360, 740), dark=dark) as page:
        add_labels(page, "no package", "package", "a much longer label than these")
        if view == "timeline":
            page.press("t")
            page.wait("frames.sha256.length > 0")
        elif view == "regions":
            page.click("#tab-regions")
            page.wait("!!area.image")
        elif view != "single":
            write_features(place.sitting)
            page.click(f"#tab-{view}")
            page.wait("group.stacks.length > 0 || (plane.points.length > 0 && !plane.making)", 60)
        assert page.run("document.documentElement.scrollWidth") == 360
        assert page.run("document.documentElement.scrollHeight") <= 740
        assert page.run(NAMELESS) == []
        small = "[...document.querySelectorAll('footer button')].filter(b => b.offsetHeight && "
        assert page.run(small + "(b.offsetHeight < 40 || b.offsetWidth < 40)).length") == 0
        background = page.run("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(18, 22, 21)") == dark
        page.shot(tmp_path / "phone.png")


def test_the_top_is_one_line_however_much_it_says(place):
    with place.browse(size=(1200, 700)) as page:
        add_labels(page, "no package", "package")
        height = page.run("document.querySelector('header').offsetHeight")
        page.run("for (const id of ['title', 'progress', 'right', 'saved']) at(id).textContent = "
                 "'proposals right: 1,234 of 5,678'")  # fmt: skip
        assert page.run("document.querySelector('header').offsetHeight") == height < 60
        assert page.run("at('done').getBoundingClientRect().right") <= 1200
        assert page.run("document.documentElement.scrollWidth") == 1200


def test_a_day_of_thirty_changes_is_labelled_in_sixty_actions(tmp_path):
    frames = list(busy_day())
    truth = ["package" if label == "1" else "no package" for _, _, label in frames]
    changes = [n for n in range(1, len(truth)) if truth[n] != truth[n - 1]]
    assert len(changes) >= 30
    place, actions = Place(tmp_path, [frame[:2] for frame in frames]), 0
    keys = {"no package": "1", "package": "2"}
    try:
        with place.browse() as page:
            add_labels(page, "no package", "package")
            page.press("u")
            page.press("u")
            page.press("t")
            page.wait("frames.sha256.length > 0 && state.unlabelled === state.images")
            while (at := page.run("[...segment(), frames.label[cursor]]"))[2] is None:
                first, end, _ = at
                state = truth[first]
                wrong = next((n for n in range(first, end) if truth[n] != state), None)
                if wrong is not None:  # a change that no mark proposes
                    page.click_at(*_on_the_curve(page, wrong, len(truth)))
                    assert page.run("cursor") == wrong
                    actions += 1
                page.press(keys[state], shift=wrong is not None)
                actions += 1
            page.wait("!waiting.length")
    finally:
        place.end()
    labels = {row.sha256: row.label for row in place.journal.rows}
    hashes = [name.decode() for name in place.sitting.state.images.sha256]
    assert [labels[sha256] for sha256 in hashes] == truth
    print(f"{len(changes)} changes of {len(truth)} frames in {actions} actions")
    assert actions <= 60


def _on_the_curve(page, frame: int, frames: int) -> tuple[float, float]:
    x, y, width, height = page.run(
        "(b => [b.x, b.y, b.width, b.height])(at('curves').getBoundingClientRect())"
    )
    return x + 4 + (frame + 0.5) / frames * (width - 8), y + height / 2
