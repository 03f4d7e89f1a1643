"""Keeps a telephone call's conversation while it lasts, for the worker that may have to go on with it."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from repartee.errors import StoreError
from repartee.session.checkpointing import Checkpointing
from repartee.store.call_checkpoints import checkpoint_of, forget_checkpoint, keep_checkpoint
from repartee.store.interfaces import Store
from repartee.turn.earlier import Earlier, unpacked

log = logging.getLogger(__name__)

RECALL_S: Final = 1.0
"""A caller who was cut off waits: rather a greeting without what was said before than a longer silence."""


@dataclass(frozen=True, slots=True)
class TelephoneCheckpoint:
    """The place of one call's conversation. ``call`` is the carrier and its id of the call, ``caller`` the number by
    which it is erased."""

    store: Store
    call: str
    caller: str
    most_bytes: int

    def checkpointing(self, earlier: Sequence[Earlier]) -> Checkpointing:
        """What writes it down, after what was said ``earlier``."""
        return Checkpointing(self.keep, self.most_bytes, earlier)

    async def recall(self) -> Sequence[Earlier]:
        """What was said and done before; nothing where that is not known, or not soon enough."""
        try:
            async with asyncio.timeout(RECALL_S):
                body = await checkpoint_of(self.store, self.call)
            return unpacked(body) if body else ()
        except (StoreError, TimeoutError, msgspec.MsgspecError) as fault:
            log.warning(
                "what was said before in a call cannot be read: %s; greeting anew without it",
                fault or type(fault).__name__,
            )
            return ()

    def keep(self, body: str) -> None:
        """What was said and done so far."""
        keep_checkpoint(self.store, self.call, self.caller, body, time.time())

    def forget(self) -> None:
        """The call is over."""
        forget_checkpoint(self.store, self.call)
