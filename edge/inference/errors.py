"""The errors of images, of a model's record and of a device's user; any error on one line."""


class UserError(Exception):
    """Something that a device's user can fix: the message says what is wrong and what to do next.

    The command line shows it as one line, without a stack trace.
    """


def describe_error(error: BaseException) -> str:
    """Return an error's message on one line; its class's name if it has none.

    >>> describe_error(ValueError("two\\n  lines")), describe_error(TimeoutError())
    ('two lines', 'TimeoutError')
    """
    return " ".join(str(error).split()) or type(error).__name__


class RecordError(ValueError):
    """The record is damaged, or was written for another version of the scoring core."""


class AgentTooOldError(RecordError):
    """The record requires features that this code does not have.

    Args:
        requires: those features, and the first agent version that has each.
    """

    def __init__(self, requires: dict[str, str]):
        version = max(requires.values(), key=lambda text: [*map(int, text.split("."))])
        super().__init__(f"needs agent ≥ {version}: run install.sh")


class UnreadableError(ValueError):
    """The bytes are not an image that can be ingested, trained on or scored.

    Attributes:
        reason: in a word or two: ``empty``, ``not an image``, ``truncated``, ``damaged``,
            ``decompression bomb``, ``too large``.
        detail: what is wrong exactly; may be empty.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class IncompleteJpegError(OSError):
    """Data of an image is missing.

    Attributes:
        detail: how much of what; empty if the rows that were not decoded say it.
    """

    def __init__(self, share: float = 0, of: str = ""):
        self.detail = f"about {100 * share:.0f} % of the {of} are missing" if of else ""
        super().__init__(self.detail)
