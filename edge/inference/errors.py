"""The error that is the user's to mend."""


class UserError(Exception):
    """Something that the user can mend: the message says what is wrong and what to do next.

    The command line shows it as one line, without a stack trace.
    """
