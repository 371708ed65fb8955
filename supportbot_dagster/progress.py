"""How long work tells how far it is.

What lives here: the :data:`Progress` callback type that the library calls, and a console form of
it. What does not: Dagster's log, whose form of the callback lives beside the assets.
"""

import sys
import time
from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with a label, the number done and the total (None where it is not known)."""


def silent(label: str, done: int, total: int | None) -> None:
    """A progress callback that says nothing."""


def console_progress(every_seconds: float = 2.0) -> Progress:
    """A callback that writes a line to standard error at most every ``every_seconds``."""
    last = time.monotonic()
    last_label = ""

    def report(label: str, done: int, total: int | None) -> None:
        nonlocal last, last_label
        now = time.monotonic()
        finished = total is not None and done >= total
        if now - last < every_seconds and not (finished and label == last_label):
            return
        last = now
        last_label = label
        of = f" of {total}" if total is not None else ""
        print(f"  {label}: {done}{of}", file=sys.stderr, flush=True)

    return report
