"""What the report of a pipeline run shows: a graph of the steps, and a table of their runs."""

from steps.pipeline.pipeline_state import StepDone
from steps.pipeline.report import Report, run_link, template


def fill_report(report: Report, done: list[StepDone]) -> None:
    """Add the pipeline as a graph, and a table of its runs."""
    outcomes = [step.outcome for step in done]
    report.headline("steps run", outcomes.count("ran") + outcomes.count("failed"))
    report.headline("steps reused", outcomes.count("reused"))
    if waiting := outcomes.count("would run"):
        report.headline("steps that would run", waiting)
    ran = [step for step in done if not step.reused]
    report.headline("seconds in steps that ran", round(sum(step.seconds for step in ran)))
    text = "A dashed box is a step that was reused, with the seconds that it took when it ran."
    report.drawing("The pipeline", draw(done), text)
    rows = [[s.step, round(s.seconds, 1), s.description, run_link(s.run_id)] for s in done]
    report.table("Steps", ["step", "seconds", "what was done", "run"], rows)


def draw(done: list[StepDone]) -> str:
    """Return an SVG with a box per step: its name, time, outcome, and a link to its run."""
    return template("reports/main.svg.j2").render(done=done)
