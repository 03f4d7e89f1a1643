"""The shell: one queue into a core, tasks whose failure is seen, and timers, with a core that is scripted."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any, get_args

import pytest
from tests.regional.session.actors import Stage, caller_audio
from tests.regional.session.virtual_time import now, run

from repartee.agent.agent import Agent
from repartee.errors import ClientProtocolError
from repartee.relay.machine import RelayMachine
from repartee.relay.settings import AgentSide
from repartee.session.call_notes import OUTCOMES
from repartee.session.shell import Core, Shell
from repartee.telemetry.events import CallOutcome
from repartee.transport.interfaces import CallEnd
from repartee.turn.commands import ClearDeadline, Command, ItemRemoved, SetDeadline
from repartee.turn.events import DeadlinePassed, Event, HungUp, ItemDeleted, SayRequested
from repartee.turn.machine import TurnMachine
from repartee.turn.state import Cause, IllegalTransition, State
from repartee.wire.session_settings import SessionSettings


class ScriptedCore:
    """Answers an event as the script says; fails the test if it is entered while it is in the middle of one."""

    def __init__(self) -> None:
        self.received: list[Event] = []
        self.script: dict[str, Callable[[], list[Command]]] = {}
        self._inside = False

    def receive(self, event: Event, now: float) -> list[Command]:
        assert not self._inside, f"{event} came while another was being received"
        assert abs(time.monotonic() - now) < 1
        self._inside = True
        try:
            self.received.append(event)
            return self.script.get(named(event), list)()
        finally:
            self._inside = False


def named(event: Event) -> str:
    return event.text if isinstance(event, SayRequested) else type(event).__name__


class Rig:
    """A shell with a scripted core; what it carries out and what fails in it is noted."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.done: list[str] = []
        self.core = ScriptedCore()
        self.shell = Shell("call", self.failures.append)
        self.on_command: Callable[[str], None] = lambda name: None
        self.shell.run_core(self.core, self._carry_out)

    def _carry_out(self, command: Command) -> None:
        assert isinstance(command, ItemRemoved)
        self.done.append(command.item_id)
        self.on_command(command.item_id)

    def answers(self, text: str, *commands: str) -> None:
        self.core.script[text] = lambda: [ItemRemoved(name) for name in commands]

    @property
    def seen(self) -> list[str]:
        return [named(event) for event in self.core.received]


def test_events_go_into_the_core_one_after_the_other_and_commands_out_in_order() -> None:
    rig = Rig()
    rig.answers("one", "a", "b")
    rig.answers("two", "c")
    rig.shell.deliver(SayRequested("one"))
    rig.shell.request(SayRequested("two"))
    assert (rig.seen, rig.done) == (["one", "two"], ["a", "b", "c"])


def test_an_event_that_comes_up_while_a_command_is_carried_out_waits_for_the_others() -> None:
    rig = Rig()
    rig.answers("one", "a", "b")
    rig.answers("two", "c")
    rig.answers("three", "d")
    put = {"a": "two", "b": "three"}
    rig.on_command = lambda name: rig.shell.deliver(SayRequested(put[name])) if name in put else None
    rig.shell.deliver(SayRequested("one"))
    assert rig.seen == ["one", "two", "three"]
    assert rig.done == ["a", "b", "c", "d"], "the first event's commands before the second event"


@pytest.mark.parametrize("way", ["deliver", "request"])
def test_an_event_raised_during_receive_waits_its_turn(way: str) -> None:
    """Whoever raises it: a core that calls out, an author's function that a core has called."""
    rig = Rig()

    def raise_another() -> list[Command]:
        getattr(rig.shell, way)(SayRequested("two"))
        assert rig.seen == ["one"]
        return [ItemRemoved("a")]

    rig.core.script["one"] = raise_another
    rig.answers("two", "b")
    rig.shell.deliver(SayRequested("one"))
    assert (rig.seen, rig.done) == (["one", "two"], ["a", "b"])


def test_what_cannot_happen_now_is_logged_and_the_next_event_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()

    def illegal() -> list[Command]:
        raise IllegalTransition(State.LISTENING, Cause.PLAYED_OUT)

    def refused() -> list[Command]:
        raise ClientProtocolError("no such thing")

    rig.core.script |= {"one": illegal, "two": refused}
    with caplog.at_level(logging.WARNING):
        for text in ("one", "two", "three"):
            rig.shell.deliver(SayRequested(text))
    assert rig.seen == ["one", "two", "three"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert all("SayRequested has no place now" in record.message for record in caplog.records)


def test_a_wish_that_cannot_be_met_is_the_clients_to_hear_of_and_nothing_that_waits_is_lost() -> None:
    rig = Rig()

    def refused() -> list[Command]:
        rig.shell.deliver(SayRequested("two"))
        raise ClientProtocolError("no such thing", code="item_not_found")

    rig.core.script["one"] = refused
    with pytest.raises(ClientProtocolError, match="no such thing"):
        rig.shell.request(SayRequested("one"))
    assert rig.seen == ["one", "two"]


def test_the_shell_goes_on_after_a_command_that_failed() -> None:
    rig = Rig()
    rig.answers("one", "a")

    def fail(name: str) -> None:
        raise FileNotFoundError(name)

    rig.on_command = fail
    with pytest.raises(FileNotFoundError):
        rig.shell.deliver(SayRequested("one"))
    rig.shell.deliver(SayRequested("two"))
    assert rig.seen == ["one", "two"]


def cores() -> list[Core]:
    side = AgentSide(tools=[], style="", transcriber="t", own_voice=True)
    return [
        TurnMachine("1"),
        RelayMachine("1", SessionSettings(), side),
        ScriptedCore(),
    ]


@pytest.mark.parametrize("core", cores(), ids=lambda core: type(core).__name__)
def test_the_shell_runs_any_core(core: Core) -> None:
    shell = Shell("call", lambda error: pytest.fail(str(error)))
    commands: list[Command] = []
    shell.run_core(core, commands.append)
    shell.deliver(SayRequested("Hello."))
    shell.deliver(HungUp())
    shell.deliver(ItemDeleted("anything"))  # a core that is over takes everything and does nothing
    if not isinstance(core, ScriptedCore):
        assert commands


# --- tasks -------------------------------------------------------------------------------------------------------


async def fails(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def test_a_tasks_failure_is_the_calls() -> None:
    async def play() -> None:
        rig = Rig()
        error = RuntimeError("a fault of the worker's")
        rig.shell.start(fails(error))
        await asyncio.sleep(0.1)
        assert rig.failures == [error]
        await rig.shell.stop()

    run(play())


def test_an_awaited_tasks_failure_is_seen_by_the_one_that_awaits_it_and_only_there() -> None:
    async def play() -> None:
        rig = Rig()
        with pytest.raises(TimeoutError):
            await rig.shell.start_awaited(fails(TimeoutError()))
        assert rig.failures == []
        await rig.shell.stop()

    run(play())


def test_stopping_cancels_everything_and_waits_for_it() -> None:
    async def play() -> None:
        rig = Rig()
        ended: list[str] = []

        async def lasts(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(1.0)  # cleaning up takes a moment
                ended.append(name)

        rig.shell.start(lasts("one"))
        rig.shell.start_awaited(lasts("two"))
        rig.shell.set_deadline(SetDeadline("late", time.monotonic() + 5))
        await asyncio.sleep(0)
        await rig.shell.stop()
        assert sorted(ended) == ["one", "two"]
        await asyncio.sleep(10)
        assert (rig.failures, rig.seen) == ([], [])

    run(play())


# --- time --------------------------------------------------------------------------------------------------------


def test_a_deadline_comes_as_an_event_once_and_may_be_replaced_or_cleared() -> None:
    async def play() -> None:
        rig = Rig()
        at = time.monotonic()
        for name, after_s in (("a", 5), ("a", 2), ("b", 3), ("c", 4), ("late", -1)):
            rig.shell.set_deadline(SetDeadline(name, at + after_s))
        rig.shell.clear_deadline(ClearDeadline("b"))
        rig.shell.clear_deadline(ClearDeadline("never set"))
        await asyncio.sleep(10)
        assert rig.core.received == [DeadlinePassed("late"), DeadlinePassed("a"), DeadlinePassed("c")]

    run(play())


def test_a_deadline_may_be_put_off_when_it_comes() -> None:
    async def play() -> None:
        rig = Rig()
        waits = [1.5, 0.5, 0.0]
        began = now()
        came: list[float] = []
        rig.core.script["DeadlinePassed"] = lambda: came.append(now()) or []  # type: ignore[func-returns-value]
        rig.shell.set_deadline(SetDeadline("commit", time.monotonic() + 1), put_off=lambda: waits.pop(0))
        await asyncio.sleep(10)
        assert [at - began for at in came] == [pytest.approx(3.0, abs=0.2)]

    run(play())


def test_a_fault_at_a_deadline_is_the_calls() -> None:
    async def play() -> None:
        rig = Rig()
        error = ssl.SSLError("ours")

        def fail() -> list[Command]:
            raise error

        rig.core.script["DeadlinePassed"] = fail
        rig.shell.set_deadline(SetDeadline("a", time.monotonic()))
        await asyncio.sleep(1)
        assert rig.failures == [error]

    run(play())


# --- faults of the worker's own, which look like a socket's ------------------------------------------------------

OWN_FAULTS = [TimeoutError("a lookup"), FileNotFoundError("a file"), ssl.SSLError("a certificate")]
PLACES = ["model", "voice", "ears", "core"]


def break_at(stage: Stage, place: str, error: OSError) -> None:
    """Have this raised where nobody expects it."""

    def broken(*args: Any, **options: Any) -> Any:
        raise error

    async def broken_later(*args: Any, **options: Any) -> Any:
        raise error

    if place == "model":
        stage.brain.reply = broken  # type: ignore[method-assign]
    elif place == "voice":
        stage.voice.speak = broken_later  # type: ignore[method-assign]
    elif place == "ears":
        stage.ears.transcribers[0].feed = broken  # type: ignore[method-assign]
    else:
        stage.call.shell.run_core(TurnMachine("call"), broken)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", OWN_FAULTS, ids=lambda error: type(error).__name__)
async def test_a_fault_of_the_workers_own_is_logged_and_is_no_hanging_up(
    error: OSError, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(error, OSError), "what a socket raises too"
    async with Stage() as stage:
        await stage.ears.opened()
        break_at(stage, place, error)
        await stage.turn("Hello?")
        end = await stage.ended()
    assert end is CallEnd.FAILED
    assert OUTCOMES[end] == "failed" != OUTCOMES[CallEnd.CLIENT_GONE] == "ended"
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert {record.message for record in logged} == {"call call failed; closing it"}
    assert {record.exc_info[1] for record in logged if record.exc_info} == {error}


@pytest.mark.parametrize("error", OWN_FAULTS, ids=lambda error: type(error).__name__)
async def test_an_authors_oserror_ends_neither_the_call_nor_a_turn(
    error: OSError, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(instructions="Be kind.")

    @agent.on_call_start
    async def begin(ctx: object) -> None:
        raise error

    @agent.tool
    async def look_up() -> str:
        """Look something up."""
        raise error

    async with Stage(agent) as stage:
        await stage.turn("Hello?")
        (await stage.brain.asked()).calls("1", "look_up")
        (await stage.brain.asked()).ends()
        assert "failed" in (await stage.brain.asked(2)).last_words
    assert await stage.ended() is CallEnd.CLIENT_GONE
    assert f"on_call_start failed in call call: {type(error).__name__}" in caplog.text
    assert "Tool look_up failed in call call" in caplog.text


async def test_a_fault_in_what_fills_gaps_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """It runs beside everything, and nobody waits for it."""
    async with Stage() as stage:
        ears = await stage.ears.opened()
        stage.client.sends_audio(caller_audio(100))
        await stage.bell.until(lambda: ears.fed)
        break_at(stage, "ears", TimeoutError("filling"))
        assert await stage.ended() is CallEnd.FAILED  # no more audio comes, so the next to feed is the filler
    assert "TimeoutError: filling" in caplog.text


async def test_a_fault_in_a_transcribers_exchange_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    async with Stage() as stage:
        ears = await stage.ears.opened()
        closing = ears.aclose
        error = FileNotFoundError("closing")

        async def fails_once() -> None:
            ears.aclose = closing  # type: ignore[method-assign]
            await closing()
            raise error

        ears.aclose = fails_once  # type: ignore[method-assign]
        german = {"type": "realtime", "audio": {"input": {"transcription": {"language": "de"}}}}
        stage.client.sends("session.update", session=german)
        assert await stage.ended() is CallEnd.FAILED
    assert "FileNotFoundError: closing" in caplog.text


async def test_only_the_transport_makes_it_a_hanging_up() -> None:
    async with Stage() as stage:
        stage.client.vanishes()
        stage.client.sends("conversation.item.retrieve", item_id="nowhere")
        assert await stage.ended() is CallEnd.CLIENT_GONE


def test_every_end_of_a_call_has_an_outcome() -> None:
    assert set(OUTCOMES) == set(CallEnd)
    assert set(OUTCOMES.values()) | {"cancelled"} == set(get_args(CallOutcome))
