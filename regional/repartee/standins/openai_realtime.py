"""OpenAI's ``/v1/realtime``: speech in, speech out, in the events of the GA protocol.

Owns the session on the wire: its settings, the caller's audio and turns, the conversation, and which responses are
under way. One response's course is in :mod:`repartee.standins.realtime_response`.
"""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from repartee.standins.chat_request import REALTIME_MODELS, is_served
from repartee.standins.faults import FAULT_QUERY, IN_RESPONSE, Fault
from repartee.standins.link import Link, Scope
from repartee.standins.listening import FINISH_LEAD_MS, HeardFormat, Listening, Wording
from repartee.standins.openai_chat import error_document
from repartee.standins.realtime_conversation import Conversation, Item, ItemFault, checked_item, new_id
from repartee.standins.realtime_events import check_event
from repartee.standins.realtime_idle import IdleCaller
from repartee.standins.realtime_response import ModelResponse, Wanted
from repartee.standins.realtime_settings import Settings, first_settings, for_response, updated
from repartee.standins.recogniser import Word, text_of
from repartee.standins.spoilt import spoiling
from repartee.standins.state import StandInState, key_is_good
from repartee.standins.turns import UNFINISHED_MS, FluxTurns, TurnEvent, TurnTimes

PROVIDER = "openai-realtime"
"""What this stand-in is called among the faults and the counts."""

NO_TIMEOUT_MS = float("inf")
LEAST_COMMIT_MS = 100.0
DEFAULT_PADDING_MS = 300.0
ENCODINGS = {"audio/pcm": ("linear16", 24_000), "audio/pcmu": ("mulaw", 8_000), "audio/pcma": ("alaw", 8_000)}


async def realtime(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``/v1/realtime``."""
    link = Link(scope, receive, send, lambda: state.stats.of(PROVIDER), state.faults)
    if not await link.admit(PROVIDER):
        return
    status = link.fault.refusal_status if link.fault is not None else None
    if status is None and not key_is_good(_key(link)):
        status = 401
    if status is not None:
        await link.refuse(status, {}, error_document(status))
        return
    query = dict(link.query)
    if strange := sorted(query.keys() - {"model", "call_id", FAULT_QUERY}):
        told = f"Unknown parameter: '{strange[0]}'."
        await link.refuse(400, {}, error_document(400, told, strange[0], "unknown_parameter"))
        return
    await RealtimeSession(link, state, query.get("model", "")).run()


def _key(link: Link) -> str | None:
    kind, _, key = link.headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else None


class RealtimeSession:
    """One socket from its handshake to its close."""

    def __init__(self, link: Link, state: StandInState, model: str) -> None:
        self._link = link
        self._state = state
        self._model = model
        self._event_ids = count(1)
        self._settings = first_settings(new_id("sess"), model, int(time.time() + state.realtime_session_s))
        self._conversation = Conversation()
        self._conversation_id = new_id("conv")
        self._responses: list[ModelResponse] = []
        self._spoken: dict[str, ModelResponse] = {}
        self._buffered_ms = 0.0
        self._speech_item = ""
        self._expiry: asyncio.TimerHandle | None = None
        self._idle = IdleCaller(lambda: self._detection, self._on_idle)
        self._listening, self._turns = self._new_stt()
        self._handlers = self._make_handlers()
        link.error_message = self._fault_message

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._settings

    async def run(self) -> None:
        """Carry the socket to its end."""
        try:
            await self._link.accept(self._on_message, {})
            if not is_served(self._model or "", models=REALTIME_MODELS):
                self._send(
                    "error", error=_error(f"Model '{self._model}' not found.", "model_not_found", "model")
                )
                self._link.close(4000, "invalid_request_error.model_not_found")
            else:
                loop = asyncio.get_running_loop()
                self._expiry = loop.call_later(self._state.realtime_session_s, self.expire)
                self._state.realtime_sessions.add(self)
                self._send("session.created", session=self._settings)
            await self._link.closed()
        finally:
            self._state.realtime_sessions.discard(self)
            if self._expiry is not None:
                self._expiry.cancel()
            for response in self._responses:
                response.abandon()
            self._idle.stop()
            self._listening.close()

    def expire(self) -> None:
        """The session has lived its time."""
        minutes = self._state.realtime_session_s / 60
        message = f"Your session hit the maximum duration of {minutes:g} minutes."
        self._send("error", error=_error(message, "session_expired"))
        self._link.close(1001)

    # --- messages ------------------------------------------------------------------------------------------------

    def _send(self, kind: str, **fields: Any) -> None:
        self._link.send(json.dumps({"type": kind, "event_id": f"event_{next(self._event_ids)}", **fields}))

    def _make_handlers(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        return {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    def _on_message(self, message: str | bytes) -> None:
        self._state.stats.of(PROVIDER).messages_in += 1
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        if not isinstance(event, dict) or isinstance(message, bytes):
            self._send("error", error=_error("We could not parse the JSON of your event.", "invalid_json"))
            return
        try:
            check_event(event)
            self._handlers[event["type"]](event)
        except ItemFault as fault:
            self._send("error", error=_error(str(fault), fault.code, fault.param, event.get("event_id")))

    def _update(self, event: dict[str, Any]) -> None:
        has_spoken = bool(self._spoken)
        old, self._settings = (
            self._settings,
            updated(self._settings, event.get("session"), has_spoken=has_spoken),
        )
        before, now = old["audio"]["input"], self._settings["audio"]["input"]
        if before["format"] != now["format"]:
            self._listening.close()
            self._listening, self._turns = self._new_stt()
        self._send("session.updated", session=self._settings)

    # --- the caller's audio --------------------------------------------------------------------------------------

    @property
    def _detection(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._settings["audio"]["input"]["turn_detection"]
        return found

    def _new_stt(self) -> tuple[Listening, FluxTurns]:
        encoding, rate_hz = ENCODINGS[self._settings["audio"]["input"]["format"]["type"]]
        listening = Listening(self._link, self._state, HeardFormat(encoding, rate_hz))
        return listening, FluxTurns(self._turn_times, None, NO_TIMEOUT_MS)

    def _turn_times(self) -> TurnTimes:
        """The profile's, unless the client wants its turns ended after a silence of its own choice."""
        times = self._state.turn_times()
        silence_ms = (self._detection or {}).get("silence_duration_ms")
        return times if silence_ms is None else TurnTimes(times.start_ms, times.eager_ms, float(silence_ms))

    def _append(self, event: dict[str, Any]) -> None:
        try:
            audio = base64.b64decode(event.get("audio") or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise ItemFault("Invalid 'audio': expected base64.", "audio", "invalid_value") from None
        before_ms = self._listening.heard.position_ms
        self._listening.take_audio(audio, self._on_step)
        self._buffered_ms += self._listening.heard.position_ms - before_ms

    def _on_step(self) -> None:
        listening, turns, heard = self._listening, self._turns, self._listening.heard
        if heard.onset_ms is None or self._detection is None:
            return
        if turns.speaking:
            silence_ms = heard.position_ms - heard.last_sound_ms
            if silence_ms <= 0:
                listening.speech_goes_on()
            elif silence_ms >= turns.first_pause_ms - FINISH_LEAD_MS:
                listening.ask_for_words()
        for event in turns.step(heard, hold_ms=UNFINISHED_MS if listening.recogniser.unfinished else 0.0):
            if event is TurnEvent.START:
                self._speech_started(heard.onset_ms or 0.0)
            elif event is TurnEvent.END:
                self._speech_stopped()

    def _on_idle(self, timeout_ms: int) -> None:
        """Nobody has spoken for so long: the silence becomes an item, which is answered."""
        if self._turns.speaking or self._active():
            return
        end_ms, item_id = round(self._listening.heard.position_ms), new_id("item")
        span = {"audio_start_ms": max(0, end_ms - timeout_ms), "audio_end_ms": end_ms}
        self._send("input_audio_buffer.timeout_triggered", item_id=item_id, **span)
        self._take_turn(item_id, answered=True)

    def _speech_started(self, onset_ms: float) -> None:
        self._idle.stop()
        detection = self._detection or {}
        self._speech_item = new_id("item")
        padding_ms = detection.get("prefix_padding_ms", DEFAULT_PADDING_MS)
        started_ms = max(0, round(onset_ms - padding_ms))
        self._send("input_audio_buffer.speech_started", audio_start_ms=started_ms, item_id=self._speech_item)
        if detection.get("interrupt_response"):
            for response in list(self._responses):
                if response.wanted.conversation_id:
                    response.cancel("turn_detected")

    def _speech_stopped(self) -> None:
        end_ms = round(self._listening.heard.position_ms)
        self._send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=self._speech_item)
        answered = bool((self._detection or {}).get("create_response"))
        self._take_turn(self._speech_item, answered=answered)

    def _commit(self, event: dict[str, Any]) -> None:
        if self._buffered_ms < LEAST_COMMIT_MS:
            raise ItemFault(
                f"Error committing input audio buffer: buffer too small. Expected at least {LEAST_COMMIT_MS:g}ms of "
                f"audio, but buffer only has {self._buffered_ms:.2f}ms of audio.",
                "",
                "input_audio_buffer_commit_empty",
            )
        self._take_turn(new_id("item"), answered=False)

    def _take_turn(self, item_id: str, *, answered: bool) -> None:
        """The audio so far becomes an item; its words, and the answer, follow when they have been made out."""
        heard, seconds = self._listening.heard, self._buffered_ms / 1000
        wording = self._listening.ask_for_words() if heard.onset_ms is not None else Wording([])
        content: dict[str, Any] = {"type": "input_audio", "transcript": None}
        item: Item = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed"}
        item |= {"role": "user", "content": [content]}
        previous = self._conversation.insert(item)
        self._send("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        self._tell_item(item, previous)

        def words_known(words: list[Word]) -> None:
            content["transcript"] = text_of(words)
            self._state.stats.of(PROVIDER).requests += 1
            if answered and not self._active():
                with suppress(ItemFault):  # nobody hears of this refusal
                    self._respond({})
            if self._settings["audio"]["input"]["transcription"]:
                self._tell_words(item_id, content["transcript"], seconds)

        extra_ms = self._state.draw("extra", self._state.profile.stt.extra_ms)
        self._listening.tell(words_known, wording, extra_ms)
        self._turns.over()
        self._listening.utterance_over()
        self._buffered_ms = 0.0

    def _tell_words(self, item_id: str, transcript: str, seconds: float) -> None:
        kind = "conversation.item.input_audio_transcription"
        if transcript:
            self._send(f"{kind}.delta", item_id=item_id, content_index=0, delta=transcript)
        usage = {"type": "duration", "seconds": round(seconds, 3)}
        self._send(f"{kind}.completed", item_id=item_id, content_index=0, transcript=transcript, usage=usage)

    def _clear(self, event: dict[str, Any]) -> None:
        self._buffered_ms = 0.0
        self._turns.over()
        self._listening.utterance_over()
        self._send("input_audio_buffer.cleared")

    # --- the conversation ----------------------------------------------------------------------------------------

    def _tell_item(self, item: Item, previous: str | None) -> None:
        self._send("conversation.item.added", previous_item_id=previous, item=item)
        self._send("conversation.item.done", previous_item_id=previous, item=item)

    def _create_item(self, event: dict[str, Any]) -> None:
        item = checked_item(event.get("item"))
        self._tell_item(item, self._conversation.insert(item, event.get("previous_item_id")))

    def _retrieve_item(self, event: dict[str, Any]) -> None:
        item = self._conversation.find(event.get("item_id"), "retrieve")
        self._send("conversation.item.retrieved", item=item)

    def _delete_item(self, event: dict[str, Any]) -> None:
        self._conversation.remove(event.get("item_id"))
        self._send("conversation.item.deleted", item_id=event.get("item_id"))

    def _truncate_item(self, event: dict[str, Any]) -> None:
        item = self._conversation.find(event.get("item_id"), "truncate")
        end_ms, response = event.get("audio_end_ms"), self._spoken.get(item["id"])
        message = response.message if response is not None else None
        if message is None:
            raise ItemFault("Only model output audio messages can be truncated.", "item_id", "invalid_value")
        if not isinstance(end_ms, int | float) or end_ms > message.audio_ms + 1:
            raise ItemFault(
                f"Audio content of {message.audio_ms:.0f}ms is already shorter than {end_ms}ms",
                "audio_end_ms",
            )
        message.audio_ms = float(end_ms)
        heard = "".join(word for word, ends_ms in message.words if ends_ms <= end_ms)
        item["content"] = [{"type": "output_audio", "transcript": heard}]
        index = event.get("content_index", 0)
        self._send(
            "conversation.item.truncated", item_id=item["id"], content_index=index, audio_end_ms=end_ms
        )

    # --- responses -----------------------------------------------------------------------------------------------

    def _active(self) -> ModelResponse | None:
        """The response to the conversation that is under way; there may be others out of band."""
        return next((one for one in self._responses if one.wanted.conversation_id), None)

    def _create_response(self, event: dict[str, Any]) -> None:
        params = event.get("response") or {}
        active = self._active()
        if active is not None and params.get("conversation") != "none":
            raise ItemFault(
                f"Conversation already has an active response in progress: {active.response_id}. Wait until the "
                "response is finished before creating a new one.",
                "",
                "conversation_already_has_active_response",
            )
        self._respond(params)

    def _respond(self, params: Mapping[str, Any]) -> None:
        outside = params.get("conversation") == "none"
        inputs, fault = params.get("input"), self._link.fault
        items = self._conversation.items if inputs is None else self._conversation.picked(inputs)
        wanted = Wanted(
            for_response(self._settings, params),
            list(items),
            None if outside else self._conversation_id,
            fault.delay_ms if fault is not None and fault.kind == "slow_first_token" else 0.0,
            None if outside else self._state.faults.take(PROVIDER, IN_RESPONSE),
        )
        if wanted.spoilt_by("refuse_response"):
            raise ItemFault("The server had an error while processing your request.", "", "server_error")
        send = spoiling(self._send, wanted.fault, self._link.close)
        response = ModelResponse(self._state, wanted, send=send, keep=self._keep, on_end=self._response_over)
        self._responses.append(response)
        limits = [{"name": "tokens", "limit": 800_000, "remaining": 799_000, "reset_seconds": 0.0}]
        self._send("rate_limits.updated", rate_limits=limits)

    def _keep(self, item: Item) -> str | None:
        previous = self._conversation.insert(item)
        for response in self._responses:
            if response.message is not None and response.message.item is item:
                self._spoken[item["id"]] = response
        return previous

    def _response_over(self, response: ModelResponse) -> None:
        if response in self._responses:
            self._responses.remove(response)
        if response.wanted.conversation_id:
            self._idle.wait(response.message.audio_ms if response.message else 0.0)

    def _cancel_response(self, event: dict[str, Any]) -> None:
        wanted, active = event.get("response_id"), self._active()
        found = (
            next((one for one in self._responses if one.response_id == wanted), None) if wanted else active
        )
        if found is None:
            raise ItemFault("Cancellation failed: no active response found", "", "response_cancel_not_active")
        self._state.stats.of(PROVIDER).cancelled += 1
        found.cancel("client_cancelled")

    def _fault_message(self, fault: Fault) -> str:
        error = _error("The server had an error while processing your request.", fault.reason or None)
        return json.dumps(
            {"type": "error", "event_id": "event_fault", "error": error | {"type": "server_error"}}
        )


def _error(
    message: str, code: str | None, param: str | None = None, event_id: object = None
) -> dict[str, Any]:
    return {
        "type": "invalid_request_error",
        "code": code,
        "message": message,
        "param": param or None,
        "event_id": event_id if isinstance(event_id, str) else None,
    }
