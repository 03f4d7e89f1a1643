"""A carrier at the far end of a fake socket: sends what a test says, plays what it is sent when the test says so."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.regional.session.actors import Stage
from tests.regional.session.bell import Bell

from repartee.transport.telephone.line import TelephoneTransport
from repartee.transport.telephone.twilio import TwilioFraming
from repartee.transport.websocket import AsgiSocket, WebSocketLink
from repartee.wire.announcer import Announcer
from repartee.wire.audio_format import AudioEncoder, WireFormat

ULAW = WireFormat("audio/pcmu", 8_000)


class ScriptedCarrier:
    """Twilio's side of one stream."""

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self.sent: list[dict[str, Any]] = []
        self.closed: int | None = None
        self.frames = 0
        self._inbound: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._encoder = AudioEncoder(ULAW, 24_000)

    async def receive(self) -> Mapping[str, Any]:
        return await self._inbound.get()

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close":
            self.closed = message["code"]
            self.bell.ring()
        else:
            self.push(message["text"])

    def push(self, message: str | bytes) -> bool:
        self.sent.append(json.loads(message))
        self.bell.ring()
        return True

    def says(self, **message: Any) -> None:
        """A message of the carrier's."""
        self._inbound.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def speaks(self, pcm: bytes, *, lost: int = 0) -> None:
        """The caller's voice (PCM16, 24 kHz), in frames; ``lost`` frames are missing before it."""
        self.frames += lost
        audio = self._encoder.feed(pcm)
        for at in range(0, len(audio), 160):
            self.hears_frame(audio[at : at + 160])

    def hears_frame(self, audio: bytes) -> None:
        """One frame from the telephone."""
        payload = base64.b64encode(audio).decode()
        self.says(
            event="media",
            media={"track": "inbound", "timestamp": str(self.frames * 20), "payload": payload},
        )
        self.frames += 1

    def hangs_up(self) -> None:
        self.says(event="stop", stop={})

    def drops(self) -> None:
        """The socket is gone."""
        self._inbound.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["event"] == kind]

    @property
    def audio(self) -> bytes:
        return b"".join(base64.b64decode(message["media"]["payload"]) for message in self.events("media"))

    @property
    def marks(self) -> list[str]:
        return [message["mark"]["name"] for message in self.events("mark")]

    def returns(self, *names: str) -> None:
        """These marks have been played."""
        for name in names:
            self.says(event="mark", mark={"name": name})


class TelephoneStage(Stage):
    """A cascade's call over such a stream."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.carrier = ScriptedCarrier(self.bell)

    def connect(self, names: Mapping[str, str]) -> TelephoneTransport:
        framing = TwilioFraming()
        framing.parse('{"event": "start", "streamSid": "MZ1", "start": {}}')
        socket = AsgiSocket(self.carrier.receive, self.carrier.send, push=self.carrier.push)
        self.line = TelephoneTransport(WebSocketLink(socket), framing, ULAW, Announcer("call"))
        return self.line

    async def begun(self) -> None:
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        self.carrier.drops()
