"""Erase: remove images wherever the project keeps them, and keep them from coming back."""

import re
from datetime import UTC, date, datetime

from pydantic import Field, field_validator

from edge.protocol.erased import Rule
from steps.erasure.erasure import erase as erase_everywhere
from steps.errors import UserError
from steps.pipeline.outputs import EraseOutputs
from steps.pipeline.step import Step, StepRun
from steps.reports.erase import fill_report
from steps.settings.parameters import StepParameters

GIVE = (
    "say which images: pass -P sha256=<hash>, -P device=<ID>, -P day=<YYYY-MM-DD>, "
    "-P before=<YYYY-MM-DD>, or several of them, which all have to hold"
)


class Parameters(StepParameters):
    """Erase images: files, rows of all versions, caches, thumbnails, reference images.

    Older versions of the tables that have one of them can no longer be read afterwards."""

    sha256: str = Field("", description="hashes of images, with commas between")
    device: str = Field("", description="ID of the device that took them")
    day: str = Field("", description="on which they were taken, UTC, as in 2026-07-13")
    before: str = Field("", description="day before which they were taken, UTC")
    dry_run: bool = Field(False, description="only show what would be erased")

    @field_validator("day", "before")
    @classmethod
    def _is_day(cls, text: str) -> str:
        try:
            return date.fromisoformat(text).isoformat() if text else ""
        except ValueError:
            raise ValueError(f"{text!r} is not a day, such as 2026-07-13") from None

    @field_validator("sha256")
    @classmethod
    def _are_hashes(cls, text: str) -> str:
        text = text.lower()
        if not re.fullmatch(r"([0-9a-f]{64}(,|$))*", text):
            raise ValueError("a SHA-256 has 64 hexadecimal digits; pass some with commas between")
        return text


def erase(run: StepRun, parameters: Parameters) -> EraseOutputs:
    """Erase what all given parameters mean, and what an interrupted erasure left."""
    hashes = tuple(filter(None, parameters.sha256.split(",")))
    if not (hashes or parameters.device or parameters.day or parameters.before):
        raise UserError(GIVE)
    rule = Rule(
        asked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sha256=hashes,
        device=parameters.device or None,
        day=parameters.day or None,
        before=parameters.before or None,
    )
    images, removed = erase_everywhere(run.profile, run.id, rule, parameters.dry_run)
    verb = "would be" if parameters.dry_run else "are"
    line = f"{images} images {verb} erased"
    outputs = EraseOutputs(line=line, images=images, removed=removed)
    fill_report(run.report, outputs)
    if parameters.dry_run:
        run.report.next_command = run.commands.rerun(dry_run="")
    return outputs


STEP = Step.of(erase, settings=("lake",), needs_space=False)

if __name__ == "__main__":
    STEP.main()
