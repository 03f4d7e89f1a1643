"""Which vendors serve a call now: for its traces, its events and its metrics."""

import time
from collections.abc import Mapping

from repartee.errors import PoolTimeout, ProviderError
from repartee.telemetry import events as t
from repartee.telemetry.report import Emit


class CallServiceNotes:
    """Notes on one call's vendors. ``names`` are those of whoever would serve it, by stage. Implements
    :class:`~repartee.providers.lineup.NamingNotes`."""

    def __init__(self, call_id: str, region: str, agent: str, names: Mapping[str, str], emit: Emit) -> None:
        self._call_id, self._region, self._agent = call_id, region, agent
        self._names = dict(names)
        self._emit = emit

    def __repr__(self) -> str:
        return f"<CallServiceNotes: {self._names}>"

    @property
    def names(self) -> Mapping[str, str]:
        """Who serves the call now, by stage; changes as they do."""
        return self._names

    def served(self, stage: str, vendor: str) -> None:
        """This vendor serves the call from now on."""
        self._names[stage] = vendor

    def left(self, stage: str, vendor: str, error: ProviderError | PoolTimeout) -> None:
        """This vendor failed the call, and another is turned to."""
        left = t.VendorLeft(
            call_id=self._call_id,
            at_s=time.time(),
            region=self._region,
            agent=self._agent,
            stage=stage,
            vendor=vendor,
            message=str(error),
        )
        self._emit(left)
