"""What the caller hears of the agent: what was sent to them, how far it has played, what they said to it.

It works this out from what was sent when (:mod:`~repartee.turn.speaker`), or learns it from a transport that knows.
Does not know why the agent speaks, nor what it is still to say.
"""

from collections.abc import Collection, Iterable

from repartee.turn import commands as c
from repartee.turn.chunking import is_question, last_sentence
from repartee.turn.echo import AHEAD_S
from repartee.turn.events import SpeechWords
from repartee.turn.history import HEARD_SLACK_MS, SPEECH_MS_PER_CHAR, Message, heard_part
from repartee.turn.reply import Reply
from repartee.turn.speaker import Speaker


class Playout:
    """The playout of one conversation. Times are seconds."""

    def __init__(self) -> None:
        self.speaker = Speaker()
        self._sounding: list[Reply] = []
        self._rest = ""
        self._notices: list[tuple[int, Message]] = []

    def __repr__(self) -> str:
        return f"<Playout: {self._sounding}, {self.speaker!r}>"

    @property
    def audible(self) -> bool:
        """Something of an answer has been sent to the caller and not been stopped."""
        return bool(self._sounding)

    @property
    def ends_at(self) -> float:
        """When all that was sent will have been played."""
        return self.speaker.ends_at

    @property
    def sound_ends_at(self) -> float:
        """When the last of it that can be heard will have been played."""
        return self.speaker.sound_ends_at

    def holds_any(self, replies: Iterable[Reply]) -> bool:
        """The caller hears one of these, or is about to."""
        return any(reply in self._sounding for reply in replies)

    def note_notice(self, number: int, message: Message, now: float) -> None:
        """A notice was sent, outside of any turn: what is sent from now on is heard after it."""
        self.speaker.play(number, message.audio_ms, now)
        self._notices.append((number, message))

    @property
    def has_notices(self) -> bool:
        """The caller may be hearing a notice."""
        return bool(self._notices)

    def cut_notices(self, now: float) -> list[c.Command]:
        """The caller speaks over a notice: the history keeps what was heard of it."""
        commands: list[c.Command] = []
        notices, self._notices = self._notices, []
        for number, message in notices:
            heard_ms = self.speaker.heard_ms(number, now)
            if heard_ms < message.audio_ms - HEARD_SLACK_MS:
                message.heard_ms = heard_ms
                commands.append(c.StopPlaying(number))
                commands.append(c.AnswerCut(message.item_id, heard_ms, message.heard_text))
        if commands:
            self.speaker.stop(now)
        return commands

    def begin(self, reply: Reply) -> None:
        """The first of this reply's audio has been sent."""
        if reply not in self._sounding:
            self._sounding.append(reply)

    def take_words(self, event: SpeechWords, making: Collection[Reply]) -> None:
        """When words are spoken, of a reply in the making or of one that is being heard."""
        for reply in {*making, *self._sounding}:
            if reply.reply_id == event.reply_id:
                reply.take_words(event.words)

    def note_played(self, item_id: str, played_ms: float) -> None:
        """The transport says how much of an answer the caller has heard."""
        for reply in self._sounding:
            if reply.message.item_id == item_id:
                reply.played_ms = max(reply.played_ms, played_ms)

    def invites_answer(self, now: float, window_s: float) -> bool:
        """Whether what the caller says now is said in answer to the agent: all but ``window_s`` of it has been heard,
        or its last sentence, which is being heard, is a question."""
        if not self._sounding:
            return False
        message = self._sounding[-1].message
        last = last_sentence(message.text)
        left_s = self.speaker.ends_at - now
        asked_s = message.audio_ms / 1000 * len(last) / max(len(message.text), 1)
        if is_question(last) and left_s <= asked_s:
            return True
        return not message.filler and left_s <= window_s

    def said_since(self, since: float, now: float) -> str:
        """What the caller has heard since then of what the agent is saying, and is about to hear."""
        said = []
        for reply in self._sounding:
            message = reply.message
            audio_ms = max(message.audio_ms, len(message.text) * SPEECH_MS_PER_CHAR)
            parts = [
                heard_part(message.text, message.words, audio_ms, self.speaker.heard_ms(reply.reply_id, at))
                for at in (since, now + AHEAD_S)
            ]
            said.append(parts[1][len(parts[0]) :])
        return " ".join(said)

    def cut(
        self, now: float, *, making: Collection[Reply], reported: bool, barged_in: bool
    ) -> list[c.Command]:
        """Stop all that is heard. The history keeps what was heard by now, as ``reported`` or else as reckoned."""
        commands: list[c.Command] = []
        self._rest = ""
        for reply in self._sounding:
            message = reply.message
            heard_ms = reply.played_ms if reported else self.speaker.heard_ms(reply.reply_id, now)
            if message.heard_ms is not None:
                heard_ms = min(heard_ms, message.heard_ms)  # the client has told already where it stopped
            if reply not in making and heard_ms >= message.audio_ms - HEARD_SLACK_MS:
                continue
            message.heard_ms = heard_ms
            if barged_in:  # what sounds now is the first; what follows it had not begun
                commands.append(c.SpeechCut(reply.turn_id, heard_ms))
                barged_in = False
            commands.append(c.StopPlaying(reply.reply_id))
            commands.append(c.AnswerCut(message.item_id, heard_ms, message.heard_text))
            if not message.filler:
                self._rest += reply.text[len(message.heard_text) :]
        for reply in making:
            if reply.message.spoken and reply not in self._sounding:
                reply.message.heard_ms = 0.0
        self.speaker.stop(now)
        self._sounding.clear()
        return commands

    def take_rest(self) -> str:
        """What the cut has kept the caller from hearing: once."""
        rest, self._rest = self._rest, ""
        return rest

    def finish(self, now: float) -> None:
        """All that was sent has been heard."""
        self._sounding.clear()
        if now >= self.speaker.ends_at:
            self._notices.clear()
        self.speaker.forget(now)
