"""Keeps PyJWT's HTTP client out of a Worker; import it before anything that imports ``jwt``.

PyJWT brings a client to fetch key sets with. The edge has no use for it, and importing it takes about as long as
importing the whole edge.
"""

import sys
from types import ModuleType
from typing import Any

_unused: Any = ModuleType("jwt.jwks_client")
_unused.PyJWKClient = None
sys.modules.setdefault(_unused.__name__, _unused)
