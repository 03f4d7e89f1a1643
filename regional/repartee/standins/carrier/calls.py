"""A call's life at a carrier: its documents are fetched, signed, and carried out verb by verb."""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from repartee.standins.carrier import documents as d
from repartee.standins.carrier.conference import mix
from repartee.standins.carrier.dialects import StreamIdentity
from repartee.standins.carrier.media_stream import CarrierStream, LineFaults
from repartee.standins.carrier.network import TelephoneNetwork
from repartee.standins.carrier.playout import FRAME_BYTES, SILENCE
from repartee.standins.carrier.telephones import Telephone
from repartee.standins.carrier.ticks import ticks
from repartee.standins.pcm import from_linear16
from repartee.standins.synthesiser import SynthesisUnavailable, synthesise

MACHINE_START_S: Final = 0.5
"""So soon it knows a machine from a person."""

OVER: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a call is placed with. ``document`` or ``url``: what steers it once it is answered. ``detection``: Enable
    or DetectMessageEnd, told to ``detection_url``."""

    caller: str
    called: str
    direction: str = "inbound"
    url: str = ""
    document: str = ""
    status_url: str = ""
    events: frozenset[str] = frozenset({"completed"})
    timeout_s: float = 60.0
    detection: str = ""
    detection_url: str = ""


class CarriedCall:
    """One call. ``telephone`` is the one that has called, or that is called."""

    def __init__(
        self, network: TelephoneNetwork, carrier: str, plan: CallPlan, telephone: Telephone | None
    ) -> None:
        self.id = network.new_call_id(carrier)
        self.carrier = carrier
        self.plan = plan
        self.status = "ringing" if plan.direction == "inbound" else "queued"
        self.answered_by = ""
        self.streams: list[CarrierStream] = []
        self.faults = LineFaults()
        self.log: list[str] = []
        self._network = network
        self._telephone = telephone
        self._began = time.monotonic()
        self._new: deque[list[d.Verb]] = deque()
        self._changed = asyncio.Event()
        network.keep(self.id, self)

    @property
    def over(self) -> bool:
        """Nothing can be done with it any more."""
        return self.status in OVER

    # --- what the customer asks for ------------------------------------------------------------------------------

    def complete(self) -> None:
        """End it."""
        self._new.append([d.HangupVerb()])
        self._changed.set()

    def replace(self, text: str) -> None:
        """Go on with another document. Raises DocumentRefused."""
        self._new.append(d.read_document(text, self.carrier))
        self._changed.set()

    def redirect(self, url: str) -> None:
        """Go on with the document at this address."""
        self._new.append([d.RedirectVerb(url)])
        self._changed.set()

    # --- its life ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """From its first document to its end."""
        end = "failed"
        try:
            end = await self._answered() if self.plan.direction != "inbound" else ""
            if not end:
                end = await self._carry()
        except d.DocumentRefused as error:
            self.log.append(str(error))
            end = "failed"
        finally:
            self.status = end
            if self._telephone is not None:
                self._telephone.tell({"event": "ended", "call_id": self.id, "status": end})
                self._telephone.gone.set()
        await self._tell_status(end)

    async def _answered(self) -> str:
        """An outbound call rings; how it ended, if nobody answers."""
        telephone = self._network.free_telephone(self.plan.called)
        await self._tell_status("initiated")
        if telephone is None:
            return "failed"
        if telephone.answered.is_set():
            return "busy"
        self._telephone = telephone
        self.status = "ringing"
        telephone.tell({"event": "incoming", "from": self.plan.caller, "call_id": self.id})
        await self._tell_status("ringing")
        found = await first_of(
            telephone.answered.wait(),
            telephone.gone.wait(),
            self._changed.wait(),
            timeout_s=self.plan.timeout_s,
        )
        if found != 0:
            telephone.tell({"event": "missed", "call_id": self.id})
            return {1: "busy", 2: "canceled"}.get(found if found is not None else -1, "no-answer")
        self.status = "in-progress"
        await self._tell_status("in-progress")
        if self.plan.detection:
            self._network.start(self._detect(telephone))
        return ""

    async def _carry(self) -> str:
        assert self._telephone is not None
        telephone = self._telephone
        verbs = deque(await self._first())
        if verbs and isinstance(verbs[0], d.RejectVerb):
            return "busy"
        self.status = "in-progress"
        telephone.tell({"event": "answered", "call_id": self.id})
        while verbs:
            performing = asyncio.ensure_future(self._perform(verbs.popleft(), telephone))
            gone = await first_of(performing, telephone.gone.wait(), self._changed.wait())
            if not performing.done():
                performing.cancel()
            with suppress(asyncio.CancelledError):
                follows = await performing
                if follows is not None:
                    verbs = deque(follows)
            if telephone.gone.is_set():
                return "completed"
            if gone == 2 or self._new:
                self._changed.clear()
                verbs = deque(self._new.popleft())
        return "completed"

    async def _first(self) -> Sequence[d.Verb]:
        if self.plan.document:
            return d.read_document(self.plan.document, self.carrier)
        return await self._document(self.plan.url)

    async def _document(self, url: str, **more: str) -> list[d.Verb]:
        answer = await self._network.webhook(self.carrier, url, self.fields(**more))
        if answer.status != 200:
            raise d.DocumentRefused(11200, f"{url} answered {answer.status}: {answer.text[:200]}")
        self.log.append(answer.text)
        return d.read_document(answer.text, self.carrier)

    async def _perform(self, verb: d.Verb, telephone: Telephone) -> list[d.Verb] | None:
        """Carry one out; what replaces the rest of the document, if anything does."""
        match verb:
            case d.HangupVerb():
                return []
            case d.RedirectVerb(url):
                return await self._document(url)
            case d.PauseVerb(length_s):
                await play(telephone, SILENCE * int(length_s * 50))
            case d.SayVerb(words):
                self.log.append(f"said: {words}")
                await play(telephone, await spoken(words))
            case d.StreamVerb():
                await self._stream(verb, telephone)
            case d.DialVerb(conference=""):
                await self._dial(verb, telephone)
            case d.DialVerb():
                await self._confer(verb, telephone)
            case d.RejectVerb():
                raise d.DocumentRefused(d.INVALID, "<Reject> is good only as the first verb")
        return None

    async def _stream(self, verb: d.StreamVerb, telephone: Telephone) -> None:
        account = self._network.account
        identity = StreamIdentity(
            f"MZ{self.id[-32:]}{len(self.streams)}",
            self.id,
            account.id_at(self.carrier),
            self.plan.caller,
            self.plan.called,
        )
        stream = CarrierStream(
            self.carrier, identity, telephone, both_ways=verb.both_ways, faults=self.faults
        )
        self.streams.append(stream)
        headers = account.twilio_headers(verb.url, []) if self.carrier == "twilio" else {}
        how = await stream.run(verb.url, headers, verb.parameters)
        self.log.append(f"stream: {how} ({stream.figures.ended})")
        if verb.status_callback and how != "closed":
            said = {"StreamEvent": "stream-error", "StreamError": stream.figures.ended[:200]}
            self._network.start(
                self._network.webhook(self.carrier, verb.status_callback, self.fields(**said))
            )

    async def _dial(self, verb: d.DialVerb, telephone: Telephone) -> None:
        """Ring somebody else, and join the two."""
        other = self._network.free_telephone(verb.number)
        self.log.append(f"dialled: {verb.number}")
        if other is None or other.answered.is_set():
            return
        other.tell({"event": "incoming", "from": self.plan.caller, "call_id": self.id})
        found = await first_of(other.answered.wait(), other.gone.wait(), timeout_s=verb.timeout_s)
        if found != 0:
            other.tell({"event": "missed", "call_id": self.id})
            return
        other.tell({"event": "answered", "call_id": self.id})
        telephone.tell({"event": "joined", "number": verb.number})
        try:
            async for _ in ticks():
                if other.gone.is_set():
                    return
                mix([telephone, other])
        finally:
            other.tell({"event": "ended", "call_id": self.id, "status": "completed"})
            other.gone.set()

    async def _confer(self, verb: d.DialVerb, telephone: Telephone) -> None:
        room = self._network.room(verb.conference)
        self.log.append(f"conference: {verb.conference}")
        room.join(telephone, music=verb.wait_url != "")
        telephone.tell({"event": "joined", "conference": verb.conference})
        try:
            await room.ended.wait()
        finally:
            room.leave(telephone, ends=verb.ends_on_exit)

    async def _detect(self, telephone: Telephone) -> None:
        """Person or machine, while the call goes on."""
        await asyncio.sleep(MACHINE_START_S)
        self.answered_by = "human" if not telephone.machine else "machine_start"
        if telephone.machine and self.plan.detection == "DetectMessageEnd":
            await telephone.beeped.wait()
            self.answered_by = "machine_end_beep"
        fields = {"AccountSid": self._network.account.id_at(self.carrier), "CallSid": self.id}
        fields |= {"AnsweredBy": self.answered_by, "From": self.plan.caller, "To": self.plan.called}
        await self._network.webhook(self.carrier, self.plan.detection_url, fields)

    async def _tell_status(self, status: str) -> None:
        event = {"in-progress": "answered"}.get(status, status if status not in OVER else "completed")
        if self.plan.status_url and event in self.plan.events:
            await self._network.webhook(self.carrier, self.plan.status_url, self.fields(status))

    def fields(self, status: str = "", **more: str) -> dict[str, str]:
        """What every webhook says of the call."""
        return {
            "AccountSid": self._network.account.id_at(self.carrier),
            "ApiVersion": "2010-04-01",
            "CallSid": self.id,
            "CallStatus": status or self.status,
            "Direction": self.plan.direction,
            "From": self.plan.caller,
            "To": self.plan.called,
            **({"CallDuration": str(round(time.monotonic() - self._began))} if status in OVER else {}),
            **more,
        }


async def play(telephone: Telephone, audio: bytes) -> None:
    """Have it heard, at real time; what is spoken meanwhile is heard by nobody."""
    async for tick in ticks():
        frame = audio[tick * FRAME_BYTES : (tick + 1) * FRAME_BYTES]
        if not frame:
            return
        telephone.heard()
        telephone.play(frame + SILENCE[len(frame) :])


async def spoken(words: str) -> bytes:
    """These words in mu-law; silence of their length where there is no voice."""
    try:
        pcm = (await asyncio.to_thread(synthesise, words, rate_hz=8_000)).pcm
    except SynthesisUnavailable:
        return SILENCE * (len(words) * 3)
    return from_linear16(pcm, "pcm_mulaw")


async def first_of(
    *waits: Coroutine[Any, Any, Any] | asyncio.Future[Any], timeout_s: float | None = None
) -> int | None:
    """Which of these is there first; None: none within the time. Futures are left running, all else is ended."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return next((number for number, task in enumerate(tasks) if task.done()), None)
    finally:
        for wait, task in zip(waits, tasks, strict=True):
            if task is not wait:
                task.cancel()
