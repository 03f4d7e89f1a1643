"""Finds and loads once the libraries that WebRTC needs, and says in plain words which are missing.

They are the extra ``webrtc``. libopus comes with it where there is a wheel, else it is the system's.
"""

import ctypes
import importlib.util
from ctypes.util import find_library
from functools import cache

EXTRA = "repartee[webrtc]"
MODULES = {"OpenSSL": "pyOpenSSL", "pylibsrtp": "pylibsrtp", "cryptography": "cryptography"}
INSTALL = f"pip install '{EXTRA}'"


class WebRtcMissing(Exception):
    """WebRTC does not work here; says what to install."""


def missing() -> str | None:
    """What has to be installed for WebRTC, as a sentence; None: nothing."""
    absent = [name for module, name in MODULES.items() if importlib.util.find_spec(module) is None]
    if absent:
        return f"WebRTC needs {', '.join(absent)}: {INSTALL}"
    if opus_file() is None:
        return f"WebRTC needs libopus: {INSTALL}, or the system's package (libopus0, opus)"
    return None


@cache
def opus_file() -> str | None:
    """The file of libopus: the one that the extra brings, else the system's."""
    return bundled_opus() or find_library("opus")


def bundled_opus() -> str | None:
    """libopus as the wheel brings it."""
    try:
        from opuslib_next.api import libopus  # only part of the extra
    except Exception:  # whatever is wrong with it, the system's may do
        return None
    return str(libopus._name)


def load_opus(file: str | None = None) -> ctypes.CDLL:
    """libopus, loaded: on its own, so that nobody else's declarations of its functions meet ours.

    Raises WebRtcMissing.
    """
    found = file or opus_file()
    if found is None:
        raise WebRtcMissing(missing() or "libopus is missing")
    return ctypes.CDLL(found)
