"""What the report of a pipeline run shows: a graph of the steps, and a table of their runs."""

from html import escape

from steps.pipeline.outputs import StepDone
from steps.pipeline.pipeline_state import describe_step, format_seconds
from steps.pipeline.report import Report, run_address, run_link

WIDTH, HEIGHT, GAP = 118, 66, 26
"""Of a step's box, and between two boxes, in pixels."""


def fill_report(report: Report, done: list[StepDone]) -> None:
    """Add the pipeline as a graph, and a table of its runs."""
    outcomes = [_outcome(step)[0] for step in done]
    report.headline("steps run", outcomes.count("ran") + outcomes.count("failed"))
    report.headline("steps reused", outcomes.count("reused"))
    if waiting := outcomes.count("waits"):
        report.headline("steps that would run", waiting)
    ran = [step for step in done if not step.reused]
    report.headline("seconds in steps that ran", round(sum(step.seconds for step in ran)))
    text = "A dashed box is a step that was reused, with the seconds that it took when it ran."
    report.drawing("The pipeline", draw(done), text)
    rows = [[s.step, round(s.seconds, 1), describe_step(s), run_link(s.run_id)] for s in done]
    report.table("Steps", ["step", "seconds", "what was done", "run"], rows)


def draw(done: list[StepDone]) -> str:
    """Return an SVG with a box per step: its name, time, outcome, and a link to its run."""
    boxes = [
        f'<path class="arrow" d="M{_left(place) - GAP + 3} {HEIGHT / 2} h{GAP - 8}"/>'
        for place in range(1, len(done))
    ]
    boxes += [_box(step, _left(place)) for place, step in enumerate(done)]
    width = _left(len(done)) - GAP + 2
    return (
        f'<svg class="pipeline" viewBox="0 0 {width} {HEIGHT + 2}" width="{width}" role="img" '
        f'aria-label="the steps in their order"><defs><marker id="tip" viewBox="0 0 8 8" refX="6" '
        'refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/>'
        f"</marker></defs>{''.join(boxes)}</svg>"
    )


def _left(place: int) -> int:
    return 1 + place * (WIDTH + GAP)


def _outcome(step: StepDone) -> tuple[str, str]:
    """Return the class of a step's box, and the word in it."""
    if step.failed:
        return "failed", "failed"
    if step.reused:
        return "reused", "reused"
    return ("ran", "ran") if step.run_id else ("waits", "would run")


def _box(step: StepDone, left: int) -> str:
    box_class, what = _outcome(step)
    middle = left + WIDTH / 2
    box = (
        f'<g class="{box_class}"><title>{escape(describe_step(step))}</title>'
        f'<rect x="{left}" y="1" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text class="name" x="{middle}" y="24">{escape(step.step)}</text>'
        f'<text x="{middle}" y="42">{format_seconds(step)}</text>'
        f'<text class="what" x="{middle}" y="58">{what}</text></g>'
    )
    address = run_address(step.run_id) if step.run_id else ""
    return f'<a href="{escape(address)}" target="_blank">{box}</a>' if address else box
