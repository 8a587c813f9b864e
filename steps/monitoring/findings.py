"""What was found of each device, and how it is said."""

from dataclasses import dataclass
from datetime import UTC, datetime

from steps.monitoring.accuracy import Estimate
from steps.monitoring.changes import TESTS, Changes
from steps.monitoring.compared import Compared
from steps.monitoring.detector import BLOCK, DAY, Alarm
from steps.monitoring.fleet import Device
from steps.pipeline.outputs import AlarmOutputs

SHOWN = 3
"""Alarms that the last line names."""


ONE_DAY = DAY * BLOCK


@dataclass(frozen=True)
class Findings:
    """What was found of one device; ``compared`` and ``changes`` are None without images."""

    device: Device
    compared: Compared | None = None
    changes: Changes | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing came of the device for too long."""
        return self.device.is_silent

    @property
    def lasting(self) -> list[Alarm]:
        """The alarms that are not over."""
        return [alarm for alarm in self.changes.alarms if not alarm.ended] if self.changes else []


def grouped(alarms: list[Alarm]) -> list[list[Alarm]]:
    """Return the alarms that began together, of each group the one first that explains it.

    That is the first in ``TESTS`` of those that were noticed within a day.

    Args:
        alarms: in the order of their noticing.
    """
    groups: list[list[Alarm]] = []
    for alarm in alarms:
        fits = [group for group in groups if abs(alarm.began - group[0].began) < ONE_DAY]
        if fits:
            fits[0].append(alarm)
        else:
            groups.append([alarm])
    order = list(TESTS)
    for group in groups:
        rank = {id(a): (a.noticed > group[0].noticed + ONE_DAY, order.index(a.test)) for a in group}
        group.sort(key=lambda alarm: rank[id(alarm)])
    return groups


def as_outputs(findings: Findings) -> list[AlarmOutputs]:
    """Return a device's alarms; those that began together have one cause."""
    device, changes = findings.device, findings.changes
    return [
        AlarmOutputs(
            device=device.name,
            test=alarm.test,
            meaning=TESTS[alarm.test],
            began=_iso(alarm.began),
            noticed=_iso(alarm.noticed),
            ended=_iso(alarm.ended) if alarm.ended else None,
            cause=f"{device.title}/{number}",
        )
        for number, group in enumerate(grouped(changes.alarms if changes else []), start=1)
        for alarm in group
    ]


def lasting_causes(found: list[Findings], alarms: list[AlarmOutputs]) -> list[str]:
    """Return the causes of the alarms found that last, each once, and the silences of devices."""
    causes = [alarm.cause for alarm in alarms if alarm.ended is None]
    silences = [f"{f.device.title}/silent/{_iso(f.device.last_seen)}" for f in found if f.is_silent]
    return [*dict.fromkeys(causes), *silences]


def _iso(micro: int) -> str:
    """Return when an alarm began or ended, microseconds since 1970, as text, UTC."""
    return datetime.fromtimestamp(micro / 1e6, UTC).isoformat(timespec="minutes")


def summarize(found: list[Findings], images: int, estimate: Estimate | None) -> str:
    """Return what the monitor found, the most important first, in one sentence."""
    said = [
        f"{findings.device.title}: {TESTS[first.test]}, since "
        f"{_iso(first.began)[:16].replace('T', ' ')}"
        for findings in found
        for first, *_ in grouped(findings.lasting)
    ]
    said += [f"{f.device.title}: nothing came for too long" for f in found if f.is_silent]
    more = [f"{len(said) - SHOWN} more"] if len(said) > SHOWN else []
    line = "; ".join(said[:SHOWN] + more) or "no alarm"
    line += f" (new images compared: {images}; devices: {len(found)})"
    if estimate:
        line += (
            f"; accuracy {estimate.accuracy:.2f} ({estimate.low:.2f}–{estimate.high:.2f}) on "
            f"{estimate.images} control images"
        )
    return line
