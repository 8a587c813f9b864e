"""How a run of the whole chain is shown: as lines, as a table, and as a picture."""

from typing import TYPE_CHECKING

from steps.tracking.card import Card
from steps.tracking.outputs import StepDone

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REUSED, RAN, WAITS = "#8a97a6", "#0b6bcb", "#c98a1b"


def says(run_id: str | None, reason: str) -> str:
    """What is done with a step: ``reuse run …`` or ``run, because …``."""
    return f"reuse run {run_id}" if run_id else f"run, because {reason}"


def lines(done: list[StepDone]) -> list[str]:
    """The chain as a terminal shows it, a line a step."""
    return [
        f"{step.step:8}  {step.seconds:6.0f} s  {step.run_id or '-':32}  {_what(step)}"
        for step in done
    ]


def fill_card(card: Card, done: list[StepDone]) -> None:
    """The chain as a picture, and a table of its runs."""
    card.headline("steps run", sum(not step.reused for step in done))
    card.headline("steps reused", sum(step.reused for step in done))
    card.plot("The chain", draw(done), "Grey: reused, with the seconds that it took when it ran.")
    card.table(
        "Steps",
        ["step", "seconds", "run", "what was done"],
        [[step.step, round(step.seconds, 1), step.run_id, _what(step)] for step in done],
    )


def draw(done: list[StepDone]) -> "Figure":
    """A box a step, in their order, with its time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.1))
    axes = figure.subplots()
    for place, step in enumerate(done):
        colour = REUSED if step.reused else RAN if step.run_id else WAITS
        box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": "none"}
        text = f"{step.step}\n{step.seconds:.0f} s" if step.run_id else f"{step.step}\nwould run"
        axes.text(place, 0, text, ha="center", va="center", color="white", fontsize=9, bbox=box)
        if place:
            arrow = {"arrowstyle": "->", "color": REUSED}
            axes.annotate("", (place - 0.36, 0), (place - 0.64, 0), arrowprops=arrow)
    axes.set_xlim(-0.6, max(5.6, len(done) - 0.4))
    axes.set_ylim(-1, 1)
    axes.axis("off")
    return figure


def _what(step: StepDone) -> str:
    return "reused" if step.reused else f"run, because {step.reason}"
