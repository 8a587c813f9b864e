"""The error that the user can fix, and what is said of any error on one line."""


class UserError(Exception):
    """Something that the user can fix: the message says what is wrong and what to do next.

    The command line shows it as one line, without a stack trace.
    """


def describe_error(error: BaseException) -> str:
    """Return an error's message on one line; its class's name if it has none.

    >>> describe_error(ValueError("two\\n  lines")), describe_error(TimeoutError())
    ('two lines', 'TimeoutError')
    """
    return " ".join(str(error).split()) or type(error).__name__
