"""What a disk may hold after a power cut, given the operations before it.

Operations become *units* that reach the disk or not: an entry of a folder, a piece of at most 4 KiB
of a file, a file's new size. Two models of a file system say which of them are certain:

``ordered``: ext4 with ``data=ordered``, as on a Pi. Entries and sizes are journaled: they reach the
disk in their order, and a sync of any file or folder takes all before it along. A file's bytes are
certain once it is synced, or once it was renamed over another. Other bytes may be lost: of an
appended file the end, of an overwritten one any piece.

``weak``: only what POSIX promises. A sync of a file makes its bytes and size certain, not its name;
a sync of a folder its entries. Everything else may be lost or kept by itself, in any order; a lost
piece may leave zeros, since the size was kept. A rename within a folder happens or does not.
"""

import hashlib
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.crash_recorder import Operation

PAGE = 4096
NEVER = 1 << 60
LOST, KEPT, ZEROS = 0, 1, 2
MODELS = ("ordered", "weak")
ROOT = 0


class NotThereError(LookupError):
    """An operation needs a file or folder that is not there."""


class Unit(NamedTuple):
    """What reaches the disk at once.

    Attributes:
        at: number of its operation.
        kind: enter (a name in a folder), leave, move, write or size.
        inode: the folder or file that changes.
        name, old: of the entry, and before a move.
        child: the inode that an entry names.
        data, offset: of a piece; the offset is the new size of a file.
    """

    at: int
    kind: str
    inode: int
    name: str = ""
    old: str = ""
    child: int = -1
    data: bytes = b""
    offset: int = 0


@dataclass
class Inode:
    """A folder (``entries``), a symbolic link (``link``), or a file (``content``)."""

    entries: dict[str, int] | None = None
    link: str = ""
    content: bytearray = field(default_factory=bytearray)

    def copy(self) -> "Inode":
        """Return a copy that can be changed."""
        entries = None if self.entries is None else dict(self.entries)
        return Inode(entries, self.link, bytearray(self.content))


Tree = dict[str, bytes | str | None]
"""What is on the disk, by path: bytes of a file, target of a link, None of a folder."""


class Disk:
    """The units of a recording, and the states that a power cut may leave.

    Args:
        folder: what was recorded.
        before: what it held, all of it certain.
        operations: in order.
        model: of the file system.
    """

    def __init__(self, folder: Path, before: Path, operations: Sequence[Operation], model: str):
        self._folder, self._before = folder, before
        self._root, self._is_weak = str(folder), model == "weak"
        self._inodes = [Inode(entries={})]
        self._load(ROOT, before)
        self._initial = [inode.copy() for inode in self._inodes]
        self.units: list[Unit] = []
        self._certain: list[int] = []
        self.acks: list[tuple[int, str]] = []
        self.length = len(operations)
        for at, operation in enumerate(operations):
            self._apply(at, operation)
        self._initial += [
            Inode(None if i.entries is None else {}, i.link)
            for i in self._inodes[len(self._initial) :]
        ]

    def like(self, operations: Sequence[Operation], model: str) -> "Disk":
        """Return what other operations do to the same folder."""
        return Disk(self._folder, self._before, operations, model)

    def acknowledged(self, cut: int) -> list[str]:
        """Return what the program had acknowledged before a number of operations."""
        return [text for at, text in self.acks if at < cut]

    def pending(self, cut: int) -> list[int]:
        """Return the units before a cut that are not certain."""
        return [
            number
            for number, unit in enumerate(self.units)
            if unit.at < cut and self._certain[number] >= cut
        ]

    def freed(self, original: "Disk", cut: int) -> list[int]:
        """Return the units that are certain only in the original, which has a sync more.

        None if each state that they make possible is one of an earlier cut: if nothing was done or
        acknowledged since that sync.
        """
        certain = set(original.pending(cut))
        units = [number for number in self.pending(cut) if number not in certain]
        since = min((original._certain[number] for number in units), default=cut)
        happened = [unit.at for unit in self.units] + [at for at, _ in self.acks]
        return units if any(since < at < cut for at in happened) else []

    def trees_without(
        self, units: list[int], cut: int, random_: random.Random, extra: int
    ) -> Iterator[Tree]:
        """Yield states in which units that are not certain are lost, then any others.

        Args:
            units: those of the weak model.
        """
        if self._is_weak:
            pending = self.pending(cut)
            for base in (KEPT, LOST):
                rest = dict.fromkeys(pending, base)
                for how in (LOST, ZEROS):
                    yield self._tree(cut, rest | dict.fromkeys(units, how))
                for one in units[-12:]:
                    yield self._tree(cut, rest | dict.fromkeys(units, KEPT) | {one: LOST})
                    yield self._tree(cut, rest | dict.fromkeys(units, LOST) | {one: KEPT})
        yield from self.trees(cut, random_, extra)

    def trees(self, cut: int, random_: random.Random, extra: int) -> Iterator[Tree]:
        """Yield states that a cut may leave: the extremes, each unit alone or lost, and others."""
        pending = self.pending(cut)
        if self._is_weak:
            yield from (self._tree(cut, c) for c in self._weak_choices(pending, random_, extra))
        else:
            yield from (self._tree(cut, c) for c in self._ordered_choices(pending, random_, extra))

    def _weak_choices(
        self, pending: list[int], random_: random.Random, extra: int
    ) -> Iterator[dict[int, int]]:
        yield dict.fromkeys(pending, LOST)
        yield dict.fromkeys(pending, KEPT)
        yield dict.fromkeys(pending, ZEROS)
        for number in pending[-12:]:
            yield {**dict.fromkeys(pending, KEPT), number: LOST}
            yield {**dict.fromkeys(pending, KEPT), number: ZEROS}
            yield {**dict.fromkeys(pending, LOST), number: KEPT}
        for _ in range(extra if len(pending) > 1 else 0):
            yield {number: random_.choice((LOST, KEPT, KEPT, ZEROS)) for number in pending}

    def _ordered_choices(
        self, pending: list[int], random_: random.Random, extra: int
    ) -> Iterator[dict[int, int]]:
        journaled = [n for n in pending if self.units[n].kind != "write"]
        pieces = [n for n in pending if self.units[n].kind == "write"]
        kept = range(len(journaled) + 1)
        if len(kept) > 6:
            kept = sorted({0, len(journaled), *random_.sample(kept, 5)})
        for count in kept:
            entries = {n: int(place < count) for place, n in enumerate(journaled)}
            flushed = self._flushed(journaled[:count], pieces)
            yield entries | {n: int(n in flushed) for n in pieces}
            yield entries | dict.fromkeys(pieces, KEPT)
            for _ in range(extra if pieces else 0):
                ends = {self.units[n].inode: random_.choice(pieces) for n in pieces}
                yield entries | {
                    n: int(n in flushed or n <= ends[self.units[n].inode]) for n in pieces
                }

    def _flushed(self, journaled: list[int], pieces: list[int]) -> set[int]:
        """Return the pieces of files that the kept renames put in the place of others."""
        moves = {self.units[n].child: n for n in journaled if self.units[n].kind == "move over"}
        return {number for number in pieces if number < moves.get(self.units[number].inode, -1)}

    def _tree(self, cut: int, choice: dict[int, int]) -> Tree:
        inodes = {number: inode.copy() for number, inode in enumerate(self._initial)}
        for number, unit in enumerate(self.units):
            if unit.at >= cut:
                break
            if how := choice.get(number, KEPT):
                _reach(inodes, unit, how)
        tree: Tree = {}
        _walk(inodes, ROOT, "", tree)
        return tree

    # what the operations mean

    def _apply(self, at: int, operation: Operation) -> None:
        kind = operation.kind
        if kind == "ack":
            self.acks.append((at, operation.path))
        elif kind == "sync_all":
            self._sync(at, -1)
        elif kind == "sync":
            if (inode := self._find(operation.path)) is not None:
                self._sync(at, inode)
        elif kind != "site":
            getattr(self, f"_{kind}")(at, operation)

    def _sync(self, at: int, inode: int) -> None:
        """Make certain what a sync of a file or folder, or of all (-1), makes certain."""
        pending = [n for n, certain in enumerate(self._certain) if certain == NEVER]
        pieces = [n for n in pending if self.units[n].kind == "write"]
        taken = {n for n in pending if inode in (-1, self.units[n].inode)}
        if not self._is_weak:
            journaled = [n for n in pending if self.units[n].kind != "write"]
            taken |= {*journaled, *self._flushed(journaled, pieces)}
        for number in taken:
            self._certain[number] = at

    def _add(self, unit: Unit) -> None:
        self.units.append(unit)
        self._certain.append(NEVER)
        _reach(dict(enumerate(self._inodes)), unit, KEPT)

    def _place(self, path: str) -> tuple[int, str]:
        folder, name = path.rsplit("/", 1)
        return self._require(folder), name

    def _require(self, path: str) -> int:
        """Return what an operation needs: without it, the program would have failed there."""
        inode = self._find(path)
        if inode is None:
            raise NotThereError(path)
        return inode

    def _find(self, path: str) -> int | None:
        inode = ROOT
        for name in Path(path).relative_to(self._root).parts:
            entries = self._inodes[inode].entries
            if entries is None or name not in entries:
                return None
            inode = entries[name]
        return inode

    def _new(self, inode: Inode) -> int:
        self._inodes.append(inode)
        return len(self._inodes) - 1

    def _create(self, at: int, operation: Operation) -> None:
        if self._find(operation.path) is None:
            folder, name = self._place(operation.path)
            self._add(Unit(at, "enter", folder, name, child=self._new(Inode())))

    def _renew(self, at: int, operation: Operation) -> None:
        """Create a file, or empty the one that is there: a mutant writes in place."""
        if (inode := self._find(operation.path)) is None:
            self._create(at, operation)
        elif self._inodes[inode].content:
            self._add(Unit(at, "size", inode))

    def _mkdir(self, at: int, operation: Operation) -> None:
        if self._find(operation.path) is not None:
            return
        folder, name = self._place(operation.path)
        self._add(Unit(at, "enter", folder, name, child=self._new(Inode(entries={}))))

    def _symlink(self, at: int, operation: Operation) -> None:
        folder, name = self._place(operation.path)
        if self._find(operation.path) is not None:
            self._add(Unit(at, "leave", folder, name))
        child = self._new(Inode(link=operation.target))
        self._add(Unit(at, "enter", folder, name, child=child))

    def _link(self, at: int, operation: Operation) -> None:
        folder, name = self._place(operation.target)
        self._add(Unit(at, "enter", folder, name, child=self._require(operation.path)))

    def _unlink(self, at: int, operation: Operation) -> None:
        folder, name = self._place(operation.path)
        self._add(Unit(at, "leave", folder, name))

    _rmdir = _unlink

    def _rename(self, at: int, operation: Operation) -> None:
        (source, old), (folder, name) = self._place(operation.path), self._place(operation.target)
        child = self._require(operation.path)
        is_over = self._find(operation.target) is not None
        if source == folder:
            kind = "move over" if is_over else "move"
            self._add(Unit(at, kind, folder, name, old, child))
        else:
            self._add(Unit(at, "enter", folder, name, child=child))
            self._add(Unit(at, "leave", source, old))

    def _write(self, at: int, operation: Operation) -> None:
        inode = self._find(operation.path)
        if inode is None:  # a file that was deleted while it is open
            return
        offset = operation.offset if operation.offset >= 0 else len(self._inodes[inode].content)
        end = offset + len(operation.data)
        start = offset
        while start < end:
            stop = min(end, (start // PAGE + 1) * PAGE)
            data = operation.data[start - offset : stop - offset]
            self._add(Unit(at, "write", inode, data=data, offset=start))
            start = stop

    def _truncate(self, at: int, operation: Operation) -> None:
        inode = self._find(operation.path)
        if inode is not None and len(self._inodes[inode].content) != operation.offset:
            self._add(Unit(at, "size", inode, offset=operation.offset))

    def _load(self, inode: int, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            if path.is_symlink():
                child = self._new(Inode(link=str(path.readlink())))
            elif path.is_dir():
                child = self._new(Inode(entries={}))
                self._load(child, path)
            else:
                child = self._new(Inode(content=bytearray(path.read_bytes())))
            entries = self._inodes[inode].entries
            assert entries is not None
            entries[path.name] = child


def _reach(inodes: dict[int, Inode], unit: Unit, how: int) -> None:
    """Let a unit reach the disk."""
    inode = inodes[unit.inode]
    if inode.entries is not None:
        if unit.kind != "enter":
            inode.entries.pop(unit.old or unit.name, None)
        if unit.kind != "leave":
            inode.entries[unit.name] = unit.child
    elif unit.kind == "size":
        size, content = unit.offset, inode.content
        inode.content = content[:size].ljust(size, b"\0")
    else:
        end = unit.offset + len(unit.data)
        is_new = end > len(inode.content)
        if is_new:
            inode.content.extend(bytes(end - len(inode.content)))
        if how == KEPT:
            inode.content[unit.offset : end] = unit.data


def _walk(inodes: dict[int, Inode], number: int, path: str, tree: Tree) -> None:
    for name, child in sorted((inodes[number].entries or {}).items()):
        inode, place = inodes[child], f"{path}/{name}"
        if inode.entries is not None:
            tree[place] = None
            _walk(inodes, child, place, tree)
        else:
            tree[place] = inode.link or bytes(inode.content)


def digest(tree: Tree) -> bytes:
    """Return a hash of a state."""
    sha = hashlib.sha256()
    for path, content in tree.items():
        sha.update(repr((path, content)).encode())
    return sha.digest()


def write_tree(tree: Tree, folder: Path) -> None:
    """Write a state into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, content in tree.items():
        place = folder / path[1:]
        if content is None:
            place.mkdir()
        elif isinstance(content, str):
            place.symlink_to(content)
        else:
            place.write_bytes(content)
