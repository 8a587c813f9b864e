"""What was found of each device, and how it is said."""

from dataclasses import dataclass
from datetime import UTC, datetime

from steps.monitoring.accuracy import Estimate
from steps.monitoring.compared import Compared
from steps.monitoring.detector import Alarm
from steps.monitoring.device import TESTS, Changes
from steps.monitoring.fleet import Device
from steps.pipeline.outputs import AlarmOutputs

SHOWN = 3
"""Devices that the last line names."""


@dataclass(frozen=True)
class Findings:
    """What was found of one device; ``compared`` and ``changes`` are None without images."""

    device: Device
    compared: Compared | None = None
    changes: Changes | None = None

    @property
    def lasting(self) -> list[Alarm]:
        """The alarms that are not over."""
        return [alarm for alarm in self.changes.alarms if not alarm.ended] if self.changes else []


def as_outputs(findings: Findings) -> list[AlarmOutputs]:
    """Return a device's alarms; the n-th one of a test keeps its cause in later runs."""
    device, alarms, counts = findings.device, [], dict.fromkeys(TESTS, 0)
    for alarm in findings.changes.alarms if findings.changes else []:
        counts[alarm.test] += 1
        alarms.append(
            AlarmOutputs(
                device=device.name,
                test=alarm.test,
                meaning=TESTS[alarm.test],
                began=iso(alarm.began),
                noticed=iso(alarm.noticed),
                ended=iso(alarm.ended) if alarm.ended else None,
                cause=f"{device.name}/{alarm.test}/{counts[alarm.test]}",
            )
        )
    return alarms


def iso(micro: int) -> str:
    """Return a time in microseconds since 1970 as text, UTC."""
    return datetime.fromtimestamp(micro / 1e6, UTC).isoformat(timespec="minutes")


def summarize(found: list[Findings], images: int, estimate: Estimate | None) -> str:
    """Return what matters most, in one sentence."""
    said = [
        f"{findings.device.name}: {TESTS[findings.lasting[0].test]}, since "
        f"{iso(findings.lasting[0].began)[:16].replace('T', ' ')}"
        for findings in found
        if findings.lasting
    ]
    said += [f"{f.device.name}: nothing came for too long" for f in found if f.device.is_silent]
    more = [f"{len(said) - SHOWN} more"] if len(said) > SHOWN else []
    line = "; ".join(said[:SHOWN] + more) or "no alarm"
    line += f" ({images} new images of {len(found)} devices compared)"
    if estimate:
        line += (
            f"; accuracy {estimate.accuracy:.2f} ({estimate.low:.2f}–{estimate.high:.2f}) on "
            f"{estimate.images} control images"
        )
    return line
