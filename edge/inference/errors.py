"""The error that the user can fix."""


class UserError(Exception):
    """Something that the user can fix: the message says what is wrong and what to do next.

    The command line shows it as one line, without a stack trace.
    """
