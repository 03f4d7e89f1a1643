"""Runs a `repartee` command whose life is tied to the process that started it.

The first argument is a pipe's file descriptor that nobody writes to; it reads as closed when the starter is gone,
however it went. This process and all it has started then end too, so nothing is left behind. Unix only.
"""

import importlib
import os
import signal
import sys
import threading
import time

GRACE_S = 5.0
COMMAND_LINE = "repartee.cli.main"
"""By its name only: the command line stands on a floor above what launches it."""


def tie(lifeline: int) -> None:
    """End this process and its group when the other end of the pipe closes, by force after :data:`GRACE_S`."""

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(os.getpgrp(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def main() -> None:
    """`python -m repartee.launch.tied FD COMMAND ...`"""
    tie(int(sys.argv[1]))
    sys.argv = ["repartee", *sys.argv[2:]]
    importlib.import_module(COMMAND_LINE).main()


if __name__ == "__main__":
    main()
