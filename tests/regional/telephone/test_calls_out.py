"""Calls that an agent places: through edge, region, store and carrier, over sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.regional.app.running import REPARTEE
from tests.regional.telephone.system import API_KEY, TelephoneSystem, telephone_system, until

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.client.dialling import DialWishes, dial_list, dial_one, never_call, read_progress
from repartee.client.faults import CallFailed
from repartee.client.telephone import HandsetLine
from repartee.standins.carrier.account import TELNYX_NUMBER

EACH = pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
CALLEE = "+15550142"
MESSAGE = "This is the bank. Please call us back when you have a moment."


def caller() -> Agent:
    agent = Agent(instructions="Be kind.", greeting="Good day, this is the bank.")
    knows.clear()

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        knows.append(dict(ctx.verified))

    return agent


knows: list[dict[str, Any]] = []


@pytest.fixture
async def system() -> AsyncIterator[TelephoneSystem]:
    async with telephone_system(caller()) as running:
        yield running


def wishes(system: TelephoneSystem, **more: str) -> DialWishes:
    return DialWishes(system.edge, API_KEY, **more)


async def asked(
    system: TelephoneSystem, key: str = API_KEY, path: str = "calls", **body: Any
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        headers = {"authorization": f"Bearer {key}"}
        return await client.post(f"{system.edge}/v1/telephone/{path}", json=body, headers=headers)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def answers(handset: HandsetLine, *, machine: bool = False) -> str:
    """The telephone rings, and somebody takes it; the call's id."""
    ringing = await handset.until("incoming")
    await handset.say(answer=True, machine=machine)
    return str(ringing["call_id"])


@EACH
async def test_a_callee_who_says_nothing_hears_the_agents_first_words(
    system: TelephoneSystem, carrier: str
) -> None:
    number = TELNYX_NUMBER if carrier == "telnyx" else ""
    async with system.handset(CALLEE) as handset:
        placed = await asked(
            system,
            to=CALLEE,
            agent="bank",
            carrier=carrier,
            metadata={"account": "7", "phone": "me"},
            **{"from": number},
        )
        assert placed.status_code == 201, placed.text
        assert await answers(handset) == placed.json()["call_id"]
        await until(lambda: handset.heard_ms > 300)
        [known] = knows
        said = {"phone": CALLEE, "agent": "bank", "direction": "outbound", "account": "7"}
        assert said.items() <= known.items() and known["called"] == placed.json()["from"]
        call = system.network.calls[placed.json()["call_id"]]
        await until(lambda: call.answered_by == "human")
        assert not call.over, "a person is talked to"


async def test_it_needs_an_api_key_and_a_number_that_may_be_called(system: TelephoneSystem) -> None:
    assert code(await asked(system, key="wrong", to=CALLEE)) == (401, "invalid_api_key")
    assert code(await asked(system, to="+999")) == (400, "invalid_value")
    assert code(await asked(system, to=CALLEE, **{"from": "+15550666"})) == (422, "carrier_refused")
    assert code(await asked(system, to=CALLEE, on_machine="message")) == (400, "no_message")
    long = {f"name {n}": "x" * 120 for n in range(5)}
    assert code(await asked(system, to=CALLEE, metadata=long)) == (400, "metadata_too_long")
    async with httpx.AsyncClient(base_url=system.edge, trust_env=False) as client:
        secret = await client.post(
            "/v1/realtime/client_secrets", headers={"authorization": f"Bearer {API_KEY}"}
        )
        answer = await asked(system, key=secret.json()["value"], to=CALLEE)
    assert code(answer) == (403, "not_for_browsers")
    assert system.network.calls == {}


async def test_calls_at_once_and_in_a_minute_are_bounded() -> None:
    limits = {"REPARTEE_DIAL_AT_ONCE": "2", "REPARTEE_DIAL_PER_MINUTE": "3"}
    async with (
        telephone_system(caller(), environment=limits) as system,
        system.handset(CALLEE) as one,
        system.handset("+15550143") as other,
    ):
        for number in (CALLEE, "+15550143"):
            assert (await asked(system, to=number)).status_code == 201
        await asyncio.gather(answers(one), answers(other))
        full = await asked(system, to="+15550144")
        assert code(full) == (429, "no_free_line") and int(full.headers["retry-after"]) > 0
        await one.say(hang_up=True)
        await one.until("ended")
        async with asyncio.timeout(20):
            while (third := await asked(system, to="+15550144")).status_code == 429:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert third.status_code == 201, "a line is free again when the carrier has said so"
        async with asyncio.timeout(20):
            while (last := await asked(system, to="+15550145")).json()["error"]["code"] == "no_free_line":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert code(last) == (429, "too_many_calls")


async def test_nobody_is_called_outside_the_hours_of_where_they_are() -> None:
    # Somewhere it is never 0 to 1 o'clock and 23 to 24 o'clock at once.
    outcomes = set()
    for hours in ("0-12", "12-24"):
        async with telephone_system(caller(), environment={"REPARTEE_DIAL_HOURS": hours}) as system:
            answer = await asked(system, to="+4930901820")
            outcomes.add(answer.status_code)
            if answer.status_code == 403:
                assert answer.json()["error"]["code"] == "outside_hours"
                assert "Europe/Berlin" in answer.json()["error"]["message"]
                assert 0 < int(answer.headers["retry-after"]) <= 12 * 3600
            else:
                assert answer.status_code == 201
    assert outcomes == {201, 403}


async def test_whoever_has_opted_out_is_never_called_also_after_a_restart(tmp_path: Path) -> None:
    kept = {"REPARTEE_STORE_FILE": str(tmp_path / "store.db")}
    async with telephone_system(caller(), environment=kept) as system:
        await never_call(wishes(system), CALLEE)
    async with telephone_system(caller(), environment=kept) as system:
        with pytest.raises(CallFailed, match="is not to be called"):
            await dial_one(wishes(system), CALLEE)
        assert (await asked(system, path="opt-outs", number=CALLEE, again=True)).status_code == 201
        await dial_one(wishes(system), CALLEE)


@EACH
async def test_an_agent_hangs_up_on_a_machine(system: TelephoneSystem, carrier: str) -> None:
    number = TELNYX_NUMBER if carrier == "telnyx" else ""
    async with system.handset(CALLEE) as handset:
        await asked(system, to=CALLEE, carrier=carrier, **{"from": number})
        call = system.network.calls[await answers(handset, machine=True)]
        await until(lambda: handset.heard_ms > 0)
        assert call.answered_by == "", "its first words waited for no verdict"
        assert (await handset.until("ended"))["status"] == "completed"
        assert call.answered_by == "machine_start"


async def test_a_message_is_left_whole_after_the_beep(system: TelephoneSystem) -> None:
    async with system.handset(CALLEE) as handset:
        await asked(system, to=CALLEE, on_machine="message", message=MESSAGE)
        call = system.network.calls[await answers(handset, machine=True)]
        await until(lambda: handset.heard_ms > 300)
        before = handset.heard_ms
        await handset.say(beep=True)
        await handset.until("ended")
        assert call.answered_by == "machine_end_beep"
        heard_ms = handset.heard_ms - before
        assert heard_ms > len(MESSAGE) * 62 * 0.95, "the stand-in's voice takes 62 ms for a character"
        figures = call.streams[0].figures
        assert figures.marks_returned == figures.marks_sent


def a_list(path: Path, rows: int) -> Path:
    path.write_text("to,name\n" + "".join(f"+155503{n:02},Person {n}\n" for n in range(rows)))
    return path


async def test_a_list_is_called_once_each_and_taken_up_again_where_it_was_left(tmp_path: Path) -> None:
    limits = {"REPARTEE_DIAL_AT_ONCE": "2", "REPARTEE_DIAL_PER_MINUTE": "1000"}
    async with telephone_system(caller(), environment=limits) as system:
        path, told = a_list(tmp_path / "people.csv", 8), list[str]()
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, sum(not call.over for call in system.network.calls.values()))
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        run = asyncio.create_task(dial_list(wishes(system), path, lambda row, what: told.append(what)))
        await until(lambda: len(told) >= 3)
        run.cancel()
        await asyncio.wait([run])
        progress = path.with_name("people.csv.progress")
        progress.write_text(progress.read_text() + '{"row": 4, "to"')  # cut off in mid-line
        summary = await dial_list(wishes(system), path, lambda row, what: None)
        watching.cancel()
        assert summary.placed + summary.before == 8 and summary.left == 0
        called = sorted(call.plan.called for call in system.network.calls.values())
        assert called == [f"+155503{n:02}" for n in range(8)], "no number twice, none left out"
        assert most <= 2, "no more calls than lines"
        assert read_progress(progress) == set(range(1, 9))
        assert knows == [] or all(known["name"].startswith("Person") for known in knows)


async def test_a_call_with_the_same_key_is_placed_once(system: TelephoneSystem) -> None:
    answers = [await keyed(system) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json() and len(system.network.calls) == 1


async def test_a_forged_word_of_a_carriers_is_refused(system: TelephoneSystem) -> None:
    region = system.regions[0]
    async with httpx.AsyncClient(base_url=region.http, trust_env=False) as client:
        for path in ("placed", "machine?terms=x"):
            answer = await client.post(
                f"/v1/telephone/twilio/{path}", data={"CallSid": "CA1", "AnsweredBy": "machine_start"}
            )
            assert code(answer) == (403, "bad_signature")
    assert json.dumps(system.network.webhooks) == "[]"


async def dialled(*arguments: str | Path) -> tuple[int, str]:
    """`repartee dial` with these arguments: its exit status and what it says."""
    process = await asyncio.create_subprocess_exec(
        REPARTEE, "dial", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_the_command_has_an_agent_call(system: TelephoneSystem, tmp_path: Path) -> None:
    edge, report = ("--url", system.edge, "--key", API_KEY), tmp_path / "dial.json"
    async with system.handset(CALLEE) as handset:
        status, said = await dialled(CALLEE, "--agent", "bank", *edge, "--json", report)
        assert status == 0 and CALLEE in said, said
        assert await answers(handset) == json.loads(report.read_text())["call_id"]
        await until(lambda: handset.heard_ms > 0)
        assert knows[0]["agent"] == "bank"
    status, said = await dialled("--csv", a_list(tmp_path / "people.csv", 2), *edge)
    assert status == 0 and "Placed: 2. Refused: none." in said, said
    status, said = await dialled("--never", "+15550300", *edge)
    assert status == 0
    status, said = await dialled("+15550300", *edge)
    assert status == 1 and "is not to be called" in " ".join(said.split())


@pytest.mark.parametrize(("dies", "expected"), [("before", "carrier_unreachable"), ("after", "not_certain")])
async def test_a_carrier_that_dies_leads_to_no_second_call(dies: str, expected: str) -> None:
    """Before it has read the request, or after: then nobody knows, and nobody is called again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if dies == "before":
        server.close()
    kept = {"TWILIO_BASE_URL": f"http://127.0.0.1:{port}"}
    async with telephone_system(caller(), environment=kept) as system:
        first = await keyed(system)
        assert first.json()["error"]["code"] == expected
        again = await keyed(system)
        assert again.json()["error"]["code"] == expected
        assert again.status_code == (502 if dies == "before" else 409)
    server.close()


async def keyed(system: TelephoneSystem) -> httpx.Response:
    async with httpx.AsyncClient(base_url=system.edge, trust_env=False, timeout=30) as client:
        headers = {"authorization": f"Bearer {API_KEY}"}
        return await client.post("/v1/telephone/calls", json={"to": CALLEE, "key": "1"}, headers=headers)
