"""The report of monitor: the fleet, each alarm with images of before and now, the accuracy."""

from datetime import UTC, datetime

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge.inference.errors import UnreadableError
from edge.inference.image import as_rgb, open_image, upright
from steps.monitoring.accuracy import Estimate
from steps.monitoring.changes import TESTS
from steps.monitoring.compared import PER_BLOCK, Compared, Comparison
from steps.monitoring.detector import FEWEST, Alarm
from steps.monitoring.findings import ONE_DAY, Findings, grouped
from steps.monitoring.fleet import Device
from steps.monitoring.unlikeness import CELLS
from steps.pipeline.report import Report
from steps.settings.profile import Monitoring

COLUMNS = 5
"""Images of before, and as many of now below them: the width of the page."""

ALARMS_SHOWN = 12
SIDE = 320
MARK = (230, 60, 60)


def fill_report(
    report: Report,
    comparison: Comparison,
    found: list[Findings],
    estimate: Estimate | None,
    settings: Monitoring,
) -> None:
    """Show the fleet, the alarms with images of before and now, and the accuracy."""
    version = comparison.version
    lasting = sum(bool(findings.lasting) for findings in found)
    silent = sum(findings.is_silent for findings in found)
    report.headline("version", f"{version.model} {version.number}")
    report.headline("devices", len(found))
    report.headline("with an alarm", lasting)
    report.headline("silent", silent)
    if estimate:
        report.headline("accuracy now", f"{estimate.accuracy:.1%}")
        report.headline("95 % interval", f"{estimate.low:.1%} – {estimate.high:.1%}")
    rate = settings.false_alarms_per_camera_month
    header = ["device", "state", "alarms", "last seen (UTC)", "version", "new images", "against"]
    text = (
        f"Compared are at most {PER_BLOCK} images of each two hours. If nothing changed, a camera "
        f"has {rate:g} alarms a month on average, or fewer. A device with fewer than {FEWEST} such "
        "blocks of training images is compared with its own first days."
    )
    worst_first = sorted(found, key=lambda f: (not f.lasting, not f.is_silent))
    report.table("Fleet", header, map(_fleet_row, worst_first), text)
    shown = 0
    for findings in worst_first:
        for group in grouped(findings.changes.alarms if findings.changes else []):
            if shown < ALARMS_SHOWN and findings.compared:
                _add_alarm(report, comparison, findings.device, findings.compared, group)
            shown += 1
    if shown > ALARMS_SHOWN:
        report.table("More alarms", ["alarms"], [[shown - ALARMS_SHOWN]], "See alarms.json.")
    days = _plot_days(comparison, found)
    if days:
        report.plot("Images by day", days, "New images by the day of their capture (UTC).")
    _add_accuracy(report, estimate)


def _fleet_row(findings: Findings) -> list[object]:
    device, compared = findings.device, findings.compared
    names = list(dict.fromkeys(alarm.test for alarm in findings.lasting))
    return [
        device.title,
        _state(findings),
        ", ".join(names) or "–",
        _clock(device.last_seen) if device.last_seen else "never",
        device.release or "–",
        len(compared.new) if compared else 0,
        f"{len(compared.known)} of {compared.basis}" if compared else "–",
    ]


def _state(findings: Findings) -> str:
    """Return the first that applies of what is wrong with a device, or that nothing is."""
    device, changes = findings.device, findings.changes
    states = {
        "silent": device.is_silent,
        "alarm": bool(findings.lasting),
        "clock ahead": device.clock_ahead,
        "unhealthy": device.is_healthy is False,
        "no new images": not findings.compared or not len(findings.compared.new),
        "too few images to compare": changes is None or changes.blocks < FEWEST,
    }
    return next((state for state, applies in states.items() if applies), "as before")


def _add_alarm(
    report: Report, comparison: Comparison, device: Device, compared: Compared, group: list[Alarm]
) -> None:
    """Add what an alarm means, and pairs of images: of now, and of before at the same hour."""
    first = group[0]
    others = list(dict.fromkeys(alarm.test for alarm in group if alarm.test != first.test))
    ended = f"Over since {_clock(first.ended)}. " if first.ended else "It lasts. "
    text = (
        f"Began about {_clock(first.began)} UTC, noticed at {_clock(first.noticed)}. {ended}"
        + (f"Also changed: {', '.join(others)}. " if others else "")
        + f"Above: before, from {compared.basis}; below: since then, at the same hours of the day."
    )
    name = device.title
    pairs = _pairs(comparison, compared, first)
    cell = first.cell if first.test == "object" else None
    before = [_shown(comparison, number, "before", None) for number, _ in pairs]
    now = [_shown(comparison, number, "now", cell) for _, number in pairs]
    title = f"{name}: {TESTS[first.test]}"
    if before and all(before) and all(now):
        report.images(title, [one for one in before + now if one], text)
    else:
        report.table(title, ["test"], [[alarm.test] for alarm in group], text)


def _pairs(comparison: Comparison, compared: Compared, alarm: Alarm) -> list[tuple[int, int]]:
    """Return numbers of training images and of new ones, each pair of about the same hour."""
    frames, training = compared.watched.frames, compared.watched.training
    since = frames.times >= alarm.began
    if alarm.ended:
        since &= frames.times < alarm.ended
    chosen = np.flatnonzero(since)
    if not len(chosen) or not len(training):
        return []
    chosen = chosen[np.linspace(0, len(chosen) - 1, COLUMNS).round().astype(int)]
    gaps = np.abs(frames.hours[chosen][:, None] - training.hours)
    nearest: NDArray[np.intp] = np.minimum(gaps, 24 - gaps).argmin(axis=1)
    pairs = zip(compared.known[nearest], compared.new[chosen], strict=True)
    return [(int(before), int(now)) for before, now in pairs]


def _shown(
    comparison: Comparison, number: int, which: str, cell: int | None
) -> tuple[str, Image.Image, str] | None:
    """Return an image with its caption, a frame around a cell, and its hash; None if unreadable."""
    try:
        with open_image(comparison.read_image(number)) as opened:
            opened.draft("RGB", (SIDE, SIDE))
            opened.load()
            image = upright(as_rgb(opened))
    except (OSError, UnreadableError):
        return None
    image.thumbnail((SIDE, SIDE))
    if cell is not None:
        row, column = divmod(cell, CELLS)
        width, height = image.width / CELLS, image.height / CELLS
        corner = (column * width - 4, row * height - 4)
        box = (*corner, corner[0] + width + 8, corner[1] + height + 8)
        ImageDraw.Draw(image).rectangle(box, outline=MARK, width=4)
    caption = f"{which}: {_clock(int(comparison.index.times[number]))[5:]}"
    return caption, image, comparison.index.sha256[number].decode()


def _plot_days(comparison: Comparison, found: list[Findings]) -> Figure | None:
    """Plot each device's images by day; the days of lasting alarms are marked."""
    compared = [f for f in found if f.compared and len(f.compared.new)][:COLUMNS]
    if not compared:
        return None
    figure = Figure(figsize=(9, 0.9 + 0.6 * len(compared)))
    axes = figure.subplots(len(compared), 1, sharex=True, squeeze=False)[:, 0]
    names, of_image = comparison.index.devices
    for axis, findings in zip(axes, compared, strict=True):
        own = comparison.is_new & (of_image == names.index(findings.device.name))
        days = comparison.index.times[own].astype("datetime64[us]").astype("datetime64[D]")
        values, counts = np.unique(days, return_counts=True)
        began = min((alarm.began for alarm in findings.lasting), default=2**62)
        late = values.astype("datetime64[us]").astype(np.int64) + ONE_DAY > began
        axis.bar(values, counts, color=np.where(late, "#c62330", "#0b6bcb"), width=0.8)
        axis.set_ylabel(
            findings.device.title, rotation=0, ha="right", va="center", parse_math=False
        )
    figure.autofmt_xdate()
    return figure


def _add_accuracy(report: Report, estimate: Estimate | None) -> None:
    if estimate is None:
        report.table(
            "Accuracy now",
            ["control images with a label"],
            [[0]],
            "Unknown until new images are labelled in the order “at random, as a control”, "
            "and scored by this version: twenty a week are a beginning.",
        )
        return
    header = ["accuracy", "95 % interval", "control images", "without an answer"]
    interval = f"{estimate.low:.3f} – {estimate.high:.3f}"
    report.table(
        "Accuracy now",
        header,
        [[estimate.accuracy, interval, estimate.images, estimate.unanswered]],
        "Of the images of the last 30 days that came into the lake, by those that people labelled "
        "as a control. If a device sends mostly images that it is unsure of, that is a harder set "
        "than what it sees.",
    )


def _clock(micro: int) -> str:
    return datetime.fromtimestamp(micro / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
