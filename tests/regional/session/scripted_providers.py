"""Recognition, a model and a voice that do what the test tells them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from tests.regional.session.bell import Bell

from repartee.audio.pcm import bytes_for_ms
from repartee.errors import ProviderError, VoiceError
from repartee.providers.interfaces import (
    SPEECH_HZ,
    CalledTool,
    Finished,
    Hearing,
    ReplyPart,
    ReplyRequest,
    TextDelta,
)
from repartee.turn.events import (
    SpeechAudio,
    SpeechWords,
    SpokenWord,
)


class _End:
    """Ends a stream."""


class Stream:
    """What an actor gives, piece by piece; an exception in it is raised."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = False

    def put(self, piece: Any) -> None:
        self._pieces.put_nowait(piece)

    async def run(self) -> AsyncGenerator[Any, None]:
        try:
            while not isinstance(piece := await self._pieces.get(), _End):
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed = True
            self._bell.ring()


def failure(stage: str, *, retryable: bool = True) -> ProviderError:
    """What an adapter raises when its provider fails."""
    return ProviderError(f"The {stage} broke.", provider="stage", stage=stage, retryable=retryable)


class ScriptedTranscriber:
    """One connection of the ears."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._stream = Stream(bell)
        self.fed = bytearray()
        self.pieces: list[int] = []
        self.turns_finished = 0
        self.closed = False
        self.has_room = True
        self.owing_since: float | None = None

    def hears(self, *events: Hearing) -> None:
        for event in events:
            self._stream.put(event)

    def is_lost(self) -> None:
        self._stream.put(failure("stt"))

    def feed(self, pcm: bytes) -> None:
        self.fed += pcm
        self.pieces.append(len(pcm))
        self._bell.ring()

    def finish_turn(self) -> None:
        self.turns_finished += 1
        self._bell.ring()

    def events(self) -> AsyncGenerator[Hearing, None]:
        return self._stream.run()

    async def aclose(self) -> None:
        self.closed = True
        self._stream.put(_End())
        self._bell.ring()


class ScriptedEars:
    """Opens transcribers; ``obstacles`` are exceptions to raise first, or "hang" to never come back."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.obstacles: list[VoiceError | str] = []
        self.asked = 0
        self.transcribers: list[ScriptedTranscriber] = []

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> ScriptedTranscriber:
        self.asked += 1
        self._bell.ring()
        if self.obstacles:
            obstacle = self.obstacles.pop(0)
            if isinstance(obstacle, VoiceError):
                raise obstacle
            await asyncio.Event().wait()
        self.transcribers.append(ScriptedTranscriber(self._bell))
        self._bell.ring()
        return self.transcribers[-1]

    async def opened(self, number: int = 1) -> ScriptedTranscriber:
        """The transcriber of that number, once it is open."""
        await self._bell.until(lambda: len(self.transcribers) >= number)
        return self.transcribers[number - 1]


class Thought:
    """One request to the brain."""

    def __init__(self, bell: Bell, request: ReplyRequest) -> None:
        self.request = request
        self.stream = Stream(bell)

    @property
    def last_words(self) -> Any:
        """What it was asked to answer."""
        return self.request.messages[-1]["content"]

    def says(self, *texts: str) -> None:
        for text in texts:
            self.stream.put(TextDelta(text))

    def calls(self, call_id: str, name: str, arguments: str = "{}") -> None:
        self.stream.put(CalledTool(call_id, name, arguments))

    def ends(self, reason: str = "stop") -> None:
        self.stream.put(Finished(reason))
        self.stream.put(_End())

    def fails(self, *, retryable: bool = True) -> None:
        self.stream.put(failure("llm", retryable=retryable))


class ScriptedBrain:
    """A language model that says what the test says."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.thoughts: list[Thought] = []

    def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.thoughts.append(Thought(self._bell, request))
        self._bell.ring()
        return self.thoughts[-1].stream.run()

    async def asked(self, number: int = 1) -> Thought:
        """The request of that number, once it is there."""
        await self._bell.until(lambda: len(self.thoughts) >= number)
        return self.thoughts[number - 1]


class ScriptedUtterance:
    """One reply being spoken."""

    def __init__(self, bell: Bell, reply_id: int, voice: str | None) -> None:
        self._bell = bell
        self.reply_id = reply_id
        self.voice = voice
        self.said: list[str] = []
        self.complete = False
        self.cancelled = False
        self._stream = Stream(bell)

    def say(self, text: str, *, last: bool = False) -> None:
        if text:
            self.said.append(text)
        self.complete = self.complete or last
        self._bell.ring()

    def speaks(self, ms: float, *words: SpokenWord) -> None:
        """So much audible audio."""
        if words:
            self._stream.put(SpeechWords(self.reply_id, words))
        samples = bytes_for_ms(ms, SPEECH_HZ) // 2
        self._stream.put(SpeechAudio(self.reply_id, b"\x00\x20" * samples))

    def ends(self) -> None:
        self._stream.put(_End())

    def fails(self) -> None:
        self._stream.put(failure("tts"))

    def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        return self._stream.run()

    async def cancel(self) -> None:
        self.cancelled = True
        self._bell.ring()


class ScriptedVoice:
    """Speech synthesis; ``hangs`` makes opening an utterance never come back."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.hangs = False
        self.asked = 0
        self.utterances: list[ScriptedUtterance] = []

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> ScriptedUtterance:
        self.asked += 1
        self._bell.ring()
        if self.hangs:
            await asyncio.Event().wait()
        self.utterances.append(ScriptedUtterance(self._bell, reply_id, voice))
        self._bell.ring()
        return self.utterances[-1]

    async def opened(self, number: int = 1) -> ScriptedUtterance:
        """The utterance of that number, once it is open."""
        await self._bell.until(lambda: len(self.utterances) >= number)
        return self.utterances[number - 1]
