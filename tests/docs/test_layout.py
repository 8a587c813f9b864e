"""The README's layout names every file of the code, in its room."""

import re
from pathlib import Path

import pytest

from steps.settings.profile import PROJECT

LAYOUT = (PROJECT / "README.md").read_text().partition("## Layout\n")[2].split("```")[1]


def _rooms() -> dict[str, str]:
    """Return what the layout says of each room, by its folder."""
    rooms: dict[str, str] = {}
    tree = room = ""
    for line in LAYOUT.splitlines():
        if name := re.match(r"(  )?(\w+)/ ", line):
            tree = tree if name[1] else name[2]
            room = f"{tree}/{name[2]}" if name[1] else tree
            rooms[room] = ""
        elif not line.startswith(" "):
            room = ""
        if room:
            rooms[room] += line
    return rooms


def _is_named_by_its_step(path: Path) -> bool:
    return path.parent == Path("steps/reports") and (PROJECT / "steps" / path.name).exists()


FILES = sorted(
    path.relative_to(PROJECT)
    for tree in ("steps", "edge")
    for path in (PROJECT / tree).rglob("*.py")
    if not path.stem.startswith("__") and not _is_named_by_its_step(path.relative_to(PROJECT))
)


def _room(path: Path) -> str:
    return "/".join(path.parts[:2][: len(path.parts) - 1])


def test_the_layout_names_no_room_that_is_gone():
    rooms = {room for room in _rooms() if room.startswith(("steps", "edge"))}
    assert rooms == {_room(path) for path in FILES} | {"edge"}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_layout_names_each_file_in_its_room(path):
    assert re.search(rf"\b{path.stem}\b", _rooms()[_room(path)].partition("/ ")[2])
