"""What the caller gets of the replies in the making: their text and their sound, as they come.

Enters a reply in the history with its first words, and notes when it becomes audible. When a reply begins and ends is
not its business.
"""

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import History
from repartee.turn.owed_answer import OwedAnswer
from repartee.turn.playout import Playout
from repartee.turn.replies import Replies
from repartee.turn.reply import Reply
from repartee.turn.tool_calls import ToolCalls


class Telling:
    """Passes on the replies of one conversation as they come. Events of a reply that is gone do nothing."""

    def __init__(
        self, history: History, replies: Replies, playout: Playout, owed: OwedAnswer, calls: ToolCalls
    ) -> None:
        self._history = history
        self._replies = replies
        self._playout = playout
        self._owed = owed
        self._calls = calls

    def __repr__(self) -> str:
        return f"<Telling: {self._replies!r}>"

    def take_text(self, event: e.ReplyText, now: float) -> list[c.Command]:
        """Tokens."""
        reply = self._replies.find(event.reply_id)
        return self.told(reply, reply.take_text(event.text, now)) if reply else []

    def hurry(self, now: float) -> list[c.Command]:
        """Text has waited long enough for the end of its clause."""
        reply = self._replies.newest
        return self.told(reply, reply.hurry(now)) if reply else []

    def take_audio(self, event: e.SpeechAudio, now: float) -> list[c.Command]:
        """Speech."""
        reply = self._replies.find(event.reply_id)
        return self.told(reply, reply.take_audio(event.pcm, self._playout.speaker, now)) if reply else []

    def take_words(self, event: e.SpeechWords, now: float) -> list[c.Command]:
        """When words are spoken."""
        self._playout.take_words(event, tuple(self._replies))
        return []

    def told(self, reply: Reply, commands: list[c.Command]) -> list[c.Command]:
        """The commands that something new of a reply gives, with what follows from them."""
        if not reply.in_history and any(isinstance(command, c.ReplyWords) for command in commands):
            reply.in_history = True
            previous = self._history.append(reply.message)
            commands.insert(0, c.AnswerStarted(reply.reply_id, reply.message, previous))
        if any(isinstance(command, c.Play) for command in commands):
            self._playout.begin(reply)
        tools = self._calls.wait
        if reply.message.filler and reply.audible_at is not None:
            tools.note_filler(reply.audible_at)
        if reply.audible:
            self._calls.told(reply.tells)
        return commands + self._owed.trace(reply, filler_ms=tools.filler_ms, prefetch=tools.prefetch)
