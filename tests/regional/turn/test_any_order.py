"""Whatever happens in whatever order, hostile clients and broken providers included.

Every event is checked against the rules of :mod:`tests.regional.turn.conversation`; besides, the machine never
raises but to refuse, what it refuses changes nothing, and it always finds its way back to listening.
"""

import random
from collections.abc import Callable, Iterator
from enum import Enum
from types import FunctionType, MethodType

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.regional.turn.conversation import MANUAL, Conversation, check_messages, silence, tone

from repartee.agent.fillers import Fillers
from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.foresight import Foreseen
from repartee.turn.history import FunctionOutput, Message
from repartee.turn.machine import TurnMachine
from repartee.turn.policy import TurnPolicy
from repartee.turn.state import TRANSITIONS, Cause, State, next_state

POLICIES = [
    TurnPolicy(),
    TurnPolicy(tools=frozenset({"look_up"})),
    TurnPolicy(interruptible=False, tools=frozenset({"look_up"})),
    TurnPolicy(spoken=False),
    TurnPolicy(reply_to_turns=False, apology=""),
    TurnPolicy(speculative_chunks=0, speculations_per_turn=1),
    MANUAL,
]
TEXTS = ["", "mhm", "Hello.", "Hello there, what is my balance?", " ", "…", "Mr. Bean."]
WAITS_S = [0.0, 0.05, 0.3, 1.0, 1.5, 9.0]
NAMES = ["look_up", "elsewhere"]

Move = Callable[[Conversation, int, int], e.Event | None]


def _reply(talk: Conversation, n: int) -> int:
    """Mostly a reply that exists."""
    ids = [command.reply_id for command in talk.log if isinstance(command, c.StartReply | c.ReplyStarted)]
    return max(ids, default=1) - n % 3 if n < 9 else 99


def _wait(talk: Conversation, n: int, m: int) -> None:
    talk.wait(WAITS_S[n % len(WAITS_S)])


def _ended_at(talk: Conversation, m: int) -> float | None:
    return [None, talk.now - 0.25, talk.now + 1][m % 3]


def _policy(talk: Conversation, n: int, m: int) -> None:
    talk.machine.policy = POLICIES[n % len(POLICIES)]


def _item(talk: Conversation, n: int, m: int) -> None:
    """The client adds to the conversation, perhaps under an id that the core would use."""
    item = (
        Message(f"item_call_{n}", "user", "typed") if m % 2 else FunctionOutput(f"f{n}", f"call_{m}", "out")
    )
    try:
        talk.machine.history.add(item)
    except ClientProtocolError:
        return


def _turn(talk: Conversation, n: int, m: int) -> e.Event:
    """The caller begins a turn or interrupts; a whole turn follows at once."""
    talk.send(e.StartOfTurn(TEXTS[2]))
    if m % 2:
        talk.send(e.EagerEndOfTurn(TEXTS[3]))
    return e.EndOfTurn(TEXTS[3 - n % 2], talk.now)


def _answer(talk: Conversation, n: int, m: int) -> e.Event:
    """The newest reply is written and spoken, perhaps to its end."""
    reply = _reply(talk, 0)
    talk.send(e.ReplyText(reply, "It is ten pounds, and that is all. "))
    if m % 2:
        talk.send(e.ReplyToolCall(reply, f"call_{n}", NAMES[n % 2], "{}"))
    if m % 3:
        talk.send(e.ReplyDone(reply))
    return e.SpeechAudio(reply, tone(300)) if m % 4 else e.SpeechDone(reply)


def _item_id(talk: Conversation, n: int) -> str:
    items = list(talk.machine.history)
    return items[n % len(items)].item_id if items else "nothing"


MOVES: list[Move] = [
    _wait,
    _wait,
    _policy,
    _item,
    _turn,
    _turn,
    _answer,
    _answer,
    _answer,
    lambda talk, n, m: e.StartOfTurn(TEXTS[n % len(TEXTS)]),
    lambda talk, n, m: e.PartialTranscript(TEXTS[n % len(TEXTS)]),
    lambda talk, n, m: e.EagerEndOfTurn(TEXTS[n % len(TEXTS)], _ended_at(talk, m)),
    lambda talk, n, m: e.TurnResumed(),
    lambda talk, n, m: e.EndOfTurn(TEXTS[n % len(TEXTS)], _ended_at(talk, m)),
    lambda talk, n, m: e.EndOfTurn(TEXTS[n % len(TEXTS)], _ended_at(talk, m)),
    lambda talk, n, m: e.HearingLost(),
    lambda talk, n, m: e.HearingResumes(anew=bool(n % 2)),
    lambda talk, n, m: e.ReplyText(_reply(talk, n), TEXTS[m % len(TEXTS)]),
    lambda talk, n, m: e.ReplyText(_reply(talk, n), "It is ten pounds, and more is to come. "),
    lambda talk, n, m: e.ReplyToolCall(_reply(talk, n), f"call_{m}", NAMES[m % 2], "{}"),
    lambda talk, n, m: e.ReplyDone(_reply(talk, n), ["stop", "length", "tool_calls"][m % 3]),
    lambda talk, n, m: e.ReplyFailed(_reply(talk, n), ["llm", "tts"][m % 2], "gone"),
    lambda talk, n, m: e.SpeechAudio(_reply(talk, n), [b"", silence(40), tone(300), tone(2000)][m % 4]),
    lambda talk, n, m: e.SpeechAudio(_reply(talk, n), tone(300)),
    lambda talk, n, m: e.SpeechWords(_reply(talk, n), (e.SpokenWord("ten", 100, 200),)),
    lambda talk, n, m: e.SpeechDone(_reply(talk, n)),
    lambda talk, n, m: e.ToolFinished(f"call_{m}", "result"),
    lambda talk, n, m: e.TurnCommitted(),
    lambda talk, n, m: e.AudioCleared(),
    lambda talk, n, m: e.ReplyRequested(spoken=[None, False][n % 2]),
    lambda talk, n, m: e.SayRequested(["", "One moment."][m % 2]),
    lambda talk, n, m: e.LookedUp(_reply(talk, n), (Foreseen("look_up", "{}", "ten"),)),
    lambda talk, n, m: e.Played(_item_id(talk, n), [0, 100, 5000][m % 3]),
    lambda talk, n, m: e.ItemCreated(Message("", "user", "Note that.")),
    lambda talk, n, m: e.ReplyCancelled([None, _reply(talk, n)][m % 2]),
    lambda talk, n, m: e.Truncated(_item_id(talk, n), [0, 100, 5000][m % 3]),
    lambda talk, n, m: e.DeadlinePassed(["first audio", "played out", "commit", "filler", "chunk"][m % 5]),
]

moves = st.lists(
    st.tuples(st.sampled_from(MOVES), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60
)
quickly = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def conversation(policy: TurnPolicy) -> Conversation:
    return Conversation(
        policy, Fillers({"look_up": ["One moment.", "Nearly there."]}) if policy.tools else None
    )


def play(talk: Conversation, script: list[tuple[Move, int, int]], *, watched: bool = False) -> Iterator[None]:
    """Play a script; refusals are fine, and change nothing."""
    for move, n, m in script:
        event = move(talk, n, m)
        if event is None:
            continue
        before = snapshot(talk.machine) if watched else None
        length = len(talk.log)
        try:
            talk.send(event)
        except ClientProtocolError:
            assert len(talk.log) == length
            assert before is None or snapshot(talk.machine) == before
        check_messages(talk.machine.history.messages())
        yield


def drain(talk: Conversation, *, providers: bool) -> None:
    """Nobody does anything new: recognition, tools, deadlines and working providers come to their ends."""
    for _ in range(30):
        if talk.machine.state in (State.HEARING, State.EAGER, State.OVERLAP):
            if talk.machine.state is State.HEARING and not talk.machine.policy.automatic:
                talk.send(e.TurnCommitted())
            talk.send(e.EndOfTurn(""))
        if providers:
            for command in list(talk.log):
                if isinstance(command, c.StartReply | c.ReplyStarted):
                    talk.send(e.ReplyDone(command.reply_id))
                    talk.send(e.SpeechDone(command.reply_id))
        for call_id in talk.rules.tools:
            talk.send(e.ToolFinished(call_id, "result"))
        talk.wait(30)
        if talk.machine.state is State.LISTENING and not talk.deadlines:
            return
    raise AssertionError(f"wedged: {talk.machine!r}")


@quickly
@given(st.sampled_from(POLICIES), moves)
def test_the_rules_hold(policy: TurnPolicy, script: list[tuple[Move, int, int]]) -> None:
    talk = conversation(policy)
    for _ in play(talk, script):
        pass
    talk.send(e.HungUp())
    talk.rules.check_the_end()
    assert not talk.deadlines


@quickly
@given(st.sampled_from(POLICIES), moves, st.booleans())
def test_it_is_never_wedged(policy: TurnPolicy, script: list[tuple[Move, int, int]], providers: bool) -> None:
    """With working providers, and with providers that have fallen silent for ever."""
    talk = conversation(policy)
    for _ in play(talk, script):
        pass
    drain(talk, providers=providers)
    assert not talk.machine.generating
    talk.rules.check_the_end()


@settings(quickly, max_examples=150)
@given(st.sampled_from(POLICIES), moves)
def test_what_is_refused_changes_nothing(policy: TurnPolicy, script: list[tuple[Move, int, int]]) -> None:
    talk = conversation(policy)
    for _ in play(talk, script, watched=True):
        pass


@settings(quickly, max_examples=150)
@given(st.sampled_from(POLICIES), moves)
def test_after_a_stop_the_agent_is_silent_until_someone_speaks(
    policy: TurnPolicy, script: list[tuple[Move, int, int]]
) -> None:
    """Once the caller has interrupted and goes on speaking, whatever providers send is not heard."""
    talk = conversation(policy)
    for _ in play(talk, script):
        pass
    if talk.machine.state is not State.HEARING:
        return
    length = len(talk.log)
    for reply_id in range(10):
        talk.voice_speaks(500, reply=reply_id + 1)
    assert not [command for command in talk.log[length:] if isinstance(command, c.Play)]


def snapshot(thing: object, seen: frozenset[int] = frozenset()) -> object:
    """Everything there is in an object, as plain data."""
    if thing is None or isinstance(thing, str | bytes | int | float | Enum | type):
        return thing
    if isinstance(thing, FunctionType | MethodType) or id(thing) in seen:
        return None
    seen = seen | {id(thing)}
    if isinstance(thing, dict):
        return [(snapshot(key, seen), snapshot(value, seen)) for key, value in thing.items()]
    if isinstance(thing, list | tuple | set | frozenset):
        parts = [snapshot(part, seen) for part in thing]
        return sorted(map(repr, parts)) if isinstance(thing, set | frozenset) else parts
    if isinstance(thing, msgspec.Struct):
        names = list(thing.__struct_fields__)
    else:
        names = [*getattr(thing, "__dict__", ()), *getattr(type(thing), "__slots__", ())]
    return type(thing).__name__, [(name, snapshot(getattr(thing, name), seen)) for name in names]


def test_the_snapshot_sees_a_change_deep_inside() -> None:
    talk = Conversation()
    talk.caller_says("Hello.")
    before = snapshot(talk.machine)
    assert snapshot(talk.machine) == before
    talk.model_writes("H")
    assert snapshot(talk.machine) != before


def test_random_play_takes_every_transition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests above would prove little; and the table holds nothing that cannot happen."""
    taken: set[tuple[State, Cause]] = set()

    def spy(state: State, cause: Cause) -> State:
        taken.add((state, cause))
        return next_state(state, cause)

    monkeypatch.setattr("repartee.turn.state.next_state", spy)
    dice = random.Random(7)
    for _ in range(1500):
        script = [(dice.choice(MOVES), dice.randrange(10), dice.randrange(10)) for _ in range(60)]
        talk = conversation(dice.choice(POLICIES))
        for _ in play(talk, script):
            pass
        if taken == set(TRANSITIONS):
            return
    assert set(TRANSITIONS) - taken == set()


def test_ids_are_unique_beyond_a_call() -> None:
    assert TurnMachine("a").new_item_id() != TurnMachine("b").new_item_id()
