"""Programs that others wrote: tests run them where they are, in the system or beside this Python."""

import os
import shutil
import sys
from pathlib import Path

import pytest

PROMETHEUS = "make test takes it out of Debian's package prometheus, where there is apt-get"


def program(name: str, where: str) -> str:
    """The path of `name`, or a skip that says what did not run for want of it. ``where``: how to get it."""
    own = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), own)))
    if found is None:
        pytest.skip(f"{name} is not installed ({where}): its checks did not run")
    return found
