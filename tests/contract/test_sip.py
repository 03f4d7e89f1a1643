"""OpenAI's interface for calls by SIP: none come here; a telephone call has some of it."""

import time

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, InternalServerError
from tests.regional.app.running import TICKET_KEY, region
from tests.regional.telephone.system import TelephoneSystem, telephone_system

from repartee.agent.agent import Agent
from repartee_edge.tickets import TicketKeys, sign

WORDS = "calls come by SIP here"


@pytest.mark.parametrize("wish", ["accept", "reject", "refer"])
async def test_openais_client_is_answered_501_in_words(providers: dict[str, str], wish: str) -> None:
    async with (
        region(providers) as worker,
        AsyncOpenAI(api_key="x", base_url=f"{worker.http}/v1", max_retries=0) as client,
    ):
        calls = client.realtime.calls
        with pytest.raises(InternalServerError, match=WORDS) as refused:
            match wish:
                case "accept":
                    await calls.accept("rtc_1", type="realtime")
                case "reject":
                    await calls.reject("rtc_1")
                case _:
                    await calls.refer("rtc_1", target_uri="tel:+15550123")
        assert refused.value.status_code == 501


def asking(system: TelephoneSystem) -> AsyncOpenAI:
    """OpenAI's client for the calls of a region."""
    region_ = system.regions[0]
    ticket = sign(TicketKeys(TICKET_KEY), region="us-east", subject="key:acme", now=time.time())
    return AsyncOpenAI(api_key=ticket, base_url=f"{region_.http}/v1", max_retries=0)


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_a_telephone_call_is_handed_on_and_hung_up_by_openais_client(carrier: str) -> None:
    agent = Agent(instructions="Be kind.", greeting="Good day, and welcome to our telephone line.")
    async with telephone_system(agent) as system:
        async with system.handset("+15550111") as colleague, system.calling(carrier) as (handset, call):
            async with asking(system) as client:
                with pytest.raises(BadRequestError, match="target_uri"):
                    await client.realtime.calls.refer(call.id, target_uri="mailto:x")
                await client.realtime.calls.refer(call.id, target_uri="tel:+15550111")
            assert (await colleague.until("incoming"))["from"] == "+15550100"
            await colleague.say(answer=True)
            await handset.until("joined")
            await colleague.say(hang_up=True)
            await handset.until("ended")
        async with system.calling(carrier) as (handset, call):
            async with asking(system) as client:
                with pytest.raises(InternalServerError, match=WORDS):
                    await client.realtime.calls.accept(call.id, type="realtime")
                await client.realtime.calls.hangup(call.id)
            assert (await handset.until("ended"))["status"] == "completed"
            assert len(call.streams) == 1
        async with system.calling(carrier) as (_, call), asking(system) as client:
            forged = client.with_options(api_key="forged").realtime.calls
            with pytest.raises(AuthenticationError):
                await forged.hangup(call.id)
            with pytest.raises(AuthenticationError):
                await forged.refer(call.id, target_uri="tel:+15550111")
            assert not call.over
