"""How the doctor tries an opened vendor, beside a connection that lasts: with the smallest part of a call."""

import asyncio
from contextlib import aclosing
from datetime import date
from typing import Protocol

from repartee.errors import ProviderError
from repartee.providers.interfaces import TTS
from repartee.turn.events import SpeechAudio

SYLLABLE = "Hm."
SYLLABLE_S = 10.0
"""How long the syllable may take."""


class Probed(Protocol):
    """A language model that can be asked for a few tokens."""

    async def probe(self) -> None:
        """Raises ProviderError."""


class Ending(Protocol):
    """A provider whose model's end can be asked for."""

    async def ends_on(self) -> date | None:
        """The day, if there is one."""


async def model_ends(provider: Ending) -> date | None:
    """When its model is to be shut down; None if nobody says so."""
    return await provider.ends_on()


async def connects(provider: object) -> None:
    """Nothing more: its connections greet, so that one that lasts says enough."""


async def answers(provider: Probed) -> None:
    """The model writes a few tokens. Raises ProviderError."""
    await provider.probe()


async def speaks(provider: TTS) -> None:
    """The voice says a syllable. Raises ProviderError or PoolTimeout."""
    utterance = await provider.speak(0)
    try:
        utterance.say(SYLLABLE, last=True)
        async with asyncio.timeout(SYLLABLE_S), aclosing(utterance.sounds()) as sounds:
            async for sound in sounds:
                if isinstance(sound, SpeechAudio):
                    return
    except TimeoutError:
        pass
    finally:
        await utterance.cancel()
    name = type(provider).__name__
    raise ProviderError(
        f"{name} took a syllable and sent no sound.", provider=name, stage="tts", retryable=True
    )
