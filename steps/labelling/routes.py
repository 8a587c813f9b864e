"""The addresses of the page: what it shows, and what is done on it."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge.inference.prediction import UNSURE
from steps.errors import UserError
from steps.ingestion.label_export import format_labels, read_labels
from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import CLASSES, LABELS
from steps.labelling.commits import Commits
from steps.labelling.groups import Groups
from steps.labelling.image_content import as_shown
from steps.labelling.image_map import ImageMap
from steps.labelling.order import ORDERS, Filters, Pages, describe_image
from steps.labelling.proposals import Proposals
from steps.labelling.sitting import Press, Sitting
from steps.labelling.timeline import timeline
from steps.labelling.training import Training
from steps.lake.delta_log import DeltaLog
from steps.settings.profile import PROFILES, Area
from steps.settings.profile_file import read_profile_file, write_sections
from steps.settings.validation_errors import key_of

HERE = Path(__file__).parent
HISTORY = 30
"""Versions of the tables whose messages the page shows."""
MAX_LABEL = 200
SEEN = "\u00a0\u200d\u202f\u3000"
"""Spaces, and the joiner of emoji, that Python does not call printable."""


def _label(text: str) -> str:
    """Return a label as it is stored.

    Raises:
        ValueError: it is empty, too long, or has characters that no one can see.
    """
    label = normalize_label(text)
    if label is None or len(label) > MAX_LABEL:
        raise ValueError(
            f"a label has 1 to {MAX_LABEL} characters; shorten a longer one where it is from"
        )
    if not all(one.isprintable() or one in SEEN for one in label):
        raise ValueError("a label has no line break and no control character")
    return label


def _answer(label: str) -> str:
    """Return a label that a model may answer."""
    if label == UNSURE:
        raise ValueError(f"{UNSURE!r} is what a model answers that is not sure enough")
    return label


Label = Annotated[str, AfterValidator(_label)]
NewLabel = Annotated[Label, AfterValidator(_answer)]
"""A label that is given; another may only be there already."""


class Pressed(BaseModel):
    """A label of the page."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern="^[0-9a-f]{32}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    label: NewLabel | None
    how: Literal["key", "control", "timeline", "grid", "map", "proposal", "not sure"]
    action: str = Field(pattern="^[0-9a-f]{32}$")
    proposed_by: str | None = Field(None, max_length=MAX_LABEL)


class Labels(BaseModel):
    """What the page sends at once."""

    model_config = ConfigDict(extra="forbid")

    labels: list[Pressed] = Field(min_length=1, max_length=20_000)


class Defined(BaseModel):
    """A label that was typed."""

    label: NewLabel


class Merge(BaseModel):
    """Two labels that become one."""

    label: Label
    into: NewLabel


class Areas(BaseModel):
    """The regions and privacy masks that the page shows and draws, by device ID."""

    regions: dict[str, Area]
    privacy_masks: dict[str, list[Area]]

    @classmethod
    def of_file(cls, file: Path) -> "Areas":
        """Return those of a profile's file: without what the command line overrides.

        Raises:
            UserError: it cannot be read, or they are wrong.
        """
        values = read_profile_file(str(file), PROFILES).values
        try:
            return cls.model_validate({key: values.get(key, {}) for key in cls.model_fields})
        except ValidationError as error:
            key = key_of(error.errors()[0])
            raise UserError(f"{file}: {key} is no area; correct it in the file") from error


class Drawn(Areas):
    """Areas, and those that the page had before they were drawn."""

    before: Areas


class Hashes(BaseModel):
    """Images for which the page asks."""

    hashes: list[str] = Field(max_length=200)


def reading(sitting: Sitting) -> APIRouter:
    """Return the addresses of the page and of what it shows."""
    routes = APIRouter()

    @routes.get("/")
    def page() -> Response:
        content = (HERE / "page.html").read_bytes()
        return Response(content, media_type="text/html; charset=utf-8")

    @routes.get("/{part}.js")
    def script(part: Literal["map", "regions", "classes"]) -> Response:
        content = (HERE / f"{part}.js").read_bytes()
        return Response(content, media_type="text/javascript; charset=utf-8")

    @routes.get("/state")
    def state() -> dict[str, Any]:
        sitting.refresh()
        orders = [{"name": name, "reason": reason} for name, (reason, _) in ORDERS.items()]
        own = {"orders": orders, "profile": str(sitting.profile.file)}
        return sitting.summary() | own | dict(Areas.of_file(sitting.profile.file))

    @routes.get("/history")
    def history() -> list[dict[str, Any]]:
        tables = [DeltaLog(table.path(sitting.profile)) for table in (LABELS, CLASSES)]
        found = [message for table in tables for message in table.messages(HISTORY)]
        return sorted(found, key=lambda one: -one["at"])[:HISTORY]

    @routes.get("/labels.{kind}")
    def export(kind: Literal["csv", "json"]) -> Response:
        images = read_labels(sitting.profile, sitting.source, sitting.journal.rows)
        as_file = {"Content-Disposition": f"attachment; filename=labels.{kind}"}
        text = format_labels(images, f".{kind}").encode("utf-8", "surrogatepass")
        return Response(text, media_type="application/octet-stream", headers=as_file)

    @routes.get("/image/{sha256}/about")
    def about(sha256: str) -> dict[str, Any]:
        return describe_image(sitting, sitting.number_of(sha256))

    @routes.get("/image/{sha256}")
    def image(sha256: str, side: Annotated[int, Query(ge=0, le=4096)] = 1280) -> Response:
        content, kind = as_shown(sitting.read_image(sha256), side)
        kept = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(content, media_type=kind, headers=kept)

    return routes


def choosing(sitting: Sitting) -> APIRouter:
    """Return the addresses by which the views choose their images."""
    routes = APIRouter()
    pages, groups, places = Pages(sitting), Groups(sitting), ImageMap(sitting)
    proposals = Proposals(sitting, sitting.features)

    @routes.get("/next")
    def following(filters: Annotated[Filters, Query()]) -> dict[str, Any]:
        return pages.following(filters)

    @routes.get("/group")
    def group(filters: Annotated[Filters, Query()]) -> dict[str, Any]:
        return groups.page(filters)

    @routes.get("/map")
    def overview(filters: Annotated[Filters, Query()]) -> dict[str, Any]:
        return places.page(filters)

    @routes.post("/proposals")
    def propose(asked: Hashes) -> dict[str, Any]:
        return proposals.of(asked.hashes)

    @routes.get("/timeline")
    def frames(device: str, day: date) -> dict[str, Any]:
        return timeline(sitting, device, day)

    return routes


def naming(sitting: Sitting, commits: Commits) -> APIRouter:
    """Return the addresses that define, name and merge labels."""
    routes = APIRouter()

    @routes.post("/classes")
    def define(defined: Defined) -> dict[str, Any]:
        sitting.define(defined.label)
        return {"defined": defined.label} | sitting.summary()

    @routes.post("/names")
    def name(names: dict[Label, Label]) -> dict[str, Any]:
        commits.names(names)
        sitting.read()
        return sitting.summary()

    @routes.post("/merge")
    def merge(merged: Merge) -> dict[str, Any]:
        commits.merge(sitting.source, merged.label, merged.into, sitting.labeller)
        sitting.read()
        return sitting.summary()

    return routes


def acting(
    sitting: Sitting, commits: Commits, training: Training, end: Callable[[], None]
) -> APIRouter:
    """Return the addresses to which the page sends what is done on it."""
    routes, drawing = APIRouter(), Lock()

    @routes.post("/labels")
    def label(given: Labels) -> dict[str, Any]:
        sitting.label([Press(**one.model_dump()) for one in given.labels])
        return sitting.summary()

    @routes.post("/undo")
    def undo() -> dict[str, Any]:
        return {"undone": sitting.undo()} | sitting.summary()

    @routes.post("/done")
    def done() -> dict[str, Any]:
        answer = sitting.summary() | {
            "rows": len(sitting.journal.rows),
            "training": training.farewell(),
        }
        end()
        return answer

    @routes.post("/areas")
    def draw(drawn: Drawn) -> dict[str, Any]:
        file = sitting.profile.file
        with drawing:
            if Areas.of_file(file) != drawn.before:
                raise UserError(f"areas in {file} have changed; reload this page and draw again")
            write_sections(file, PROFILES, drawn.model_dump(mode="json", exclude={"before"}))
        return sitting.summary()

    @routes.get("/training")
    def trained() -> dict[str, Any]:
        return training.describe()

    @routes.post("/training")
    def train() -> dict[str, Any]:
        training.start(commits.labels)
        return training.describe()

    return routes
