"""The error that a person can mend.

What lives here: :class:`UserError`, raised wherever bad input, a missing file or an unreachable
service is the cause. What does not: programming errors, which stay ordinary exceptions and keep
their traceback.
"""


class UserError(Exception):
    """Bad input or environment, told in one line: what is wrong, where, and how to mend it.

    The command line prints it without a traceback and exits with code 2; in the Dagster UI it is
    the failure's description.
    """
