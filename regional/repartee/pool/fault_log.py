"""What is wrong with a pool at the moment, and one line in the log for each kind of it."""

import logging

from repartee.errors import VoiceError
from repartee.pool.faults import PoolFault, fault_of

log = logging.getLogger(__name__)

SAME_FAULT_S = 60.0
"""A fault that lasts, or comes and goes, is logged so often at most."""


class FaultLog:
    """Remembers the latest fault of one pool, and what was logged of it when. ``now`` is in seconds."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._logged: tuple[object, float] | None = None
        self.fault: PoolFault | None = None

    @property
    def words(self) -> str:
        """How a message about a missing connection goes on."""
        return f" The last attempt failed: {self.fault.why}" if self.fault else ""

    def failed(self, error: VoiceError, now: float) -> None:
        """A dial has failed, or what it opened was lost at once."""
        fault = self.fault = fault_of(self._pool, error)
        kind = fault.status or fault.why  # words may hold what differs each time, such as a request's id
        if self._logged is None or self._logged[0] != kind or now - self._logged[1] >= SAME_FAULT_S:
            self._logged = (kind, now)
            log.warning("cannot connect to %s: %s; retrying. %s", self._pool, fault.why.rstrip("."), fault.do)

    def recovered(self) -> None:
        """A connection has been opened that lasts."""
        if self.fault is not None:
            self.fault = None
            log.info("connected to %s again; calls may use it", self._pool)
