"""Errors that a user can cause and mend."""


class UserError(Exception):
    """A mistake of input or set-up, told in one line: what is wrong, and what to type next.

    A step that ends with it prints the line without a stack trace (``--debug`` shows it),
    exits with status 1, and leaves its run FAILED with the line as the tag ``failure``.
    """
