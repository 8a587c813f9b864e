"""Takes each sync and each rename out of a recording, and looks for a start that then fails.

Without a rename, the program would have written under the final name. A mutation is redundant if
no state is new without it on either model, or if :data:`HARMLESS` says why a new one does no harm.
"""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.crash_disk import MODELS, Disk, NotThereError, Tree, digest
from benchmarks.crash_recorder import Operation

STATES = 600
"""Tried on each model, at most, before a mutation counts as unnoticed."""

AFTERWARDS = 12
"""Operations after a rename at which the power is cut too."""

NOTICED, REDUNDANT, UNNOTICED = "noticed", "redundant", "unnoticed"

HARMLESS = {
    ("make_folder", "_locked", "updater.py:check"): (
        "the pinned key is synced into the same folder next; an unsigned device pins none"
    ),
    ("sync_folder", "add_failure", "_roll_back"): "the link moves in the same folder and is synced",
    ("sync_folder", "home.py:save < edge/update/probation.py:_roll_back"): (
        "the link names the release before: no probation of it, and none to go back to from it"
    ),
    ("sync_folder", "forget_failures"): (
        "one attempt of three stays counted, and the next change of the state syncs the folder"
    ),
    ("sync_folder", "probation.py:recover"): "one start of three is not counted",
    ("sync_folder", "probation.py:commit"): "the next frames confirm the release again",
    ("rename edge/update/switch.py:activate",): (
        "nothing names the folder before all in it is synced"
    ),
    ("replace edge/update/switch.py:activate",): (
        "until it is repaired, the release is damaged; the rename is for those who read it then"
    ),
    ("replace", "home.py:switch", "_roll_back"): (
        "without the link, the release is loaded that the link is about to name"
    ),
    ("home.py:discard",): (
        "the next update removes what is left; the name is for a folder that this user may not "
        "remove"
    ),
    ("belong_to (rename)",): "the log is empty when this file is written",
    (
        "sync_folder",
        "belong_to",
    ): "the next folder that is made here is synced with it",
    ("write_atomically", "arrivals.py:_mark"): (
        "work that is done is done again; no start here has files that were erased since"
    ),
    ("sync_folder", "arrivals.py:_id"): (
        "the chunk whose name ends with it is synced into the same folder next"
    ),
}
"""Why no state without it does harm, by parts of the site's name."""

Start = Callable[[Tree, list[str]], str]
"""Starts on a state, given what was acknowledged; returns what is wrong, or nothing."""


class Result(NamedTuple):
    """What the absence of a sync or rename does.

    Attributes:
        site: the place in the code, and the kind of operation.
        what: noticed, redundant or unnoticed.
        how: the fault, or why there is none.
    """

    site: str
    what: str
    how: str


def sites(operations: list[Operation]) -> dict[str, list[int]]:
    """Return the operations of each place in the code that syncs or renames."""
    found: dict[str, list[int]] = {}
    for number, operation in enumerate(operations):
        if operation.kind == "site":
            kinds, at = ("sync", "sync_all", "rename", "link"), number + 1
            if operation.path.startswith("sqlite"):
                at = _commit_sync(operations, at) if "durable" in operation.path else 0
            if 0 < at < len(operations) and operations[at].kind in kinds:
                found.setdefault(f"{operation.path} ({operations[at].kind})", []).append(at)
    return found


def _commit_sync(operations: list[Operation], begin: int) -> int:
    """Return the sync with which a transaction of SQLite ends, before a checkpoint; 0 without."""
    last = 0
    for at in range(begin, len(operations)):
        kind, path, *_ = operations[at]
        if kind in ("site", "ack") or not path.endswith("-wal"):
            break
        last = at if kind == "sync" else last
    return last


def without(operations: list[Operation], numbers: list[int]) -> list[Operation]:
    """Return the operations without some syncs or renames, of the same number."""
    changed = list(operations)
    for number in numbers:
        _, old, new, *_ = changed[number]
        if changed[number].kind in ("rename", "link"):
            if _is_hidden(new):  # it is about to be removed
                _rename_in(changed, range(number + 1, len(changed)), new, old, ("rmdir", "unlink"))
            else:
                earlier = range(number - 1, -1, -1)
                _rename_in(changed, earlier, old, new, ("create", "mkdir", "symlink"))
        changed[number] = Operation("site", "taken out")
    return changed


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _rename_in(
    operations: list[Operation], places: range, old: str, new: str, until: tuple[str, ...]
) -> None:
    """Let operations have another name, as far as the old one means the same file."""
    for at in places:
        was = operations[at]
        path, target = (
            new + name[len(old) :] if name == old or name.startswith(f"{old}/") else name
            for name in was[1:3]
        )
        is_file = was.kind == "create" and path != was.path
        operations[at] = was._replace(
            path=path, target=target, kind="renew" if is_file else was.kind
        )
        if (was.path == old and was.kind in until) or (was.target == old and was.kind == "rename"):
            return


def try_mutation(
    original: Disk, operations: list[Operation], numbers: list[int], model: str, start: Start
) -> tuple[int, str]:
    """Return the number of new states that were tried, and what is wrong with the last one."""
    changed = without(operations, numbers)
    try:
        mutant = original.like(changed, model)
    except NotThereError as error:
        return 0, f"the program needs {error} later"
    before = original.like(operations, model)
    seen: set[tuple[bytes, int]] = set()
    for cut, tree in _states(before, mutant, operations, changed):
        acknowledged = mutant.acknowledged(cut)
        if (key := (digest(tree), len(acknowledged))) in seen:
            continue
        seen.add(key)
        if fault := start(tree, acknowledged):
            return len(seen), fault
        if len(seen) == STATES:
            break
    return len(seen), ""


def _states(
    original: Disk, mutant: Disk, operations: list[Operation], changed: list[Operation]
) -> Iterator[tuple[int, Tree]]:
    """Yield (cut, state) where the mutant differs, first at what is acknowledged next."""
    random_ = random.Random(1)
    if original.units != mutant.units:  # a rename was taken out
        differing = [at for at, was in enumerate(operations) if changed[at] != was]
        cuts = {cut for at in differing for cut in range(at + 1, at + AFTERWARDS)}
        for cut in sorted(cut for cut in cuts if cut <= mutant.length):
            yield from ((cut, tree) for tree in mutant.trees(cut, random_, extra=8))
        return
    freed = {cut: mutant.freed(original, cut) for cut in range(mutant.length + 1)}
    acknowledged = {at + 1 for at, _ in mutant.acks}
    cuts = [cut for cut, units in freed.items() if units]
    for cut in sorted(cuts, key=lambda cut: (cut not in acknowledged, cut)):
        yield from ((cut, t) for t in mutant.trees_without(freed[cut], cut, random_, extra=2))


def try_mutations(
    original: Disk, operations: list[Operation], start: Start, most: int | None = None
) -> Iterator[Result]:
    """Yield what the absence of each sync and rename does.

    Args:
        original: of the recording.
        operations: of the recording.
        start: as the program starts after a power cut.
        most: tried, drawn from all; None for all.
    """
    places = list(sites(operations).items())
    for site, numbers in places if most is None else random.Random(1).sample(places, most):
        tried = 0
        for model in reversed(MODELS):
            states, fault = try_mutation(original, operations, numbers, model, start)
            tried += states
            if fault:
                yield Result(site, NOTICED, f"{model}, state {states}: {fault}")
                break
        else:
            yield _explain(site, tried)


def _explain(site: str, tried: int) -> Result:
    if not tried:
        return Result(site, REDUNDANT, "another sync follows before anything else happens")
    reasons = (why for parts, why in HARMLESS.items() if all(part in site for part in parts))
    why = next(reasons, None)
    if why is None:
        return Result(site, UNNOTICED, f"{tried} states without a fault")
    return Result(site, REDUNDANT, f"{why} ({tried} states without a fault)")
