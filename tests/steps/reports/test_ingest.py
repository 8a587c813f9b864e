"""The plots on the report of an ingest."""

import pandas as pd
import pytest

from steps.reports.ingest import LABELS_SHOWN, OTHERS, _merge_rare_labels, _plot_stacked


def _counts(labels: int) -> pd.DataFrame:
    """The later a label, the fewer images it has."""
    rows = [
        {"label": f"a long name {number:02}", "hour": hour, "images": 2 * labels - number}
        for number in range(labels)
        for hour in (0, 13, 23)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("labels", [1, LABELS_SHOWN, LABELS_SHOWN + 1, 60])
def test_a_plot_has_the_most_frequent_labels_and_every_image(labels):
    counts = _counts(labels)
    shown = _merge_rare_labels(counts)
    assert shown["images"].sum() == counts["images"].sum()
    names = sorted(shown["label"].unique())
    if labels <= LABELS_SHOWN:
        assert names == sorted(counts["label"].unique())
    else:
        assert names == [OTHERS, *(f"a long name {n:02}" for n in range(LABELS_SHOWN - 1))]


@pytest.mark.parametrize("labels", [2, 60])
def test_the_legend_covers_no_bar(labels):
    figure = _plot_stacked(_merge_rare_labels(_counts(labels)), "hour", range(24), "hour (UTC)")
    figure.canvas.draw()
    [axes] = figure.axes
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1


@pytest.mark.parametrize("label", ["$$", "$\\x$", "_hidden", "2 $ each"])
def test_any_folder_name_can_be_a_label(label):
    counts = pd.DataFrame([{"label": label, "hour": 3, "images": 2}])
    figure = _plot_stacked(counts, "hour", range(24), "hour (UTC)")
    figure.canvas.draw()
    [text] = figure.axes[0].get_legend().get_texts()
    assert text.get_text().strip() == label.replace("$", r"\$")
