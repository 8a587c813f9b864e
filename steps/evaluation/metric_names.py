"""Names of metrics: of a label or a device, in characters that MLflow accepts."""

import hashlib
import re

from steps.ingestion.label_text import normalize_label

UNSAFE = re.compile(r"[^\w.\- ]")
"""MLflow also accepts / and :, which separate here."""
LONGEST = 90
"""Characters of a label: with a metric, a slice and a digest they have to fit into MLflow's 250."""
DIGEST = re.compile(r"-[0-9a-f]{8}$")

_OF_LABEL = re.compile(r"^(recall|precision|pr_auc)_(.+?)(?=@(?:day|night|device=)|$)")
_OF_DEVICE = re.compile(r"(?<=@device=).+")


def metric_name(text: str) -> str:
    """Return a label or a device's ID as it stands in a metric's name.

    A text that cannot stand there as it is gets the first digits of its hash, so that no two have
    one name and a text has the same name in every run.

    >>> metric_name("shoes"), metric_name("R&D")
    ('shoes', 'R_D-1d168db4')
    """
    safe = UNSAFE.sub("_", text)[:LONGEST]
    if safe == text and not DIGEST.search(text):
        return text
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def label_metric(metric: str, label: str) -> str:
    """Return the name of a label's metric, such as ``recall_shoes``."""
    return f"{metric}_{metric_name(label)}"


def metric_as_written(name: str) -> str:
    """Return the metric that a user means who writes the label or the device as it is.

    >>> metric_as_written("recall_R&D@device=a/b")
    'recall_R_D-1d168db4@device=a_b-c14cddc0'
    """
    name = _OF_LABEL.sub(lambda m: label_metric(m[1], normalize_label(m[2]) or m[2]), name)
    return _OF_DEVICE.sub(lambda m: metric_name(m[0]), name)
