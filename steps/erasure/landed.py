"""Images in landing zones and archives, and the list that devices read there."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from mlflow.entities import Run

from edge.inference.errors import UnreadableError
from edge.inference.region import Region
from edge.protocol.erased import ERASED, Erased
from edge.protocol.privacy import blacken_file, masks_of
from steps.atomic import write_atomically
from steps.erasure.work import Work
from steps.ingestion.file_name import parse_file_name
from steps.landing.listing import LandedFile, list_landing_zone
from steps.landing.place import display, normalize, open_place, place_exists, read
from steps.settings.profile import Profile

logger = logging.getLogger("steps")


class Places(NamedTuple):
    """Where the images of an erasure landed.

    Attributes:
        sources: landing zones that are there.
        archives: that are there.
        away: landing zones that are not there, or whose archive is not.
    """

    sources: set[str]
    archives: set[str]
    away: set[str]

    def are_away(self, files: Iterable[LandedFile]) -> bool:
        """Return whether one of the files may be in a place that is not there."""
        return any(file.path.startswith(f"{one}/") for file in files for one in self.away)


def find_places(runs: Iterable[Run]) -> Places:
    """Return the landing zones and the archives that runs of ingest named."""

    @cache
    def is_there(place: str) -> bool:
        if found := place_exists(place):
            return found
        shown = display(place)
        logger.warning("%s is not there: run this again once it is", shown)
        return False

    places = Places(set(), set(), set())
    for run in runs:
        if run.data.tags.get("step") == "ingest" and run.data.params.get("source"):
            source = normalize(run.data.params["source"])
            (places.sources if is_there(source) else places.away).add(source)
            if named := run.data.params.get("archive"):
                archive = normalize(named)
                is_known = is_there(archive)
                (places.archives if is_known else places.away).add(archive if is_known else source)
    return places


def tell_devices(sources: Iterable[str], erased: Erased) -> None:
    """Write the list into landing zones, without the hashes that its rules were found to mean."""
    text = Erased(erased.rules, frozenset(), erased.files).text()
    for place in sources:
        file = place.removeprefix("file:")
        try:
            write_atomically(f"{file}/{ERASED}", text.encode())
        except OSError as error:
            logger.warning("%s: devices that send there do not learn of this (%s)", file, error)


def erase_files(
    profile: Profile, work: Work, places: Places, dry_run: bool
) -> tuple[int, list[str]]:
    """Delete the files that hold one of the images, or are those that landed.

    Returns:
        their number, and the paths of the files that cannot be read or deleted.
    """
    known: dict[str, list[LandedFile]] = defaultdict(list)
    for file in work.files:
        known[file.path].append(file)
        for source in [one for one in places.sources if file.path.startswith(f"{one}/")]:
            for archive in places.archives:
                known[f"{archive}{file.path.removeprefix(source)}"].append(file)
    sizes = {*work.images.values(), *(file.bytes for file in work.files)}
    paths = set(known)
    for place in places.sources | places.archives:
        listed = list_landing_zone(place, may_be_empty=True).files
        paths |= {file.path for file in listed if file.bytes in sizes}
    masks, count, failed = _masks(profile, work), 0, []
    for path in sorted(paths):
        try:
            content = read(path)
            is_as_it_landed = any(_is_unchanged(path, file) for file in known.get(path, ()))
            if is_as_it_landed or not work.images.keys().isdisjoint(_hashes(content, masks)):
                if not dry_run:
                    _delete(path)
                count += 1
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue  # it is gone
        except OSError as error:
            logger.warning("%s: %s", display(path), error.strerror or error)
            failed.append(display(path))
    return count, failed


def _masks(profile: Profile, work: Work) -> set[tuple[Region, ...]]:
    """Return the privacy masks of the devices that took the images, by the names of the files."""
    masks = set()
    for path in (file.path for file in work.files if profile.privacy_masks):
        named = parse_file_name(path, path.rpartition("/")[0], profile.file_name)
        masks.add(tuple(masks_of(profile.privacy_masks, named.device_id)))
    return masks - {()}


def _hashes(content: bytes, masks: Iterable[tuple[Region, ...]]) -> Iterator[str]:
    """Yield the SHA-256 of a file, and that of what ingest keeps of it below each mask."""
    yield hashlib.sha256(content).hexdigest()
    for mask in masks:
        with suppress(UnreadableError):
            yield hashlib.sha256(blacken_file(content, mask)).hexdigest()


def _is_unchanged(path: str, landed: LandedFile) -> bool:
    """Return whether a file has the size and the time of one that landed."""
    filesystem, place = open_place(path)
    return landed.is_unchanged(filesystem.info(place))


def _delete(path: str) -> None:
    filesystem, place = open_place(path)
    filesystem.rm_file(place)
