import dataclasses
import re
from pathlib import Path

import pytest

from edge.agent.settings import Settings
from edge.cli.main import main
from edge.files.settings_file import NOT_IN_FILES, SettingsError
from edge.inference.region import Region

NUL = r'"a\u0000"'
SMALLEST = 'device = "a7"\n[landing]\nurl = "/mnt/landing"\n'
IN_STORE = (
    "device = 'a7'\nlanding.url = '{}'\nstore.folder = '/s'\n"
    "[camera]\nkind = 'folder'\nsource = '{}'\n"
)
MODEL = SMALLEST + "[model]\nname = 'x'\nserver = "
ACTION = "[actions.x]\nurl = 'hub'\n"


@pytest.fixture
def read(tmp_path):
    def read(text: str) -> Settings:
        path = tmp_path / "agent.toml"
        path.write_text(text)
        return Settings.read(path)

    return read


def test_two_settings_are_enough(read):
    settings = read(SMALLEST)
    assert (settings.device, settings.landing.url) == ("a7", "/mnt/landing")
    assert settings.model is None and settings.camera.size == (640, 480)


def test_every_setting_can_be_set(read):
    settings = read(
        'device = "a7"\nview = "gate"\n'
        '[landing]\nurl = "s3://b/l"\noptions = {anon = true}\nreport_minutes = 1\n'
        '[model]\nserver = "http://m:5000"\nname = "package-onnx"\nalias = "canary"\n'
        '[camera]\nkind = "folder"\nsource = "/in"\nsize = [1280, 720]\ncontrols = {AfMode = 0}\n'
        "privacy_masks = [[0, 0.5, 0.25, 0.5], [0, 0, 1, 0.1]]\n"
        "[capture]\nmotion = true\n[score]\nperiod_seconds = 2\n"
        '[store]\nfolder = "~/store"\n[page]\nhost = "0.0.0.0"\n'
        "[state]\nwindow = 7\n[state.labels.1]\nvotes = 4\ndwell_seconds = 0\n"
        '[actions.door]\nkind = "webhook"\nurl = "https://hub.local/x"\n'
    )
    assert settings.landing.options == {"anon": True} and settings.landing.report_minutes == 1.0
    assert settings.camera.privacy_masks == [Region(0, 0.5, 0.25, 0.5), Region(0, 0, 1, 0.1)]
    assert settings.model.alias == "canary" and settings.camera.size == (1280, 720)
    assert (settings.state.dwell_of("1"), settings.state.dwell_of("0")) == (0, 3)
    assert settings.state.labels["1"].votes == 4 and settings.actions["door"].kind == "webhook"
    assert settings.store.folder == Path("~/store").expanduser()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[landing]\nurl = 'x'\n", "missing key device in "),
        ("device = 'a'\n", "missing key landing in "),
        ("device = 'a'\n[landing]\n", "missing key landing.url in "),
        (SMALLEST + "[camera]\nkid = 'x'\n", "unknown key camera.kid in "),
        (SMALLEST + "[camera]\nkind = 'webcam'\n", "it must be one of picamera2, opencv"),
        (SMALLEST + "[camera]\nsize = [640]\n", "it must be [width, height]"),
        (SMALLEST + "[camera]\nprivacy_masks = 1\n", "it must be a list of [x, y, width, height]"),
        (SMALLEST + "[camera]\nprivacy_masks = [0, 0, 1, 1]\n", "must be a list of [x, y, width,"),
        (SMALLEST + "[camera]\nprivacy_masks = [[0.5, 0, 0.6, 1]]\n", "in fractions of the image"),
        (SMALLEST + "[camera]\nsize = [640, 4]\n", "it must be from 16 to 10000"),
        (SMALLEST + "[score]\nthreads = 1.5\n", "it must be a whole number"),
        (SMALLEST + "[score]\nmargin = 2\n", "it must be from 0 to 1"),
        (SMALLEST + "[score]\nmargin = true\n", "it must be a number"),
        (SMALLEST + "[capture]\nmotion = 1\n", "it must be true or false"),
        (SMALLEST + "[model]\nserver = 'm:5000'\nname = 'x'\n", "use an address such as"),
        (SMALLEST + "[model]\nserver = 'x://me:pw@m'\nname = 'x'\n", "is 'x://m': use an"),
        (MODEL + "'http://me:pw@[::1'\n", "model.server in "),
        (MODEL + "'http://m:x'\n", "is 'http://m:x': use an address such as"),
        (MODEL + "'http://'\n", "is 'http://': use an address such as"),
        (MODEL + "'http://a..b'\n", "is 'http://a..b': use an address such as"),
        (MODEL + "'http://m'\nalias = ' '\n", "model.alias in "),
        (MODEL.replace("x", "") + "'http://m'\n", "is '': write the registered model's name"),
        (MODEL.replace("'x'", NUL) + "'http://m'\n", "model.name in "),
        (SMALLEST.replace("/mnt/landing", ""), "is '': write a folder or an address: /mnt/landing"),
        (SMALLEST + f"options.a = [{NUL}]\n", "landing.options in "),
        (SMALLEST + f"[store]\nfolder = {NUL}\n", r"holds the character NUL (\u0000): remove it"),
        (SMALLEST + "[store]\nfolder = ' '\n", "is ' ': write a folder, such as /var/lib/"),
        (SMALLEST + "[store]\nfolder = '~nobody-here/x'\n", "it must be a path"),
        (SMALLEST + "[store]\nfolder = 3\n", "it must be a path"),
        (IN_STORE.format("/s/images", "/in"), "landing.url in "),
        (IN_STORE.format("file:///s/x/../images/zone", "/in"), "where images wait: use another"),
        (IN_STORE.format("/mnt", "/s/images/"), "camera.source in "),
        (SMALLEST + "[page]\nhost = ' '\n", "is ' ': use 127.0.0.1, or 0.0.0.0 for the whole"),
        (SMALLEST + f"[page]\nhost = {NUL}\n", "page.host in "),
        (SMALLEST + f"[page]\nhost = '{'a' * 64}'\n", "use 127.0.0.1, or 0.0.0.0 for the whole"),
        (SMALLEST + ACTION + f"kind = 'webhook'\nsecret_file = {NUL}\n", "secret_file in "),
        (SMALLEST + "[camera]\nsource = '/dev/video0'\n", "for picamera2 it is a camera's number"),
        (SMALLEST + "[camera]\nsource = '-1'\n", "for picamera2 it is a camera's number"),
        ("camera = 3\n" + SMALLEST, "camera in "),
        (SMALLEST + "[state]\nvotes = 2\n", "must add up to more than 5"),
        (SMALLEST + "[state.labels.1]\nvote = 2\n", "unknown key state.labels.1.vote in "),
        (SMALLEST + "[actions]\nx = 2\n", "actions.x in "),
        (SMALLEST + "[actions.x]\nkind = 'webhook'\n", "missing key actions.x.url in "),
        (SMALLEST + ACTION + "kind = 'mail'\n", "actions.x.kind is 'mail': it must be one of web"),
        (SMALLEST + ACTION.replace("x]", "'a b']") + "kind = 'webhook'\n", "use only letters"),
        (SMALLEST + ACTION + "kind = 'webhook'\n", "actions.x.url: it must begin with https://"),
        (
            SMALLEST + ACTION.replace("hub", "http://me:pw@hub") + "kind = 'webhook'\n",
            "x.url: user",
        ),
        (SMALLEST + ACTION.replace("hub", "http://hub..local") + "kind = 'webhook'\n", "x.url: it"),
        (SMALLEST + ACTION + "kind = 'mqtt'\ntopic = 'a/#'\n", "actions.x.topic is 'a/#': it must"),
        (SMALLEST + ACTION + "kind = 'mqtt'\ndiscovery = '+'\n", "actions.x.discovery is '+'"),
        (SMALLEST.replace("a7", "a_7"), "use only letters, digits and -"),
        (SMALLEST.replace("a7", "a" * 65), "at most 64 bytes"),
        (SMALLEST.replace("a7", ""), "device in "),
        ("device", "is not TOML"),
    ],
)
def test_an_invalid_file_is_one_line_that_names_key_and_file(tmp_path, capsys, text, message):
    path = tmp_path / "agent.toml"
    path.write_text(text)
    assert main(["run", "--config", str(path)]) == 1
    printed = capsys.readouterr().err
    assert message in printed and str(path) in printed and printed.count("\n") == 1


@pytest.mark.parametrize("url", ["/s", "/s/images-sent", "s3://s/images", "~/s/images"])
def test_the_landing_zone_may_be_beside_the_images_that_wait(read, url):
    assert read(IN_STORE.format(url, "/s/in")).landing.url == url


@pytest.mark.parametrize(
    "host", ["::", "::1", "fe80::1%eth0", "localhost", "0.0.0.0", "porch.local"]
)
def test_the_page_may_be_at_any_address_of_the_device(read, host):
    assert read(SMALLEST + f"[page]\nhost = '{host}'\n").page.host == host


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read the settings .*pass --config"):
        Settings.read(tmp_path / "none.toml")


def test_the_manual_names_every_setting():
    manual = Path("docs/device.md").read_text() + Path("docs/actions.md").read_text()
    tables = {"": Settings}
    for field in dataclasses.fields(Settings):
        kind = re.search(r"\w+Settings", str(field.type))
        if kind:
            tables[field.name] = vars(__import__("edge.agent.settings", fromlist=["_"]))[kind[0]]
    missing = [
        f"{table}.{field.name}"
        for table, kind in tables.items()
        for field in dataclasses.fields(kind)
        if f"`{field.name}`" not in manual
        and field.name not in tables
        and field.metadata != NOT_IN_FILES
    ]
    assert not missing
