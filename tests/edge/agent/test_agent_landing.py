import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from edge.agent.landing import Landing, LandingError


class Share(MemoryFileSystem):
    """A file system on which half a file can be seen, as on a share."""

    protocol, store, pseudo_dirs = "share", {}, [""]
    seen: list[str] = []

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("share://", "memory://"))

    def pipe_file(self, path, value, **options):
        self.seen.append(path)
        super().pipe_file(path, value, **options)


@pytest.fixture(params=["folder", "memory", "share"])
def url(request, tmp_path):
    MemoryFileSystem.store.clear()
    Share.store.clear()
    fsspec.register_implementation("share", Share, clobber=True)
    return {"folder": str(tmp_path), "memory": "memory://zone", "share": "share://zone"}[
        request.param
    ]


def content_of(url: str) -> dict[str, bytes]:
    filesystem, root = fsspec.core.url_to_fs(url)
    return {
        path[len(root) :].lstrip("/"): filesystem.cat_file(path) for path in filesystem.find(root)
    }


def test_a_file_is_there_whole_and_once(url):
    landing = Landing(url)
    assert landing.put("a.jpg", b"one") == "a.jpg"
    assert landing.put("a.jpg", b"one") == "a.jpg"
    assert landing.put("results/a7/x.jsonl", b"rows") == "results/a7/x.jsonl"
    assert content_of(url) == {"a.jpg": b"one", "results/a7/x.jsonl": b"rows"}
    assert all(path.rpartition("/")[2].startswith(".") for path in Share.seen)


def test_another_picture_of_the_same_name_takes_no_ones_place(url):
    landing = Landing(url)
    landing.put("a.jpg", b"one")
    elsewhere = landing.put("a.jpg", b"two")
    assert elsewhere.startswith("again-") and elsewhere.endswith("/a.jpg")
    assert landing.put("a.jpg", b"two") == elsewhere
    assert content_of(url) == {"a.jpg": b"one", elsewhere: b"two"}


def test_a_status_takes_the_place_of_the_last_one(url):
    landing = Landing(url)
    for content in (b"one", b"two"):
        landing.put("status/a7.json", content, replace=True)
    assert content_of(url) == {"status/a7.json": b"two"}


def test_a_landing_folder_is_never_made(tmp_path):
    with pytest.raises(LandingError, match="make or mount it"):
        Landing(str(tmp_path / "away")).put("a.jpg", b"x")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_mounted_is_not_filled(tmp_path):
    with pytest.raises(LandingError, match="is not mounted"):
        Landing(str(tmp_path), mount=str(tmp_path)).put("a.jpg", b"x")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_file_system_is_named():
    with pytest.raises(LandingError, match="nosuch"):
        Landing("nosuch://bucket/x").put("a.jpg", b"x")
