"""Responses beside the conversation: a client asks the model for something that no caller need hear.

The model makes them whatever is being said, and any number at once up to a bound; the history neither holds them
nor changes for them. They offer none of the agent's own tools: a client's question books nothing. Methods return
commands.
"""

from collections.abc import Sequence
from typing import Any

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import History, Item
from repartee.turn.policy import TurnPolicy
from repartee.turn.replies import Replies
from repartee.turn.reply import Reply
from repartee.turn.reply_end import end_of, status_of
from repartee.turn.speaker import Speaker
from repartee.turn.tool_calls import ToolCalls, is_clients

MOST_AT_ONCE = 8
"""So many may be made at once: each costs what an answer costs."""

ASIDE_S = 30.0
"""One that is not over by then has failed."""

ASIDE = "aside "
"""How the names of their deadlines begin."""


class Asides:
    """The asides of one conversation. Their replies are numbered with the conversation's, and made as those are."""

    def __init__(self, history: History, replies: Replies, calls: ToolCalls) -> None:
        self._history = history
        self._replies = replies
        self._calls = calls
        self._making: dict[int, Reply] = {}

    def __repr__(self) -> str:
        return f"<Asides: {list(self._making.values())}>"

    def request(self, event: e.AsideRequested, policy: TurnPolicy, now: float) -> list[c.Command]:
        """The client asks for one. Raises ClientProtocolError."""
        if len(self._making) >= MOST_AT_ONCE:
            raise ClientProtocolError(
                f"{MOST_AT_ONCE} responses are being made outside the conversation: wait for one to end.",
                code="rate_limit_exceeded",
            )
        messages = self._history.messages() if event.context is None else self._read(event.context)
        reply = self._replies.aside(policy, event.request)
        number = reply.reply_id
        self._making[number] = reply
        return [
            c.StartReply(number, 0, messages, False, reply.options, aside=True, extra=policy.extra_requests),
            c.ReplyStarted(number, 0, reply.options, aside=True),
            c.SetDeadline(f"{ASIDE}{number}", now + ASIDE_S),
        ]

    def _read(self, context: Sequence[Item | str]) -> list[dict[str, Any]]:
        """What the client wants answered, in OpenAI's chat form; a text names one of the conversation's items."""
        own = History()
        for item in context:
            own.append(self._history.get(item) if isinstance(item, str) else item)
        return own.messages()

    def concerns(self, event: e.Event) -> bool:
        """Whether the event is about one of them."""
        if not self._making:
            return False
        if isinstance(event, e.DeadlinePassed):
            return event.name.startswith(ASIDE)
        return getattr(event, "reply_id", None) in self._making

    def receive(self, event: Any, policy: TurnPolicy, now: float) -> list[c.Command]:
        """Something has happened to one of them."""
        if isinstance(event, e.DeadlinePassed):
            number = int(event.name.removeprefix(ASIDE))
            event = e.ReplyFailed(number, "llm", f"It was not over after {ASIDE_S:g} s.")
        reply = self._making.get(event.reply_id)
        if reply is None:
            return []
        commands = self._told(reply, self._take(reply, event, policy, now))
        return (
            [*commands, *self._ended(reply, status_of(reply, asked_again=True))] if reply.over else commands
        )

    def close(self) -> list[c.Command]:
        """The call is over."""
        return [command for reply in tuple(self._making.values()) for command in self._cancelled(reply)]

    def _take(self, reply: Reply, event: e.Event, policy: TurnPolicy, now: float) -> list[c.Command]:
        match event:
            case e.ReplyText(text=text):
                return reply.take_text(text, now)
            case e.ReplyToolCall():
                return self._call(reply, event, policy, now)
            case e.ReplyDone(reason=reason, usage_follows=usage_follows):
                reply.usage_awaited = usage_follows
                return reply.finish_text(reason, now)
            case e.ReplyUsed(tokens=tokens):
                reply.tokens, reply.usage_awaited = tokens, False
            case e.VoiceUsed(characters=characters):
                reply.characters += characters
            case e.SpeechAudio(pcm=pcm):
                return reply.take_audio(pcm, Speaker(), now)
            case e.SpeechWords(words=words):
                reply.take_words(words)
            case e.SpeechDone():
                reply.speech_done = reply.message.audio_complete = True
            case e.ReplyFailed(message=why):
                reply.failure = why
                reply.give_up()
                return [c.StopReply(reply.reply_id)]
            case e.ReplyCancelled():
                return self._cancelled(reply)
        return []

    def _call(self, reply: Reply, event: e.ReplyToolCall, policy: TurnPolicy, now: float) -> list[c.Command]:
        """A function of the client's; of others it has not been told."""
        call = self._calls.made(event)
        if not is_clients(call.name, policy, reply):
            return []
        return [*reply.take_call(call, now), c.ToolRequested(reply.reply_id, call, None)]

    def _told(self, reply: Reply, commands: list[c.Command]) -> list[c.Command]:
        """The client knows of the message from its first words on."""
        if not reply.in_history and any(isinstance(command, c.ReplyWords) for command in commands):
            reply.in_history = True
            commands.insert(0, c.AnswerStarted(reply.reply_id, reply.message, None))
        return commands

    def _cancelled(self, reply: Reply) -> list[c.Command]:
        if reply.reply_id not in self._making:
            return []
        return [c.StopReply(reply.reply_id), *self._ended(reply, ("cancelled", "client_cancelled"))]

    def _ended(self, reply: Reply, status: tuple[c.ReplyStatus, str | None]) -> list[c.Command]:
        if self._making.pop(reply.reply_id, None) is None:
            return []
        return [end_of(reply, *status), c.ClearDeadline(f"{ASIDE}{reply.reply_id}")]
