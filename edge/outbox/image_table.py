"""The rows of the images that wait to be sent: all SQL statements about them."""

import hashlib
from dataclasses import asdict, dataclass

from edge.outbox.database import Database
from edge.outbox.moment import Moment, read_moment
from edge.outbox.reason import Reason
from edge.outbox.stamp import Stamp


@dataclass(frozen=True)
class ImageFile:
    """An image's file, as its row describes it.

    Attributes:
        file: its name in the folder of images.
        name: its name in the landing zone; None until its time is known.
        sha256: of its bytes; None until its time is known.
        bytes: their number.
    """

    file: str
    name: str | None
    sha256: str | None
    bytes: int


def image_file(file: str, name: str | None, content: bytes) -> ImageFile:
    """Describe an image's file by its names and its content."""
    digest = hashlib.sha256(content).hexdigest() if name else None
    return ImageFile(file, name, digest, len(content))


@dataclass(frozen=True)
class NamedImage:
    """An image whose time is known, so that it can be sent."""

    id: int
    file: str
    name: str
    sha256: str


@dataclass(frozen=True)
class UndatedImage:
    """An image that waits for its time: ``stamp`` is what its EXIF will say."""

    id: int
    file: str
    moment: Moment
    stamp: Stamp


class ImageTable:
    """The images that wait; every method is one transaction.

    Args:
        database: where the rows are.
    """

    def __init__(self, database: Database):
        self._database = database

    def add(
        self,
        image: ImageFile,
        reason: Reason,
        moment: Moment | None = None,
        stamp: Stamp | None = None,
    ) -> int:
        """Add an image and return its ID; an undated one needs its moment and its stamp."""
        when = moment.columns() if moment else {"wall_time": "", "uptime": 0, "boot": ""}
        kept = {"reason": reason, "rank": reason.rank, "stamp": stamp and asdict(stamp)}
        return self._database.insert("images", asdict(image) | when | kept)

    def replace_file(self, id: int, image: ImageFile) -> bool:
        """Set the file of an image; return False if the image was dropped meanwhile."""
        updated = self._database.execute(
            "UPDATE images SET file = :file, name = :name, sha256 = :sha256, bytes = :bytes "
            "WHERE id = :id",
            asdict(image) | {"id": id},
        )
        return updated.rowcount > 0

    def delete(self, ids: list[int]) -> list[str]:
        """Delete images that will not be sent; return the files of those that still waited."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE results SET image_id = NULL "
                "WHERE image_id IN (SELECT value FROM json_each(?))",
                (ids,),
            )
            # the files of this moment: an image that is dated meanwhile gets another one
            deleted = connection.execute(
                "DELETE FROM images WHERE id IN (SELECT value FROM json_each(?)) RETURNING file",
                (ids,),
            )
            return [row["file"] for row in deleted]

    def delete_sent(self, image: NamedImage, landed_as: str) -> None:
        """Delete an image that is in the landing zone; its results say under which name."""
        with self._database.transaction(durable=True) as connection:
            connection.execute(
                "UPDATE results SET file_name = ?, sha256 = ?, image_id = NULL WHERE image_id = ?",
                (landed_as, image.sha256, image.id),
            )
            connection.execute("DELETE FROM images WHERE id = ?", (image.id,))

    def next_to_send(self, failing: list[int]) -> NamedImage | None:
        """Return the oldest of the most important images, one that fails to be read last."""
        rows = self._database.rows(
            "SELECT id, file, name, sha256 FROM images WHERE name IS NOT NULL ORDER BY "
            "id IN (SELECT value FROM json_each(?)), rank DESC, id LIMIT 1",
            failing,
        )
        return NamedImage(**dict(rows[0])) if rows else None

    def named(self) -> list[NamedImage]:
        """Return all images whose time is known."""
        query = "SELECT id, file, name, sha256 FROM images WHERE name IS NOT NULL"
        return [NamedImage(**dict(row)) for row in self._database.rows(query)]

    def undated(self) -> list[UndatedImage]:
        """Return the images whose time is not known yet."""
        query = 'SELECT *, stamp AS "fields [json]" FROM images WHERE name IS NULL'
        return [
            UndatedImage(row["id"], row["file"], read_moment(row), Stamp.of(row["fields"]))
            for row in self._database.rows(query)
        ]

    def has(self, id: int) -> bool:
        """Return whether an image still waits."""
        return self._database.value("SELECT id FROM images WHERE id = ?", id) is not None

    def ids_by_file(self) -> dict[str, int]:
        """Return the ID of each file's image."""
        return dict(map(tuple, self._database.rows("SELECT file, id FROM images")))

    def sizes_up_to(self, rank: int) -> list[tuple[int, int]]:
        """Return the ID and size of each image up to a rank, in the order to drop them."""
        query = "SELECT id, bytes FROM images WHERE rank <= ? ORDER BY rank, id"
        return [(row["id"], row["bytes"]) for row in self._database.rows(query, rank)]

    def total(self, failing: list[int]) -> dict[str, int]:
        """Return how many images wait, their bytes, and how many are undated or unreadable."""
        (row,) = self._database.rows(
            "SELECT count(*) AS images, coalesce(sum(bytes), 0) AS bytes, "
            "count(*) - count(name) AS undated, count(*) FILTER "
            "(WHERE id IN (SELECT value FROM json_each(?))) AS unreadable FROM images",
            failing,
        )
        return dict(row)
