"""Whole telephone calls: carrier, edge, region and agent, over sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest
from tests.regional.app.running import TICKET_KEY
from tests.regional.telephone.system import NUMBERS, TelephoneSystem, speak, telephone_system, until
from websockets.asyncio.client import connect

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.store.call_checkpoints import checkpoint_of
from repartee_edge.tickets import TicketKeys, sign

EACH = pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
COLLEAGUE = "+15550111"
BRIEFING = "This is about an invoice from March. The caller is called Anna."


def desk() -> Agent:
    """An agent that keys steer."""
    agent = Agent(instructions="Be kind.", greeting="Good day, and welcome to our telephone line.")

    @agent.on_dtmf(digits=1)
    async def key(ctx: CallContext, digits: str) -> None:
        if digits == "0":
            ctx.transfer(COLLEAGUE, "One moment.")
        elif digits == "8":
            ctx.transfer(COLLEAGUE, "One moment.", briefing=BRIEFING)
        elif digits == "7":
            ctx.hold()
        elif digits == "6":
            ctx.take_back()
        elif digits == "9":
            ctx.hang_up("Goodbye.")
        elif digits == "5":
            ctx.dtmf("42#")

    return agent


@pytest.fixture
async def system() -> AsyncIterator[TelephoneSystem]:
    async with telephone_system(desk()) as running:
        yield running


@EACH
async def test_a_call_is_greeted_and_its_marks_come_back_when_they_have_been_played(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.calling(carrier) as (handset, call):
        [stream] = call.streams
        await speak(handset, 400)
        await until(lambda: stream.figures.marks_returned >= 3)
        assert stream.figures.violations == [] and stream.figures.partial_frames == 0
        assert stream.figures.frames_sent * 20 <= 1_000 * (time.monotonic() - call._began) + 200
    await until(lambda: call.over)
    assert call.status == "completed"
    told = [fields["CallStatus"] for url, fields, _ in system.network.webhooks if url.endswith("/status")]
    await until(lambda: told == ["completed"] or not told)


@EACH
async def test_the_agent_hangs_up_once_its_goodbye_was_played(system: TelephoneSystem, carrier: str) -> None:
    async with system.calling(carrier) as (handset, call):
        await handset.say(key="9")
        ended = await handset.until("ended")
        assert ended["status"] == "completed"
        figures = call.streams[0].figures
        assert figures.marks_returned == figures.marks_sent > 0, "the goodbye's last mark had come back"
        assert len(call.streams) == 1, "closing the stream led to no other"


@EACH
async def test_a_transfer_joins_the_caller_and_the_colleague_and_leaves_the_agent_out(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.handset(COLLEAGUE) as colleague, system.calling(carrier) as (handset, call):
        await handset.say(key="0")
        assert (await colleague.until("incoming"))["from"] == "+15550100"
        await colleague.say(answer=True)
        await handset.until("joined")
        before = handset.heard_ms
        await asyncio.gather(speak(handset, 300), speak(colleague, 300))
        await until(lambda: handset.heard_ms - before >= 200 and colleague.heard_ms >= 200)
        await until(lambda: not system.regions[0].worker.slots.taken)
        await colleague.say(hang_up=True)
        await handset.until("ended")
        assert "dialled: +15550111" in call.log


@EACH
async def test_in_a_warm_transfer_the_colleague_is_briefed_first_and_the_caller_hears_none_of_it(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.handset(COLLEAGUE) as colleague, system.calling(carrier) as (handset, call):
        await handset.say(key="8")
        ringing = await colleague.until("incoming")
        assert ringing["from"] == call.plan.called, "called from the number that the caller has dialled"
        other = system.network.calls[ringing["call_id"]]
        before = call.streams[0].figures.audio_ms
        await until(lambda: call.streams[0].figures.audio_ms - before > 800)  # on hold: music
        await colleague.say(answer=True)
        await handset.until("joined")
        assert f"said: {BRIEFING}" in other.log and not any("said:" in line for line in call.log)
        await colleague.until("joined")
        assert colleague.heard_ms > 1_000, "the briefing, which comes before the caller"
        before, heard = handset.heard_ms, colleague.heard_ms
        await asyncio.gather(speak(handset, 400), speak(colleague, 400))
        await until(lambda: handset.heard_ms - before >= 200 and colleague.heard_ms - heard >= 200)
        await until(lambda: not system.regions[0].worker.slots.taken)
        await colleague.say(hang_up=True)
        await handset.until("ended")


@EACH
async def test_where_nobody_answers_the_caller_goes_on_with_the_agent(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.handset(COLLEAGUE) as colleague, system.calling(carrier) as (handset, call):
        await handset.say(key="8")
        await colleague.until("incoming")
        clears = call.streams[0].figures.clears
        await colleague.say(hang_up=True)  # refuses
        await until(lambda: call.streams[0].figures.clears > clears)  # the music ends
        await handset.say(key="9")
        await handset.until("ended")
        assert len(call.streams) == 1 and not any("conference" in line for line in call.log)


@EACH
async def test_a_caller_is_held_with_music_and_taken_back(system: TelephoneSystem, carrier: str) -> None:
    async with system.calling(carrier) as (handset, call):
        await handset.say(key="7")
        await until(lambda: handset.heard_ms > 4_000)
        await handset.say(key="6")
        await until(lambda: call.streams[0].figures.clears)
        await handset.say(key="9")
        await handset.until("ended")


@EACH
async def test_keys_are_pressed_by_the_agent_so_that_the_other_side_hears_them(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.calling(carrier) as (handset, _):
        await handset.say(key="5")
        heard = [(await handset.until("key_heard"))["key"] for _ in range(3)]
        assert heard == ["4", "2", "#"]


@EACH
async def test_who_listens_in_gets_the_calls_events_and_its_keys(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.calling(carrier) as (handset, call):
        ticket = sign(TicketKeys(TICKET_KEY), region="us-east", subject="key:acme", now=time.time())
        url = f"ws://127.0.0.1:{system.regions[0].port}/v1/realtime?call_id={quote(call.id)}"
        headers = {"Authorization": f"Bearer {ticket}"}
        async with connect(url, additional_headers=headers, proxy=None) as side_band:
            assert '"session.created"' in str(await side_band.recv())
            await handset.say(key="3")
            async with asyncio.timeout(10):
                while '"input_audio_buffer.dtmf_event_received"' not in (said := str(await side_band.recv())):
                    pass
            assert '"event":"3"' in said
            await handset.say(hang_up=True)
            async for _ in side_band:  # until the call is over
                pass
            assert side_band.close_code == 1000


@EACH
async def test_a_changed_webhook_is_refused_by_the_edge(system: TelephoneSystem, carrier: str) -> None:
    async with system.calling(carrier):
        url, fields, status = next(hook for hook in system.network.webhooks if hook[0].endswith("/incoming"))
        assert status == 200
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(url, data={**fields, "From": "+15550666"})).status_code == 403


@EACH
async def test_a_stream_that_is_killed_in_mid_answer_or_mid_utterance_is_followed_by_another(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.calling(carrier) as (handset, call):
        call.streams[0].kill()  # the greeting is being said
        await until(lambda: len(call.streams) == 2 and call.streams[1].figures.marks_returned)
        speaking = asyncio.create_task(speak(handset, 2_000))
        await asyncio.sleep(0.3)
        call.streams[1].kill()
        await until(lambda: len(call.streams) == 3 and call.streams[2].figures.marks_returned)
        await speaking
        assert not call.over


@EACH
async def test_what_was_said_is_kept_while_the_call_may_go_on_and_no_longer(
    system: TelephoneSystem, carrier: str
) -> None:
    store = system.regions[0].worker.services.store
    assert store is not None

    async def known(call_id: str) -> str | None:
        assert store is not None
        return await checkpoint_of(store, f"{carrier}:{call_id}")

    async with system.calling(carrier) as (handset, call):
        await until(lambda: call.streams[0].figures.marks_returned)
        call.streams[0].kill()
        await until(lambda: len(call.streams) == 2 and call.streams[1].figures.marks_returned)
        assert "Good day" in (await known(call.id) or ""), "as far as it was heard"
        await handset.say(key="9")
        await handset.until("ended")
        await until(lambda: not system.regions[0].worker.slots.taken)
        assert await known(call.id) is None
    async with system.calling(carrier) as (handset, call):
        await speak(handset, 400)
        assert await known(call.id)
        assert (await store.erase("+15550100"))["call_checkpoints"] == 1, "`calls erase` has it on its list"
        assert await known(call.id) is None


@EACH
async def test_a_carrier_that_reads_nothing_for_a_while_misses_nothing(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.calling(carrier) as (handset, call):
        call.faults.stall_out = True
        await handset.say(key="9")
        await asyncio.sleep(1.0)
        call.faults.stall_out = False
        await handset.until("ended")
        figures = call.streams[0].figures
        assert len(call.streams) == 1 and figures.marks_returned == figures.marks_sent


async def test_telnyxs_frames_are_heard_in_order_whatever_order_they_come_in(system: TelephoneSystem) -> None:
    async with system.calling("telnyx") as (handset, call):
        call.faults.reorder = True
        before = call.streams[0].figures.frames_sent
        await speak(handset, 400)
        await until(lambda: call.streams[0].figures.frames_sent - before > 40)
        assert len(call.streams) == 1, "nothing was missing on the line"
        await handset.say(key="9")
        await handset.until("ended")


@pytest.mark.parametrize("example", ["bank", "clinic"])
@EACH
async def test_each_example_answers_the_telephone(carrier: str, example: str) -> None:
    async with telephone_system(f"examples.{example}:agent") as system, system.calling(carrier) as (_, call):
        await until(lambda: call.streams[0].figures.marks_returned >= 2)
        assert call.streams[0].figures.violations == []


@EACH
async def test_no_frames_from_the_caller_for_2_s_is_counted_and_the_call_is_connected_anew(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.calling(carrier) as (_, call):
        call.faults.stall_in = True
        began = time.monotonic()
        await until(lambda: len(call.streams) == 2)
        assert time.monotonic() - began >= 1.9
        call.faults.stall_in = False
        assert "1012" in call.streams[0].figures.ended
        metrics = await system.regions[0].metrics()
        assert metrics['repartee_line_troubles_total{trouble="nothing_received"}'] == 1
        await until(lambda: call.streams[1].figures.marks_returned)


@EACH
async def test_marks_that_do_not_come_back_are_counted_and_the_call_is_connected_anew(
    system: TelephoneSystem, carrier: str
) -> None:
    async with system.calling(carrier) as (_, call):
        call.faults.hold_marks = True
        await until(lambda: len(call.streams) == 2)
        call.faults.hold_marks = False
        metrics = await system.regions[0].metrics()
        assert metrics['repartee_line_troubles_total{trouble="nothing_played"}'] == 1
        await until(lambda: call.streams[1].figures.marks_returned)


async def test_two_numbers_reach_two_agents_of_one_region() -> None:
    answered: list[tuple[str, str]] = []

    def agent_named(name: str) -> Agent:
        agent = Agent(instructions="Be kind.", greeting="Good day to you.")

        @agent.on_call_start
        async def begin(ctx: CallContext) -> None:
            answered.append((name, str(ctx.verified["called"])))

        return agent

    agents = {name: agent_named(name) for name in ("bank", "clinic")}
    numbers = json.dumps({NUMBERS["twilio"]: "bank", NUMBERS["telnyx"]: "clinic"})
    async with telephone_system(agents["bank"], agents=agents, REPARTEE_TELEPHONE_NUMBERS=numbers) as system:
        for carrier in NUMBERS:
            async with system.calling(carrier):
                pass
    assert answered == [("bank", NUMBERS["twilio"]), ("clinic", NUMBERS["telnyx"])]
