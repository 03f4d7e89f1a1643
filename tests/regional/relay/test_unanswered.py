"""What the client had asked of a session that was lost, and what the session that follows is asked."""

import json
from typing import Any

import pytest

from repartee.relay import commands as r
from repartee.relay import events as re
from repartee.relay.machine import RelayMachine
from repartee.relay.settings import AgentSide
from repartee.turn import commands as c
from repartee.wire import relay_events as wire
from repartee.wire.client_events import decode
from repartee.wire.session_settings import SessionSettings

QUESTION = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Where?"}]}

WISHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "retrieve": (
        {"type": "conversation.item.retrieve", "item_id": "i1"},
        {"type": "conversation.item.retrieved", "item": {"id": "i1", "type": "message"}},
    ),
    "delete": (
        {"type": "conversation.item.delete", "item_id": "i1"},
        {"type": "conversation.item.deleted", "item_id": "i1"},
    ),
    "create": (
        {"type": "conversation.item.create", "item": QUESTION},
        {"type": "conversation.item.added", "item": {"id": "i2", "type": "message", "role": "user"}},
    ),
    "create with an id": (
        {"type": "conversation.item.create", "item": {"id": "i3", **QUESTION}},
        {"type": "conversation.item.added", "item": {"id": "i3", "type": "message", "role": "user"}},
    ),
    "commit": (
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.committed", "item_id": "i4"},
    ),
    "clear": ({"type": "input_audio_buffer.clear"}, {"type": "input_audio_buffer.cleared"}),
}


class Asking:
    """A call whose client asks, and whose sessions are lost."""

    def __init__(self) -> None:
        side = AgentSide(tools=[], style="", transcriber="t", own_voice=True)
        self.machine = RelayMachine("call", SessionSettings(), side)
        self.machine.open(instructions="", voice=None, language="en", ticket=None)
        self.receive(re.SessionBegan(again=False, lost=False))
        self.says({"type": "session.updated"})

    def receive(self, event: Any) -> list[c.Command]:
        return self.machine.receive(event, 0.0)

    def asks(self, event: dict[str, Any]) -> str:
        source = json.dumps(event)
        self.receive(re.ClientWish(decode(source, 100_000), source))
        return source

    def says(self, event: dict[str, Any]) -> None:
        text = json.dumps(event)
        self.receive(re.ProviderSaid(wire.read(text.encode()), text))

    def asked_again(self, *waiting: str) -> list[dict[str, Any]]:
        """What another session is asked, but for its settings."""
        commands = self.receive(re.SessionBegan(again=True, lost=True, waiting=waiting))
        sent = [json.loads(command.event) for command in commands if isinstance(command, r.ToProvider)]
        return [event for event in sent if event["type"] != "session.update"]


@pytest.mark.parametrize("kind", WISHES)
def test_it_is_asked_once_more_and_again_by_the_next(kind: str) -> None:
    call, (wish, _) = Asking(), WISHES[kind]
    call.asks(wish)
    assert call.asked_again() == [wish]
    assert call.asked_again() == [wish]


@pytest.mark.parametrize("kind", WISHES)
def test_what_was_answered_or_refused_or_still_waits_is_not(kind: str) -> None:
    wish, answer = WISHES[kind]
    call = Asking()
    call.asks(wish)
    call.says(answer)
    assert wish not in call.asked_again()

    call = Asking()
    call.asks(wish | {"event_id": "mine"})
    call.says({"type": "error", "error": {"message": "No.", "event_id": "mine"}})
    assert call.asked_again() == []

    call = Asking()
    assert call.asked_again(call.asks(wish)) == []


def test_two_alike_of_which_one_waits_are_asked_once() -> None:
    call, (wish, _) = Asking(), WISHES["retrieve"]
    call.asks(wish)
    assert call.asked_again(call.asks(wish)) == [wish]


def test_they_keep_their_order_and_an_answer_settles_those_before_it() -> None:
    call = Asking()
    for kind in ("create", "retrieve", "delete"):
        call.asks(WISHES[kind][0])
    assert call.asked_again() == [WISHES[kind][0] for kind in ("create", "retrieve", "delete")]
    call.says(WISHES["retrieve"][1])
    assert call.asked_again() == [WISHES["delete"][0]]


def test_a_question_in_writing_comes_before_the_response_that_was_asked_for_with_it() -> None:
    call = Asking()
    call.asks(WISHES["create"][0])
    call.asks({"type": "response.create"})
    assert [event["type"] for event in call.asked_again()] == ["conversation.item.create", "response.create"]


def test_the_end_of_a_session_is_no_refusal_of_what_it_was_asked() -> None:
    call, (wish, _) = Asking(), WISHES["retrieve"]
    call.asks(wish)
    call.says({"type": "error", "error": {"message": "60 minutes", "code": "session_expired"}})
    assert call.asked_again() == [wish]


def test_what_was_cut_is_told_as_it_was_heard_so_the_cut_is_done() -> None:
    call = Asking()
    call.asks(
        {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 0, "audio_end_ms": 900}
    )
    commands = call.receive(re.SessionBegan(again=True, lost=True))
    assert [command for command in commands if isinstance(command, r.TruncationNoted)] == [
        r.TruncationNoted("i1", 0, 900)
    ]
    assert call.asked_again() == []


def test_while_something_is_unanswered_the_moment_is_not_quiet() -> None:
    call, (wish, answer) = Asking(), WISHES["retrieve"]
    assert call.machine.is_quiet(10.0, 1.0)
    call.asks(wish)
    assert not call.machine.is_quiet(10.0, 1.0)
    call.says(answer)
    assert call.machine.is_quiet(10.0, 1.0)
