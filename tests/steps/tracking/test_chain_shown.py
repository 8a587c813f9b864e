"""How a run of the chain is shown."""

from steps.tracking.card import Card
from steps.tracking.chain import draw, fill_card, lines
from steps.tracking.outputs import StepDone

DONE = [
    StepDone(step="ingest", run_id="1" * 32, reused=True, reason="", seconds=63.2),
    StepDone(step="tune", run_id="2" * 32, reused=False, reason="it has not run yet", seconds=9),
    StepDone(step="train", run_id="", reused=False, reason="tune runs", seconds=0),
]


def test_a_line_a_step_with_its_time_its_run_and_why():
    assert lines(DONE) == [
        f"ingest        63 s  {'1' * 32}  reused",
        f"tune           9 s  {'2' * 32}  run, because it has not run yet",
        f"train          0 s  {'-':32}  run, because tune runs",
    ]


def test_the_card_counts_and_links_each_step_to_its_run():
    card = Card("main", "0" * 32)
    fill_card(card, DONE)
    assert card.headlines == [("steps run", "2"), ("steps reused", "1")]
    assert [row[2] for row in card.sections[1].rows] == [step.run_id for step in DONE]


def test_the_picture_has_a_box_for_each_step():
    texts = [text.get_text() for text in draw(DONE).axes[0].texts if text.get_text()]
    assert texts == ["ingest\n63 s", "tune\n9 s", "train\nwould run"]
