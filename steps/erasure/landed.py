"""Images in landing zones and archives, and the list that devices read there."""

import hashlib
import logging
from collections.abc import Iterable
from contextlib import suppress

from mlflow.entities import Run

from edge.protocol.erased import ERASED, Erased
from steps.atomic import write_atomically
from steps.erasure.work import Work
from steps.errors import UserError
from steps.ingestion import landing
from steps.ingestion.listing import listed_time

logger = logging.getLogger("steps")


def find_places(runs: Iterable[Run]) -> tuple[set[str], set[str]]:
    """Return the landing zones and the archives that runs of ingest named, and that are there."""
    named: dict[str, set[str]] = {"source": set(), "archive": set()}
    for run in runs:
        if run.data.tags.get("step") == "ingest":
            for kind, places in named.items():
                if place := run.data.params.get(kind):
                    places.add(landing.normalize(place))
    for places in named.values():
        for place in [place for place in places if not landing.place_exists(place)]:
            logger.warning("%s is not there: nothing is erased in it", landing.display(place))
            places.discard(place)
    return named["source"], named["archive"]


def tell_devices(sources: Iterable[str], erased: Erased) -> None:
    """Write the list into landing zones, without the hashes that its rules were found to mean."""
    text = Erased(erased.rules, frozenset(), erased.files).text()
    for place in sources:
        file = place.removeprefix("file:")
        try:
            write_atomically(f"{file}/{ERASED}", text.encode())
        except OSError as error:
            logger.warning("%s: devices that send there do not learn of this (%s)", file, error)


def erase_files(work: Work, sources: set[str], archives: set[str], dry_run: bool) -> int:
    """Delete the files that hold one of the images, or are those that landed; return their number.

    Raises:
        UserError: one of them cannot be deleted.
    """
    sizes = set(work.images.values())
    known = {file.path: file for file in work.files}
    for file in work.files:
        for source in [source for source in sources if file.path.startswith(f"{source}/")]:
            known |= {f"{one}{file.path.removeprefix(source)}": file for one in archives}
    paths = set(known)
    for place in sources | archives:
        listed = landing.list_landing_zone(place, may_be_empty=True).files
        paths |= {file.path for file in listed if file.bytes in sizes}
    count = 0
    for path in sorted(paths):
        with suppress(FileNotFoundError, NotADirectoryError):
            content = landing.read(path)
            is_as_it_landed = path in known and _is_unchanged(path, known[path])
            if is_as_it_landed or hashlib.sha256(content).hexdigest() in work.images:
                count += 1
                if not dry_run:
                    _delete(path)
    return count


def _is_unchanged(path: str, landed: landing.LandedFile) -> bool:
    """Return whether a file has the size and the time of one that landed."""
    filesystem, place = landing.open_place(path)
    info = filesystem.info(place)
    seconds_apart = abs((listed_time(info) - landed.modified_at).total_seconds())
    return bool(info["size"] == landed.bytes and seconds_apart < 0.001)


def _delete(path: str) -> None:
    filesystem, place = landing.open_place(path)
    try:
        filesystem.rm_file(place)
    except PermissionError as error:
        raise UserError(
            f"{place} cannot be deleted ({error.strerror}); run this again as a user who may"
        ) from error
