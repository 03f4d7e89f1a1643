"""How a call's socket is closed, and why: the one place where WebSocket close codes are chosen."""

from collections.abc import Mapping
from typing import Final

from repartee.transport.interfaces import CallEnd

NORMAL: Final = 1000
"""The client hung up, or the agent did."""

GOING_AWAY: Final = 1012
"""The worker is being replaced and the drain limit has come (1012, service restart): connect again."""

TOO_SLOW: Final = 1008
"""The client does not read what it is sent."""

INTERNAL: Final = 1011
"""A fault of this program, or the providers are gone."""

FLOODING: Final = 1008
"""The client sends more messages than a call may."""

TOO_LONG: Final = 1009
"""A message is too long, or comes in too many frames."""

REFUSED: Final = 4000
"""The client asks for what is not there as it connects; OpenAI's code for that."""

OF: Final[Mapping[CallEnd, int]] = {
    CallEnd.CLIENT_GONE: NORMAL,
    CallEnd.CLIENT_SLOW: TOO_SLOW,
    CallEnd.PROVIDERS_GONE: INTERNAL,
    CallEnd.TOO_LONG: NORMAL,
    CallEnd.CALLER_SILENT: NORMAL,
    CallEnd.DRAINED: GOING_AWAY,
    CallEnd.AGENT_HUNG_UP: NORMAL,
    CallEnd.TRANSFERRED: NORMAL,
    CallEnd.LINE_LOST: GOING_AWAY,
    CallEnd.FAILED: INTERNAL,
}
"""The code for each end of a call."""
