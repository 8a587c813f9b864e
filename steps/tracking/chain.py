"""How a run of the whole chain is shown: as lines, as a graph, and as a table."""

from html import escape

import mlflow
from mlflow.exceptions import MlflowException

from steps.tracking.card import Card, run_address, run_link
from steps.tracking.outputs import Outputs, StepDone
from steps.tracking.runs import newest_nested

CHAIN_FILE = "chain.json"
"""What a run of the chain leaves that did not finish; one that did has it in ``outputs.json``."""

WIDTH, HEIGHT, GAP = 118, 66, 26
"""Of a step's box and between two, in pixels."""


class Unfinished(Outputs):
    """The steps up to where the chain ended, and the command that goes on from there."""

    steps: list[StepDone]
    next_command: str


def keep_unfinished(done: list[StepDone], next_command: str) -> None:
    """Leave what the active run came to, in a file that makes it no finished run."""
    left = Unfinished(steps=done, next_command=next_command)
    mlflow.log_text(left.model_dump_json(indent=2), CHAIN_FILE)


def read_unfinished(run_id: str) -> Unfinished | None:
    """What a run came to that did not finish; None where it left nothing of it."""
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{CHAIN_FILE}")
        return Unfinished.model_validate_json(text)
    except (MlflowException, OSError, ValueError):
        return None


def failed(step: StepDone) -> StepDone:
    """A step that failed or was stopped below the active run: its run, after how long, and why."""
    run = newest_nested(step.step)
    if run is None:
        return step.model_copy(update={"failed": True, "reason": "it did not start"})
    stopped = run.info.status == "KILLED"
    why = run.data.tags.get("failure", "it was stopped" if stopped else "see the card of its run")
    seconds = ((run.info.end_time or run.info.start_time) - run.info.start_time) / 1000
    came_to = {"failed": True, "run_id": run.info.run_id, "reason": why, "seconds": seconds}
    return step.model_copy(update=came_to)


def says(run_id: str | None, reason: str) -> str:
    """What is done with a step: ``reuse run …`` or ``run, because …``."""
    return f"reuse run {run_id}" if run_id else f"run, because {reason}"


def lines(done: list[StepDone]) -> list[str]:
    """The chain as a terminal shows it, a line a step."""
    return [
        f"{step.step:8}  {_time(step):>8}  {step.run_id or '–':32}  {_what(step)}" for step in done
    ]


def fill_card(card: Card, done: list[StepDone]) -> None:
    """The chain as a graph, and a table of its runs."""
    kinds = [_kind(step)[0] for step in done]
    card.headline("steps run", kinds.count("ran") + kinds.count("failed"))
    card.headline("steps reused", kinds.count("reused"))
    if waiting := kinds.count("waits"):
        card.headline("steps that would run", waiting)
    ran = [step for step in done if not step.reused]
    card.headline("seconds in steps that ran", round(sum(step.seconds for step in ran)))
    card.drawing(
        "The chain",
        draw(done),
        "A dashed box was reused, with the seconds that it took when it ran.",
    )
    card.table(
        "Steps",
        ["step", "seconds", "what was done", "run"],
        [[step.step, round(step.seconds, 1), _what(step), run_link(step.run_id)] for step in done],
    )


def draw(done: list[StepDone]) -> str:
    """SVG with a box a step, in their order: its name, its time, what was done, and its run."""
    boxes = [
        f'<path class="arrow" d="M{_left(place) - GAP + 3} {HEIGHT / 2} h{GAP - 8}"/>'
        for place in range(1, len(done))
    ]
    boxes += [_box(step, _left(place)) for place, step in enumerate(done)]
    width = _left(len(done)) - GAP + 2
    return (
        f'<svg class="chain" viewBox="0 0 {width} {HEIGHT + 2}" width="{width}" role="img" '
        f'aria-label="the steps in their order"><defs><marker id="tip" viewBox="0 0 8 8" refX="6" '
        'refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/>'
        f"</marker></defs>{''.join(boxes)}</svg>"
    )


def _left(place: int) -> int:
    return 1 + place * (WIDTH + GAP)


def _box(step: StepDone, left: int) -> str:
    kind, what = _kind(step)
    middle = left + WIDTH / 2
    box = (
        f'<g class="{kind}"><title>{escape(_what(step))}</title>'
        f'<rect x="{left}" y="1" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text class="name" x="{middle}" y="24">{escape(step.step)}</text>'
        f'<text x="{middle}" y="42">{_time(step)}</text>'
        f'<text class="what" x="{middle}" y="58">{what}</text></g>'
    )
    address = run_address(step.run_id) if step.run_id else ""
    return f'<a href="{escape(address)}" target="_blank">{box}</a>' if address else box


def _kind(step: StepDone) -> tuple[str, str]:
    """The class of a step's box, and the word in it."""
    if step.failed:
        return "failed", "failed"
    if step.reused:
        return "reused", "reused"
    return ("ran", "ran") if step.run_id else ("waits", "would run")


def _time(step: StepDone) -> str:
    return f"{step.seconds:.0f} s" if step.seconds else "–"


def _what(step: StepDone) -> str:
    if step.failed:
        return f"failed: {step.reason}"
    if step.reused:
        return "reused"
    return f"{'run' if step.run_id else 'would run'}, because {step.reason}"
