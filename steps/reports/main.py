"""What the report of a pipeline run shows: a graph of the steps, and a table of their runs."""

from html import escape

from steps.pipeline.outputs import StepDone
from steps.pipeline.pipeline_state import kind, time_of, what_was_done
from steps.pipeline.report import Report, run_address, run_link

WIDTH, HEIGHT, GAP = 118, 66, 26
"""Of a step's box and between two, in pixels."""


def fill_report(report: Report, done: list[StepDone]) -> None:
    """The pipeline as a graph, and a table of its runs."""
    kinds = [kind(step)[0] for step in done]
    report.headline("steps run", kinds.count("ran") + kinds.count("failed"))
    report.headline("steps reused", kinds.count("reused"))
    if waiting := kinds.count("waits"):
        report.headline("steps that would run", waiting)
    ran = [step for step in done if not step.reused]
    report.headline("seconds in steps that ran", round(sum(step.seconds for step in ran)))
    report.drawing(
        "The pipeline",
        draw(done),
        "A dashed box was reused, with the seconds that it took when it ran.",
    )
    report.table(
        "Steps",
        ["step", "seconds", "what was done", "run"],
        [
            [step.step, round(step.seconds, 1), what_was_done(step), run_link(step.run_id)]
            for step in done
        ],
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
        f'<svg class="pipeline" viewBox="0 0 {width} {HEIGHT + 2}" width="{width}" role="img" '
        f'aria-label="the steps in their order"><defs><marker id="tip" viewBox="0 0 8 8" refX="6" '
        'refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/>'
        f"</marker></defs>{''.join(boxes)}</svg>"
    )


def _left(place: int) -> int:
    return 1 + place * (WIDTH + GAP)


def _box(step: StepDone, left: int) -> str:
    box_class, what = kind(step)
    middle = left + WIDTH / 2
    box = (
        f'<g class="{box_class}"><title>{escape(what_was_done(step))}</title>'
        f'<rect x="{left}" y="1" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text class="name" x="{middle}" y="24">{escape(step.step)}</text>'
        f'<text x="{middle}" y="42">{time_of(step)}</text>'
        f'<text class="what" x="{middle}" y="58">{what}</text></g>'
    )
    address = run_address(step.run_id) if step.run_id else ""
    return f'<a href="{escape(address)}" target="_blank">{box}</a>' if address else box
