"""A whole conversation with secrets in it: none of them is in what a model is asked, in a record or in a log."""

import json
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.regional.app.running import until
from tests.regional.session.actors import Stage
from tests.regional.session.relay_stage import on_stage

from repartee import Agent, CallContext, Secret
from repartee.store.call_records import CALL_ENTRIES
from repartee.store.opening import StorePlace, open_store
from repartee.telemetry import events as t
from repartee.telemetry.records import CallRecords
from repartee.telemetry.report import CallOrigin
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("store.sqlite3*"))


async def in_store(stage: Stage, folder: Path) -> bytes:
    """All bytes of a store that has the call's record."""
    store = await open_store(StorePlace("", str(folder / "store.sqlite3")))
    records = CallRecords(store)
    for event in stage.notes.events:
        records.export(event)
    entries = await store.read(lambda reading: reading.rows(CALL_ENTRIES))
    assert entries
    await store.aclose()
    return contents(folder)


def asked(stage: Stage) -> str:
    """All that the model was asked, as text."""
    return json.dumps([list(thought.request.messages) for thought in stage.brain.thoughts])


async def test_digits_that_are_said_or_keyed_while_they_are_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="repartee")
    agent = Agent("Hi.")
    given: list[str] = []

    @agent.on_call_start
    async def start(ctx: CallContext) -> None:
        ctx.hide_digits()

    @agent.on_dtmf(digits=4)
    async def keys(ctx: CallContext, digits: str) -> None:
        given.append(digits)

    @agent.tool
    async def check(ctx: CallContext, pin: Secret[str]) -> str:
        """Check the pin."""
        ctx.show_digits()
        given.append(pin)
        return f"{pin} is right, and {given[0]} too."

    async with Stage(agent, origin=CallOrigin(words=True)) as stage:
        for digit in "8021":
            stage.client.sends("repartee.dtmf", digit=digit)
        ears = await stage.ears.opened()
        ears.hears(
            StartOfTurn(),
            PartialTranscript("My pin is four"),
            EagerEndOfTurn("My pin is four seven one one."),
            EndOfTurn("My pin is four seven one one."),
        )
        thought = await stage.brain.asked()
        assert thought.last_words == "My pin is [secret 2]."
        thought.calls("call_1", "check", '{"pin":"[secret 2]"}')
        thought.ends("tool_calls")
        follow_up = await stage.brain.asked(2)
        assert given == ["8021", "4711"]
        assert follow_up.last_words == '"[secret 2] is right, and [secret 1] too."'
        follow_up.says("Thank you.")
        follow_up.ends()
        ears.hears(StartOfTurn(), EndOfTurn("I have 3 questions."))
        assert (await stage.brain.asked(3)).last_words == "I have 3 questions."
    kept = await in_store(stage, tmp_path)
    assert b"My pin is [secret 2]." in kept
    for place in (asked(stage), caplog.text, kept.decode("latin-1")):
        for digits in ("4711", "8021", "four seven", "seven one"):
            assert digits not in place


async def test_what_the_author_marks_is_written_again_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="repartee")
    agent = Agent("Hi.")
    given: list[Any] = []

    @agent.tool
    async def find(ctx: CallContext, password: Secret[str]) -> dict[str, str]:
        """Find the account."""
        given.append(password)
        return {"token": ctx.secret("tok-77-xyz"), "said": password}

    async with Stage(agent, origin=CallOrigin(words=True)) as stage:
        await stage.turn("It is open sesame.")
        thought = await stage.brain.asked()
        thought.calls("call_1", "find", '{"password":"open sesame"}')
        thought.ends("tool_calls")
        follow_up = await stage.brain.asked(2)
        assert given == ["open sesame"]
        for text in ("open sesame", "tok-77"):
            assert text not in json.dumps(list(follow_up.request.messages))
        assert "It is [secret 1]." in json.dumps(list(follow_up.request.messages))
    latest = {said.item_id: said.text for said in stage.notes.all(t.WordsSaid)}
    assert "It is [secret 1]." in latest.values()
    written = msgspec.json.encode(stage.notes.all(t.ToolRan))
    assert b"sesame" not in written
    assert b"tok-77" not in written
    assert "sesame" not in caplog.text
    assert "tok-77" not in caplog.text


async def test_keys_that_nobody_marked_are_in_no_record_log_or_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="repartee")
    agent = Agent("Hi.")
    given: list[str] = []

    @agent.on_dtmf()
    async def keys(ctx: CallContext, digits: str) -> None:
        given.append(digits)
        raise RuntimeError(f"no account {digits}")

    async with Stage(agent, origin=CallOrigin(words=True)) as stage:
        for digit in "90210#":
            stage.client.sends("repartee.dtmf", digit=digit)
        await stage.bell.until(lambda: given)
        await stage.turn("Hello?")
        await stage.brain.asked()
    assert given == ["90210"]
    kept = await in_store(stage, tmp_path)
    assert "90210" not in asked(stage) + caplog.text + kept.decode("latin-1")
    assert "on_dtmf failed" in caplog.text


async def test_a_speech_to_speech_model_hears_silence_while_digits_are_secret() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    hidden: list[bool] = []

    @agent.on_call_start
    async def start(ctx: CallContext) -> None:
        ctx.hide_digits()

    @agent.on_dtmf(digits=1)
    async def keys(ctx: CallContext, digits: str) -> None:
        ctx.show_digits()
        hidden.append(False)

    async with on_stage(agent) as stage:
        await stage.hears("session.created")
        await stage.speaks()
        stage.sends("repartee.dtmf", digit="1")
        await until(lambda: hidden)
        await stage.speaks()
        await stage.hears("response.done")
    assert stage.types.count("input_audio_buffer.speech_started") == 1
