"""Keeps PyJWT's HTTP client out of a Worker; import it before anything that imports ``jwt``.

PyJWT brings a client to fetch key sets with. The edge has no use for it, and importing it takes about as long as
importing the whole edge. PyJWT does not document where that client lives: this module is the one guard. A version
that keeps it elsewhere, or takes more from there, is imported whole; one warning says so.
"""

import importlib
import logging
import sys
from types import ModuleType
from typing import Any

log = logging.getLogger(__name__)

CLIENT_MODULE = "jwt.jwks_client"


def import_lean() -> bool:
    """Import ``jwt``; returns whether it came without its HTTP client. Whatever is imported already stays."""
    if "jwt" in sys.modules:
        return getattr(sys.modules["jwt"], "PyJWKClient", None) is None
    unused: Any = ModuleType(CLIENT_MODULE)
    unused.PyJWKClient = None
    sys.modules[CLIENT_MODULE] = unused
    try:
        jwt: Any = importlib.import_module("jwt")
    except (ImportError, AttributeError, TypeError):
        for name in [name for name in sys.modules if name == "jwt" or name.startswith("jwt.")]:
            del sys.modules[name]
        jwt = importlib.import_module("jwt")
    if getattr(jwt, "PyJWKClient", unused) is None:
        return True
    log.warning(
        "PyJWT %s cannot be imported without its HTTP client; importing it whole, which takes longer",
        getattr(jwt, "__version__", "of this version"),
    )
    return False


import_lean()
