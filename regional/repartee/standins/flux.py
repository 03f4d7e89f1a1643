"""Flux: the conversation on ``/v2/listen``. Owns its messages; turns are decided in :mod:`.turns`."""

import json
from dataclasses import dataclass, replace
from typing import Any

from repartee.standins.faults import Fault
from repartee.standins.keyterms import keyterms_fault
from repartee.standins.link import Link
from repartee.standins.listening import HeardFormat, IdleWatch, Listening, Wording
from repartee.standins.recogniser import Word, text_of
from repartee.standins.state import StandInState
from repartee.standins.turn_telling import heard_step, tell_turn
from repartee.standins.turns import FluxTurns, TurnEvent

IDLE_S = 60.0
"""Without audio or a ping for so long, the socket is closed."""

CONFIGURABLE = frozenset(("thresholds", "keyterms", "language_hints", "numerals"))
"""What a ``Configure`` may hold."""


@dataclass(frozen=True, slots=True)
class FluxParameters:
    """A Flux stream's parameters, checked. Eager ends of turn are sent only with an ``eager_eot_threshold``."""

    audio: HeardFormat
    eager_eot_threshold: float | None
    eot_threshold: float
    eot_timeout_ms: int
    keyterms: tuple[str, ...] = ()
    language_hints: tuple[str, ...] = ()


class FluxSession:
    """One Flux stream from its handshake to its close."""

    def __init__(self, link: Link, state: StandInState, settings: FluxParameters, request_id: str) -> None:
        self._link = link
        self._state = state
        self._settings = settings
        self._request_id = request_id
        self._sequence_id = 0
        self._listening = Listening(link, state, settings.audio)
        self._turns = FluxTurns(
            state.turn_times,
            settings.eager_eot_threshold,
            settings.eot_timeout_ms,
            settings.eot_threshold,
        )
        self._idle: IdleWatch | None = None
        self._eager_told = False
        link.error_message = self._fault_message

    async def run(self) -> None:
        """Carry the stream to its end."""
        try:
            await self._link.accept(self._on_message, {"dg-request-id": self._request_id})
            self._idle = IdleWatch(IDLE_S, self._on_idle)
            self._link.socket.on_ping = self._idle.active
            self._link.send(self._message("Connected"))
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
        if not message:
            self._close_stream()
            return
        self._listening.take_audio(message, self._on_step)

    def _on_step(self) -> None:
        heard_step(self._listening, self._turns, self._tell)

    def _strange(self, kind: str) -> bool:
        """This connection was asked to have such messages."""
        return self._link.fault is not None and self._link.fault.kind == kind

    def _tell(self, event: TurnEvent) -> None:
        if self._strange("strange_messages"):
            self._say_strange_things()
        tell_turn(self._listening, self._turns, event, self._builder(event))
        if event is TurnEvent.END:
            self._state.stats.of("deepgram").requests += 1

    def _builder(self, event: TurnEvent) -> Any:
        heard, turns = self._listening.heard, self._turns
        onset_ms = heard.onset_ms if heard.onset_ms is not None else heard.position_ms
        confidence = self._confidence(event)
        info = {
            "event": event.value,
            "turn_index": turns.turn_index,
            "audio_window_start": round(onset_ms / 1000, 3),
            "audio_window_end": round(heard.position_ms / 1000, 3),
        }
        trigger = {"trigger": turns.trigger} if event is TurnEvent.END else {}

        def build(words: list[Word]) -> str | None:
            if event is TurnEvent.EAGER:
                self._eager_told = bool(words)
            if not self._eager_told and event in (TurnEvent.EAGER, TurnEvent.RESUMED):
                return None  # an eager end without a word is none
            said: dict[str, Any] = {
                "transcript": text_of(words),
                "words": [
                    {"word": w.text, "confidence": w.confidence, "start": w.start_s, "end": w.end_s}
                    for w in words
                ],
                "end_of_turn_confidence": confidence,
                **trigger,
            }
            if self._strange("strange_messages"):
                said |= dict.fromkeys(("words", "end_of_turn_confidence", "languages"))
                said |= {"transcript": None} if event in (TurnEvent.START, TurnEvent.END) else {}
                said["mood"] = {"calm": 0.4}
            return self._message("TurnInfo", **info, **said)

        return build

    def _say_strange_things(self) -> None:
        warning = {"code": "SLOW_AUDIO", "description": "Audio arrives slower than it is spoken."}

        def build(words: list[Word]) -> str:
            self._link.send(self._message("Warning", **warning))
            return self._message("Telemetry", values=[None, {"a": 1}])

        self._listening.tell(build, Wording([]))

    def _confidence(self, event: TurnEvent) -> float:
        if event is TurnEvent.END and self._turns.trigger == "model":
            return round(min(1.0, self._settings.eot_threshold + 0.1), 3)
        if event is TurnEvent.EAGER:
            eager = self._settings.eager_eot_threshold or 0.5
            return round(min(eager + 0.05, self._settings.eot_threshold), 3)
        return 0.05

    def _on_control(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        match message:
            case {"type": "CloseStream", **others} if not others:
                self._close_stream()
            case {"type": "ForceEndTurn", **others} if not others:
                for event in self._turns.force_end(self._listening.heard):
                    self._tell(event)
            case {"type": "Configure", **others} if not others.keys() - CONFIGURABLE:
                self._configure(message)
            case _:
                self._fail("UNPARSABLE_CLIENT_MESSAGE", f"Could not parse the client's message: {text[:100]}")

    def _close_stream(self) -> None:
        for event in self._turns.force_end(self._listening.heard) if self._turns.speaking else []:
            self._tell(event)

        def close(words: list[Word]) -> None:
            self._link.close(1000)

        self._listening.tell(close, Wording([]))

    def _configure(self, message: dict[str, Any]) -> None:
        thresholds = message.get("thresholds") or {}
        changed, fault = self._changed(thresholds)
        if self._strange("configure_refused"):
            fault = "A fault was asked for."
        if fault is not None:
            self._link.send(
                self._message("ConfigureFailure", code="INVALID_CONFIGURATION", description=fault)
            )
            return
        keyterms = message.get("keyterms")
        if isinstance(keyterms, str):
            keyterms = [keyterms]
        if keyterms is not None:
            changed = replace(changed, keyterms=tuple(keyterms))
        if (over := keyterms_fault(changed.keyterms)) is not None:
            failure = self._message("ConfigureFailure", code="KEYTERM_LIMIT_EXCEEDED", description=over)
            self._link.send(failure)
            return
        self._settings = changed
        self._turns.eager_eot = changed.eager_eot_threshold
        self._turns.eot = changed.eot_threshold
        self._turns.timeout_ms = changed.eot_timeout_ms
        now = {
            "eager_eot_threshold": changed.eager_eot_threshold,
            "eot_threshold": changed.eot_threshold,
            "eot_timeout_ms": changed.eot_timeout_ms,
        }
        self._link.send(
            self._message(
                "ConfigureSuccess", thresholds=now, keyterms=list(changed.keyterms), language_hints=None
            )
        )

    def _changed(self, thresholds: Any) -> tuple[FluxParameters, str | None]:
        """The settings with these thresholds, and what is wrong with them, if anything."""
        limits = {
            "eager_eot_threshold": (0.3, 0.9),
            "eot_threshold": (0.5, 1.0),
            "eot_timeout_ms": (500, 60000),
        }
        settings = self._settings
        if not isinstance(thresholds, dict):
            return settings, "thresholds must be an object."
        if unknown := sorted(thresholds.keys() - limits):
            return settings, f"{unknown[0]} is not a threshold."
        for key, (low, high) in limits.items():
            value = thresholds.get(key)
            if key not in thresholds or (value is None and key != "eager_eot_threshold"):
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and low <= value <= high):
                return settings, f"{key} must be between {low:g} and {high:g}, not {value}."
            changes: dict[str, Any] = {key: value}
            settings = replace(settings, **changes)
        eager = settings.eager_eot_threshold
        if eager is not None and eager > settings.eot_threshold:
            return settings, "eager_eot_threshold must not be above eot_threshold."
        return settings, None

    def _on_idle(self) -> None:
        self._fail("NET-0001", "Neither audio nor a ping arrived within the timeout.", close=1011)

    def _fail(self, code: str, description: str, close: int = 1008) -> None:
        self._link.send(self._error(code, description))
        self._link.close(close, code)

    def _fault_message(self, fault: Fault) -> str:
        return self._error(fault.reason or "INTERNAL_SERVER_ERROR", "A fault was asked for.")

    def _error(self, code: str, description: str) -> str:
        message = {
            "type": "Error",
            "sequence_id": self._sequence_id,
            "code": code,
            "description": description,
        }
        self._sequence_id += 1
        return json.dumps(message)

    def _message(self, kind: str, **fields: Any) -> str:
        message = {"type": kind, "request_id": self._request_id, "sequence_id": self._sequence_id, **fields}
        self._sequence_id += 1
        return json.dumps(message)
