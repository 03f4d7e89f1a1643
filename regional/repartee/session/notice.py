"""What the agent says outside of any turn: that it cannot hear the caller, and that it therefore ends the call.

The turn core cannot say it: the caller's turn may be open, and will be until somebody hears its end. It plays them
from memory if it can, as the voice may be away too.
"""

import asyncio
import contextlib

from repartee.providers.interfaces import SPEECH_HZ
from repartee.session.phrases import Phrases, Recording
from repartee.transport.interfaces import Transport
from repartee.turn import commands as c
from repartee.turn.events import NoticeSent
from repartee.turn.history import History, Message
from repartee.wire.audio_format import AudioEncoder, WireFormat
from repartee.wire.session_settings import SessionSettings

LIVE_S = 1.0
"""A notice that has not been recorded is synthesised now, if that takes no longer."""

FIRST_NUMBER = 1_000_000
"""Notices are numbered from here, beyond all replies of the turn core's."""


class NoticePlayer:
    """Says notices in one call."""

    def __init__(self, call_id: str, transport: Transport, phrases: Phrases, history: History) -> None:
        self._call_id = call_id
        self._transport = transport
        self._phrases = phrases
        self._history = history
        self._number = FIRST_NUMBER

    async def recording(self, text: str, settings: SessionSettings) -> Recording | None:
        """The notice as speech, in the session's voice or else in any; None if it is not ready in time."""
        recorded = self._recorded(text, settings)
        if recorded is None and text:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIVE_S):
                    await self._phrases.record([text], name=settings.voice, language=settings.language)
            recorded = self._recorded(text, settings)
        return recorded

    def _recorded(self, text: str, settings: SessionSettings) -> Recording | None:
        recorded = self._phrases.get(text, name=settings.voice, language=settings.language)
        return recorded or self._phrases.get_any(text, language=settings.language)

    def say(
        self, text: str, recording: Recording | None, settings: SessionSettings, sink: WireFormat
    ) -> NoticeSent:
        """Send a notice, as a response of its own, in the format ``sink``. Without a recording it is text."""
        self._number += 1
        spoken = recording is not None and settings.spoken
        message = Message(f"item_{self._call_id}_{self._number}", "assistant", text, spoken=spoken)
        number, previous = self._number, self._history.append(message)
        for begun in (
            c.ReplyStarted(number, 0),
            c.AnswerStarted(number, message, previous),
            c.ReplyWords(number, text),
        ):
            self._transport.tell(begun, 0)
        if recording is not None and spoken:
            message.audio_ms, message.audio_complete = len(recording.pcm) * 1000 / 2 / SPEECH_HZ, True
            message.words.extend(recording.words)
            encoder = AudioEncoder(sink, SPEECH_HZ)
            self._transport.play(number, encoder.feed(recording.pcm) + encoder.flush())
        self._transport.tell(c.ReplyEnded(number, 0, "completed", message), 0)
        return NoticeSent(number, message)
