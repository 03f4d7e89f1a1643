"""Warm transfers: a person is called, hears the briefing, and is joined with the caller in a conference."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec

from repartee.app.carriers.api import CallDocument, CallToPlace, CarrierRequest, PlacingApi
from repartee.app.carriers.asking import send
from repartee.wire import outside_json

log = logging.getLogger(__name__)

RING_S: Final = 30
LOOK_S: Final = 0.5
"""How often the carrier is asked whether somebody has answered."""

WITHIN_S: Final = 5.0
OVER: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(frozen=True, slots=True, repr=False)
class Joining:
    """By an API that can join, from one of the account's own numbers."""

    api: PlacingApi
    own_number: str

    async def join(self, call_id: str, to: str, briefing: str, answered: Callable[[], None]) -> bool:
        """Whether somebody has answered, and the caller has been put together with them."""
        room = f"repartee-{secrets.token_hex(8)}"
        person = CallToPlace(to, self.own_number, CallDocument("conference", room, briefing), ring_s=RING_S)
        caller = self.api.steer(call_id, CallDocument("conference", room))
        try:
            async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
                other = self.api.placed_id(await _ask(client, self.api.place(person)))
                if not other or not await self._answered(client, other):
                    return False
                answered()
                await _ask(client, caller)
                return True
        except (httpx.HTTPError, KeyError, ValueError, msgspec.MsgspecError) as error:
            log.warning(
                "a caller was not joined with anybody: %s; leaving them with the agent", type(error).__name__
            )
            return False

    async def _answered(self, client: httpx.AsyncClient, call_id: str) -> bool:
        look = self.api.look(call_id)
        for _ in range(round((RING_S + 5) / LOOK_S)):
            status = str((await _ask(client, look))["status"])
            if status == "in-progress":
                return True
            if status in OVER:
                return False
            await asyncio.sleep(LOOK_S)
        await _ask(client, self.api.hang_up(call_id))
        return False


async def _ask(client: httpx.AsyncClient, request: CarrierRequest | None) -> Mapping[str, Any]:
    if request is None:
        raise ValueError("the carrier cannot be asked for that")
    answer = (await send(client, request)).raise_for_status()
    said: Mapping[str, Any] = outside_json.decode(answer.content, dict[str, Any])
    return said
