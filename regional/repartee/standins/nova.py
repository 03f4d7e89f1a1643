"""Nova: the conversation on ``/v1/listen``. Owns its messages; :mod:`.turns` decides when they are due."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from repartee.standins.faults import Fault
from repartee.standins.link import Link
from repartee.standins.listening import FINISH_LEAD_MS, HeardFormat, IdleWatch, Listening, Wording
from repartee.standins.recogniser import Word, text_of
from repartee.standins.state import StandInState
from repartee.standins.turns import NovaEvent, NovaTurns

IDLE_S = 10.0
"""Without audio or a KeepAlive for so long, the socket is closed with 1011."""

ROUNDING_S = 0.001
"""Words' times are rounded to the millisecond."""

IDLE_REASON = "NET-0001: no audio and no text message arrived within the timeout window"
MODEL_UUID = "5f1c0a4e-0000-4000-8000-5a4d1e5a11d5"


@dataclass(frozen=True, slots=True)
class NovaParameters:
    """A nova stream's parameters, checked. ``endpointing_ms`` None: switched off."""

    audio: HeardFormat
    model: str = "nova-3"
    interim_results: bool = False
    endpointing_ms: float | None = 10.0
    utterance_end_ms: float | None = None
    vad_events: bool = False
    punctuate: bool = False


@dataclass(slots=True)
class _Final:
    """How many words of one utterance were told as final."""

    words: int = 0


class NovaSession:
    """One nova stream from its handshake to its close."""

    def __init__(self, link: Link, state: StandInState, settings: NovaParameters, request_id: str) -> None:
        self._link = link
        self._state = state
        self._settings = settings
        self._request_id = request_id
        self._listening = Listening(link, state, settings.audio)
        self._turns = NovaTurns(
            lambda: state.draw("start", state.profile.stt.start_of_turn_ms),
            settings.endpointing_ms,
            settings.utterance_end_ms,
            settings.interim_results,
        )
        self._idle: IdleWatch | None = None
        self._told = _Final()
        self._segment_start_ms = 0.0
        link.error_message = self._fault_message

    async def run(self) -> None:
        """Carry the stream to its end."""
        try:
            await self._link.accept(self._on_message, {"dg-request-id": self._request_id})
            self._idle = IdleWatch(IDLE_S, lambda: self._link.close(1011, IDLE_REASON))
            await self._link.closed()
        finally:
            if self._idle is not None:
                self._idle.stop()
            self._listening.close()

    def _on_message(self, message: str | bytes) -> None:
        counts = self._state.stats.of("deepgram")
        counts.messages_in += 1
        counts.audio_bytes_in += len(message) if isinstance(message, bytes) else 0
        if isinstance(message, str):
            self._on_control(message)
            return
        if self._idle is not None:
            self._idle.active()
        if message:
            self._listening.take_audio(message, self._on_step)
        else:
            self._close_stream()

    def _on_step(self) -> None:
        listening, turns, heard = self._listening, self._turns, self._listening.heard
        if turns.speaking and heard.onset_ms is not None:
            silence_ms = heard.position_ms - heard.last_sound_ms
            if silence_ms <= 0:
                listening.speech_goes_on()
            elif turns.endpointing_ms is not None and silence_ms >= turns.endpointing_ms - FINISH_LEAD_MS:
                listening.ask_for_words()
        for event in turns.step(heard):
            self._tell(event)

    def _tell(self, event: NovaEvent, *, from_finalize: bool = False) -> None:
        listening, heard = self._listening, self._listening.heard
        stt = self._state.profile.stt
        extra_ms = self._state.draw("extra", stt.extra_ms)
        match event:
            case NovaEvent.SPEECH_STARTED:
                onset_ms = heard.onset_ms or 0.0
                self._segment_start_ms = onset_ms
                if self._settings.vad_events:
                    self._say(_speech_started(onset_ms / 1000), extra_ms)
            case NovaEvent.UTTERANCE_END:
                self._say(_utterance_end(heard.last_sound_ms / 1000), extra_ms)
            case NovaEvent.INTERIM | NovaEvent.FINAL:
                known = listening.known_words().words or []
                words = known[self._told.words :]
                final = event is NovaEvent.FINAL
                self._say(self._results(words, heard.position_ms, is_final=final), extra_ms)
                if final:
                    self._told.words = max(self._told.words, len(known))
                    self._segment_start_ms = heard.position_ms
            case NovaEvent.SPEECH_FINAL:
                nova_ms = self._state.draw("nova", stt.nova_extra_ms)
                self._finish(extra_ms + nova_ms, from_finalize=from_finalize)
            case NovaEvent.RESUMED:
                listening.speech_goes_on(after_pause=True)
                self._segment_start_ms = heard.position_ms
            case NovaEvent.OVER:
                self._finish(extra_ms, from_finalize=False, rest=True)

    def _finish(self, extra_ms: float, *, from_finalize: bool, rest: bool = False) -> None:
        """Tell the words that are not told yet as final; the utterance is over, unless it comes in pieces: then
        those that may still be heard otherwise wait for the next piece, or for its end (``rest``)."""
        listening, so_far = self._listening, self._told
        start_ms, end_ms = self._segment_start_ms, listening.heard.position_ms
        in_pieces = self._turns.in_pieces and not (from_finalize or rest)
        unsettled_ms = listening.recogniser.unsettled_ms if in_pieces else -math.inf
        settled_s = (listening.heard.last_sound_ms - unsettled_ms) / 1000 + ROUNDING_S

        def build(words: list[Word]) -> str | None:
            words = [word for word in words if word.end_s <= settled_s]
            if (rest or unsettled_ms > 0) and len(words) <= so_far.words:
                return None  # nothing new
            told, so_far.words = so_far.words, max(so_far.words, len(words))
            flags = {"is_final": True, "speech_final": not from_finalize, "from_finalize": from_finalize}
            return json.dumps(self._result(words[told:], start_ms, end_ms, **flags))

        listening.tell(build, listening.ask_for_words(), extra_ms)
        self._state.stats.of("deepgram").requests += 1
        if in_pieces:
            self._turns.pause(listening.heard)
        else:
            self._utterance_over()

    def _utterance_over(self) -> None:
        self._told = _Final()
        self._turns.over(self._listening.heard)
        self._listening.utterance_over()

    def _say(self, message: dict[str, Any], extra_ms: float = 0.0) -> None:
        text = json.dumps(message)
        self._listening.tell(lambda words: text, Wording([]), extra_ms)

    def _results(self, words: list[Word], end_ms: float, *, is_final: bool) -> dict[str, Any]:
        return self._result(words, self._segment_start_ms, end_ms, is_final=is_final)

    def _result(
        self,
        words: list[Word],
        start_ms: float,
        end_ms: float,
        *,
        is_final: bool,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> dict[str, Any]:
        punctuate = self._settings.punctuate
        shown = [_word(word, punctuate=punctuate) for word in words]
        text = text_of(words) if punctuate else " ".join(str(word["word"]) for word in shown)
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": round((end_ms - start_ms) / 1000, 3),
            "start": round(start_ms / 1000, 3),
            "is_final": is_final,
            "speech_final": speech_final,
            "from_finalize": from_finalize,
            "channel": {
                "alternatives": [{"transcript": text, "confidence": 0.98 if words else 0.0, "words": shown}]
            },
            "metadata": {
                "request_id": self._request_id,
                "model_uuid": MODEL_UUID,
                "model_info": {"name": self._settings.model, "version": "stand-in", "arch": "stand-in"},
            },
        }

    def _on_control(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        match message:
            case {"type": "KeepAlive", **others} if not others:
                if self._idle is not None:
                    self._idle.active()
            case {"type": "Finalize", **others} if not others:
                self._finalize()
            case {"type": "CloseStream", **others} if not others:
                self._close_stream()
            case {"type": "Configure", **others} if not others.keys() - {"keyterms", "features"}:
                self._configure(message)
            case _:
                error = {
                    "type": "Error",
                    "variant": "SchemaError",
                    "description": "Could not parse the client's message.",
                    "message": text[:200],
                }
                self._say(error)

    def _finalize(self) -> None:
        if self._turns.speaking or self._turns.paused:
            self._tell(NovaEvent.SPEECH_FINAL, from_finalize=True)
        else:
            at_ms = self._listening.heard.position_ms
            self._say(self._result([], at_ms, at_ms, is_final=True, from_finalize=True))

    def _configure(self, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"type": "ConfigureSuccess", "request_id": self._request_id}
        if message.get("keyterms") is not None:
            if not self._settings.model.startswith("nova-3"):
                answer = {
                    "type": "ConfigureFailure",
                    "request_id": self._request_id,
                    "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
                    "description": "Only nova-3 models take keyterms in mid-stream.",
                }
            else:
                answer["keyterms"] = message["keyterms"]
        self._say(answer)

    def _close_stream(self) -> None:
        if self._turns.speaking or self._turns.paused:
            self._tell(NovaEvent.OVER)

        def close(words: list[Word]) -> str:
            return json.dumps(
                {
                    "type": "Metadata",
                    "transaction_key": "deprecated",
                    "request_id": self._request_id,
                    "sha256": "0" * 64,
                    "created": datetime.now(UTC).isoformat(),
                    "duration": round(self._listening.heard.position_ms / 1000, 3),
                    "channels": 1,
                }
            )

        self._listening.tell(close, Wording([]))
        self._listening.tell(lambda words: self._link.close(1000), Wording([]))

    def _fault_message(self, fault: Fault) -> str:
        return json.dumps(
            {
                "type": "Error",
                "variant": fault.reason or "InternalError",
                "description": "A fault was asked for.",
            }
        )


def _word(word: Word, *, punctuate: bool) -> dict[str, object]:
    bare = word.text.strip(".,?!;:").lower()
    shown: dict[str, object] = {
        "word": bare,
        "start": word.start_s,
        "end": word.end_s,
        "confidence": word.confidence,
    }
    if punctuate:
        shown["punctuated_word"] = word.text
    return shown


def _speech_started(at_s: float) -> dict[str, Any]:
    return {"type": "SpeechStarted", "channel": [0, 1], "timestamp": round(at_s, 3)}


def _utterance_end(at_s: float) -> dict[str, Any]:
    return {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": round(at_s, 3)}
