"""Words that follow a number."""


def pluralize(count: int, what: str) -> str:
    """A number of things, as one says it.

    >>> pluralize(1, "frame"), pluralize(0, "frame"), pluralize(2, "frame")
    ('1 frame', '0 frames', '2 frames')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
