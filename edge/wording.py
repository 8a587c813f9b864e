"""Words that follow a number."""


def counted(count: int, what: str) -> str:
    """A number of things, as one says it.

    >>> counted(1, "frame"), counted(0, "frame"), counted(2, "frame")
    ('1 frame', '0 frames', '2 frames')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
