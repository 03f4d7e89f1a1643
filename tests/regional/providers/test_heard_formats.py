"""A telephone's audio goes to recognisers as narrow as it came, on connections of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from tests.promptness import DEADLINE_S
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from repartee.audio.pcm import ulaw_to_pcm
from repartee.pool.settings import PoolSettings
from repartee.providers.cartesia_stt import InkSettings, InkSTT
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.heard_format import (
    USUAL_FORMAT,
    HeardEncoder,
    TelephoneDecoder,
    decoder_for,
    heard_as_it_came,
)
from repartee.providers.interfaces import HEARING_HZ
from repartee.wire.audio_format import AudioDecoder, AudioEncoder, WireFormat

POOL = PoolSettings(spare=1, young_s=0.0, acquire_timeout_s=30.0, dials_per_s=1000, call_dials_per_s=1000)
GREETINGS = {
    "/v2/listen": {"type": "Connected", "request_id": "a", "sequence_id": 0},
    "/stt": {"type": "connected"},
}
VENDORS: dict[str, Any] = {
    "flux": lambda url: FluxSTT(FluxSettings(url, "k", pool=POOL)),
    "nova": lambda url: NovaSTT(NovaSettings(url, "k", pool=POOL)),
    "ink": lambda url: InkSTT(InkSettings(url, "k", pool=POOL)),
}
FORMATS = {
    "mu-law": (WireFormat("audio/pcmu", 8_000), ("mulaw", "pcm_mulaw")),
    "A-law": (WireFormat("audio/pcma", 8_000), ("alaw", "pcm_alaw")),
    "PCM16 8 k": (WireFormat("audio/pcm", 8_000), ("linear16", "pcm_s16le")),
    "PCM16 16 k": (WireFormat("audio/pcm", 16_000), ("linear16", "pcm_s16le")),
}
FEED_MS = 2_000


class Hearer:
    """Takes every socket, and keeps what each has asked for and was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.streams: list[tuple[dict[str, list[str]], bytearray]] = []

    async def session(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        parts = urlsplit(connection.request.path)
        audio = bytearray()
        self.streams.append((parse_qs(parts.query), audio))
        with suppress(ConnectionClosed):
            for path, greeting in GREETINGS.items():
                if path in parts.path:
                    await connection.send(json.dumps(greeting))
            async for message in connection:
                if isinstance(message, bytes):
                    audio += message

    def of(self, heard: WireFormat, encodings: tuple[str, str]) -> list[bytearray]:
        """What the connections of this format were sent."""
        return [
            audio
            for asked, audio in self.streams
            if asked["encoding"][0] in encodings and asked["sample_rate"] == [str(heard.hz)]
        ]


@asynccontextmanager
async def hearer() -> AsyncIterator[Hearer]:
    far = Hearer()
    async with serve(far.session, "127.0.0.1", 0) as server:
        far.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield far


def speech(format_: WireFormat) -> bytes:
    """A sound that a telephone carries, in this format."""
    at = np.arange(FEED_MS * HEARING_HZ // 1000) / HEARING_HZ
    tones = sum(np.sin(2 * np.pi * hz * at) for hz in (220, 700, 1_900, 2_900))
    pcm = (np.asarray(tones) * 4_000 * (1 + np.sin(2 * np.pi * 3 * at))).astype("<i2").tobytes()
    encoder = AudioEncoder(format_, HEARING_HZ)
    return encoder.feed(pcm) + encoder.flush()


def levels(audio: bytes, format_: WireFormat) -> np.ndarray[Any, Any]:
    """As samples at the format's own rate."""
    return np.frombuffer(AudioDecoder(format_, format_.hz).feed(audio), "<i2").astype(float)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", FORMATS)
async def test_each_recogniser_is_sent_a_telephones_audio_as_it_came(vendor: str, name: str) -> None:
    heard, encodings = FORMATS[name]
    sent = speech(heard)
    async with hearer() as far:
        stt = VENDORS[vendor](far.url)
        await stt.start()
        try:
            transcriber = await heard_as_it_came(stt, heard).listen()
            decoder, frame = decoder_for(stt, heard), int(heard.bytes_per_ms * 20)
            for at in range(0, len(sent), frame):
                transcriber.feed(decoder.feed(sent[at : at + frame]))
            transcriber.finish_turn()
            least = (FEED_MS - 30) * heard.bytes_per_ms
            async with asyncio.timeout(DEADLINE_S):
                while not [audio for audio in far.of(heard, encodings) if len(audio) >= least]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            [got] = [bytes(audio) for audio in far.of(heard, encodings) if len(audio) >= least]
            assert len(got) <= (FEED_MS + 1_700) * heard.bytes_per_ms, (
                "beside it: priming, and silence at the end"
            )
            was, came = levels(sent, heard), levels(got, heard)
            matched = np.correlate(came, was[4_000:12_000], "valid")
            place = int(matched.argmax())
            if heard.hz == 8_000:
                assert bytes(sent) in got, "each sample as it came: nothing is resampled"
            likeness = np.corrcoef(came[place : place + 8_000], was[4_000:12_000])[0, 1]
            assert likeness > 0.98, f"{likeness:.4f}: another sound than was sent"
        finally:
            await transcriber.aclose()
            await stt.aclose()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_lease_never_gets_another_formats_connection(vendor: str) -> None:
    ways = [USUAL_FORMAT, *(heard for heard, _ in FORMATS.values())] * 3
    async with hearer() as far:
        stt = VENDORS[vendor](far.url)
        await stt.start()
        try:
            for number, heard in enumerate(ways):
                transcriber: Any = await heard_as_it_came(stt, heard).listen()
                mark = bytes([number + 1]) * 64
                transcriber.socket.push(mark)
                async with asyncio.timeout(DEADLINE_S):
                    while not (found := [asked for asked, audio in far.streams if mark in audio]):  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                names = [names for known, names in FORMATS.values() if known == heard]
                wanted = names[0] if names else ("linear16", "pcm_s16le")
                assert found[0]["encoding"][0] in wanted and found[0]["sample_rate"] == [str(heard.hz)]
                await transcriber.aclose()
        finally:
            await stt.aclose()


async def test_several_vendors_are_each_sent_what_they_can_be() -> None:
    heard = WireFormat("audio/pcmu", 8_000)

    class Wide:
        """Takes the usual format alone."""

        async def listen(self, **_: object) -> str:
            return "wide"

    class Narrow(Wide):
        def in_format(self, heard: WireFormat) -> Any:
            async def listen(**_: object) -> str:
                return heard.encoding

            return type("Told", (), {"listen": staticmethod(listen)})()

    assert await heard_as_it_came(Wide(), heard).listen() == "wide"  # type: ignore[arg-type,comparison-overlap]
    assert await heard_as_it_came(Narrow(), heard).listen() == "audio/pcmu"  # type: ignore[arg-type,comparison-overlap]
    assert isinstance(heard_as_it_came(Narrow(), USUAL_FORMAT), Narrow)  # type: ignore[arg-type]
    assert isinstance(heard_as_it_came(Narrow(), WireFormat("audio/pcm", 48_000)), Narrow)  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", [2, 6, 14, 160, 960, 998])
def test_pieces_of_any_length_become_the_same_bytes(piece: int) -> None:
    pcm = speech(WireFormat("audio/pcm", HEARING_HZ))
    whole = HeardEncoder(WireFormat("audio/pcmu", 8_000)).feed(pcm)
    encoder = HeardEncoder(WireFormat("audio/pcmu", 8_000))
    assert b"".join(encoder.feed(pcm[at : at + piece]) for at in range(0, len(pcm), piece)) == whole
    assert len(whole) == len(pcm) // 6 and np.frombuffer(ulaw_to_pcm(whole), "<i2").std() > 1_000


@pytest.mark.parametrize("name", ["mu-law", "A-law", "PCM16 8 k"])
@pytest.mark.parametrize("piece", [1, 7, 159, 160, 161])
def test_nothing_of_a_telephones_audio_is_held_back(name: str, piece: int) -> None:
    heard, _ = FORMATS[name]
    sent, width = speech(heard), int(heard.bytes_per_ms // 8)
    decoder, encoder = TelephoneDecoder(heard), HeardEncoder(heard)
    given = 0
    for at in range(0, len(sent), piece):
        pcm = decoder.feed(sent[at : at + piece])
        given += len(pcm)
        assert given == min(at + piece, len(sent)) // width * 6
        assert encoder.feed(pcm) == sent[at // width * width : min(at + piece, len(sent)) // width * width]
    assert np.abs(np.diff(np.frombuffer(pcm, "<i2").astype(int))).max(initial=0) < 20_000
