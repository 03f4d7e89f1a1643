"""The relay core: every decision in a call with a speech-to-speech model.

``RelayMachine.receive(event, now)`` takes what happened and returns what to do about it, as the turn core does. Whose
turn it is, the provider decides; the machine runs the agent's part, keeps the record of turns and items, and says
what another session is given when one is lost. It touches no task, no socket and no clock.
"""

from collections.abc import Callable
from typing import Any

from repartee.relay import commands as r
from repartee.relay import events as re
from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.relay.outside import OutsideItems
from repartee.relay.responses import Response, Responses
from repartee.relay.screen import Screen
from repartee.relay.settings import AgentSide, RelaySettings
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.filler import FillerChoice
from repartee.turn.history import Message, unknown_item
from repartee.turn.item_list import HistoryLimits
from repartee.turn.tool_wait import FILLER, ToolWait
from repartee.wire import client_events as w
from repartee.wire import relay_events as wire
from repartee.wire.session_config import SessionConfig

HIDDEN = frozenset(["session.created", "session.updated", "rate_limits.updated"])
"""Events between the worker and the provider: the client's session is the worker's."""

OWN_EVENT = "rep_"
"""How the ids of events begin that the relay sends of its own accord."""

PLAYED = "played"
"""The deadline by which the caller has heard everything."""

TURN_END_MS = 8_000.0
"""So much quiet ends a turn under any settings of OpenAI's: its calmest detector waits 8 s."""

SLACK_S = 0.001
"""A deadline so near has come: timers are rounded."""


class RelayMachine:
    """One call. ``call_id`` makes ids unique beyond it; ``tools`` are those that the agent runs."""

    def __init__(
        self,
        call_id: str,
        config: SessionConfig,
        agent: AgentSide,
        fillers: FillerChoice,
        tools: frozenset[str],
        history: HistoryLimits | None = None,
    ) -> None:
        self._call_id = call_id
        self._ids = 0
        wait: ToolWait[Response] = ToolWait(fillers)
        self.turns = TurnLedger(wait)
        self.items = ItemLedger(history)
        self.settings = RelaySettings(config, agent, self._new_event_id)
        self._responses = Responses(self.turns, self.items, wait, tools, self._new_event_id)
        self._outside = OutsideItems()
        self._screen = Screen(tools)
        self._words: dict[str, str] = {}
        self._replies = 0
        self._caller_speaks = False
        self._asked_at = 0.0
        self._request: str | None = None
        self._turn_waits = False
        self._over = False
        self._handlers: dict[type[e.Event], Callable[[Any, float], list[c.Command]]] = {
            re.ClientWish: self._on_wish,
            re.ProviderSaid: self._on_said,
            re.ProviderSound: self._on_sound,
            re.SessionBegan: self._on_session,
            re.RecordingFound: self._on_recording,
            re.RecordingMissing: self._on_no_recording,
            re.NoticeWanted: lambda ev, now: self._play(ev.text, ev.length_ms, ev.lead_in_ms, now)[1],
            e.SayRequested: lambda ev, now: self._responses.say(ev.text),
            e.ToolFinished: lambda ev, now: self._responses.finished(ev, self._new_item_id(), now),
            e.Played: self._on_played,
            e.DeadlinePassed: self._on_deadline,
            e.HungUp: self._on_hung_up,
        }

    def __repr__(self) -> str:
        return f"<RelayMachine {self._call_id}: turn {self.turns.turn_id}, {self._responses!r}>"

    def receive(self, event: e.Event, now: float) -> list[c.Command]:
        """What to do about an event, in order. ``now`` is seconds on any monotonic clock.

        Raises ClientProtocolError for a client's wish that cannot be met; then nothing has changed.
        """
        if self._over:
            return []
        commands = self._handlers[type(event)](event, now)
        return commands if self._over else [*commands, *self._responses.plan(now)]

    def open(self, **chosen: Any) -> SessionConfig:
        """The call begins, with what the agent has made of its settings (:meth:`RelaySettings.begin`)."""
        self.settings.begin(**chosen)
        self._responses.spoken = self.settings.config.spoken
        return self.settings.config

    # --- what the session may look at ------------------------------------------------------------------------------

    @property
    def keeps_utterance(self) -> bool:
        """The caller's audio may have to be sent again: they speak, or have not been answered."""
        return self.turns.speaking or self.turns.unanswered

    def is_quiet(self, now: float, quiet_s: float) -> bool:
        """The session could be changed now without anyone noticing."""
        settled = not self.settings.pending and now - self._asked_at > quiet_s
        silent = not self.turns.speaking and self.turns.speaker.ends_at < now
        return settled and silent and self._responses.idle

    @property
    def request(self) -> str | None:
        """The client's last ``response.create``, as long as no response has begun since."""
        return self._request

    def owes(self, quiet_ms: float) -> bool:
        """The provider owes something: to a request, or to a turn that has ended (``quiet_ms`` of quiet end any)."""
        detection = self.settings.config.turn_detection
        if self._responses.owed or self._request is not None:
            return True
        if detection is None:
            return False
        return (self._turn_waits and detection.replies) or (self.turns.speaking and quiet_ms >= TURN_END_MS)

    # --- the client ----------------------------------------------------------------------------------------------

    def _on_wish(self, event: re.ClientWish, now: float) -> list[c.Command]:
        self._asked_at = now
        wish = event.wish
        match wish:
            case w.SessionUpdate(session=patch):
                update = self.settings.change(patch, event.source, wish.event_id)
                return [r.ToProvider(update), self._settings_changed()]
            case w.ClearOutput():
                return [r.ToProvider(wire.encode("response.cancel"))]
            case w.TruncateItem() | w.RetrieveItem() | w.DeleteItem() if wish.item_id in self._outside:
                return self._outside.answer(wish)
            case w.TruncateItem() | w.RetrieveItem() | w.DeleteItem() if self._screen.hides(wish.item_id):
                raise unknown_item(wish.item_id)
            case w.TruncateItem(item_id=item_id, audio_end_ms=heard_ms):
                self.items.cut(item_id, heard_ms)
            case w.CreateResponse():
                self._request = event.source
        return [r.ToProvider(event.source)]

    def _settings_changed(self) -> c.Command:
        self._responses.spoken = self.settings.config.spoken
        return r.SettingsChanged(self.settings.config)

    def _on_played(self, event: e.Played, now: float) -> list[c.Command]:
        """The transport reports what the caller has heard; another session is given no more than that."""
        self.items.heard(event.item_id, event.played_ms)
        return []

    # --- the provider's session ----------------------------------------------------------------------------------

    def _on_session(self, event: re.SessionBegan, now: float) -> list[c.Command]:
        """What a new session is given: the settings, and, if it follows another, what has been said so far."""
        opening: list[c.Command] = [r.ToProvider(text) for text in self.settings.opening()]
        if not event.again:
            return opening
        cut: list[c.Command] = [
            r.CutResponse(response.response_id, response.sounded)
            for response in self._responses.under_way.values()
        ]
        replay, ask, played = self._left_undone(event, now)
        for item in self.items.replay():
            self.items.hide(item["id"])
            created = wire.encode("conversation.item.create", event_id=self._new_event_id(), item=item)
            opening.append(r.ToProvider(created))
        if replay:
            opening.append(r.ReplayAudio())
        opening += self._responses.restart(ask=ask, now=now)
        if ask:
            self._request = None  # one answer is enough
        if self._request is not None and not event.waits:
            opening.append(r.ToProvider(self._request))
        return [*cut, *opening, *played]

    def _left_undone(self, event: re.SessionBegan, now: float) -> tuple[bool, bool, list[c.Command]]:
        """Whether the caller's audio is to be sent again, whether an answer is to be asked for, and what is to be
        waited for."""
        answering = self._responses.answering
        detection = self.settings.config.turn_detection
        automatic = detection is not None and detection.replies
        self._turn_waits = False
        lost, ask, played = event.lost, False, list[c.Command]()
        replay = not lost or self.turns.speaking or event.suspected
        unheard = self.items.drop_unheard()
        self._words.clear()
        if lost and automatic and self.turns.unanswered and not self._responses.more_to_come:
            replay = replay or unheard
            ask = not unheard and not self.turns.speaking
        elif answering is not None and not answering.sounded:
            ask = True
        elif answering is not None:
            played = _look_again(self.turns.responded(now, more=False, failed=True))
        return replay, ask, played

    def _on_said(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        return self._screen.passing(self._heed(event, now), event.event)

    def _heed(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        said = event.event
        match said.type:
            case "session.updated":
                update = self.settings.taken()
                return [r.SettingsChanged(update.config, confirmed=True)] if update and update.before else []
            case "error" if said.error is not None:
                return self._on_error(event.source, said.error)
            case "input_audio_buffer.speech_started":
                return self._speech_started(event, now)
            case "input_audio_buffer.speech_stopped":
                self._turn_waits = True
                return self._speech_stopped(event, now)
            case "input_audio_buffer.committed":
                by_client = self.turns.speaking or not self.turns.unanswered
                return self._speech_stopped(event, now) if by_client else [r.PassOn(event.source)]
            case kind if kind.startswith("conversation.item."):
                return self._on_item(event, said)
            case kind if kind.startswith("response."):
                return [r.PassOn(event.source), *self._on_response(said, now)]
            case kind:
                return [] if kind in HIDDEN else [r.PassOn(event.source)]

    def _on_error(self, source: str, error: wire.ErrorSeen) -> list[c.Command]:
        self._request = None
        update = self.settings.refused(error)
        if update is not None and update.before is not None:
            return [self._settings_changed(), r.RefuseClient(error, update.event_id)]
        if update is not None:
            return [r.RefuseAgent(error)]
        if error.event_id and error.event_id.startswith(OWN_EVENT):
            self._responses.refused(error.event_id)
            return [r.NoteRefusal(error.message)]
        return [] if error.code == "session_expired" else [r.PassOn(source)]

    # --- the caller ----------------------------------------------------------------------------------------------

    def _speech_started(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        self._turn_waits = False
        if self._caller_speaks:
            return []
        self._caller_speaks = True
        return [r.PassOn(event.source), *self.turns.started(now), *self._responses.caller_spoke()]

    def _speech_stopped(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        self._caller_speaks = False
        return [r.PassOn(event.source), *self.turns.stopped(now, event.speech_ended_at)]

    def _on_item(self, event: re.ProviderSaid, said: wire.ProviderEvent) -> list[c.Command]:
        passed: list[c.Command] = [r.PassOn(event.source)]
        match said.type.removeprefix("conversation.item."):
            case "input_audio_transcription.delta" if said.item_id:
                return passed + self._hear(said.item_id, said.delta or "")
            case "input_audio_transcription.completed" if said.item_id:
                self._words.pop(said.item_id, None)
                self.items.says(said.item_id, said.transcript or "")
                served = [r.Served()] if said.transcript else []
                return [*passed, r.HearWords(self.turns.turn_id, said.transcript or ""), *served]
            case "added" | "done" as kind if said.item is not None:
                return (
                    passed if self.items.note(said.item, said.previous_item_id, done=kind == "done") else []
                )
            case "deleted" if said.item_id:
                self.items.remove(said.item_id)
        return passed

    def _hear(self, item_id: str, more: str) -> list[c.Command]:
        text = self._words[item_id] = self._words.get(item_id, "") + more
        turn_id = self.turns.turn_id
        return [r.HearWords(turn_id, text), c.TurnHeard(turn_id, item_id, text)]

    # --- responses -----------------------------------------------------------------------------------------------

    def _on_sound(self, event: re.ProviderSound, now: float) -> list[c.Command]:
        delta = event.delta
        response = self._responses.under_way.get(delta.response_id)
        if response is None:
            return []
        response.sounded = True
        self.items.sounds(delta.item_id, event.length_ms)
        played: list[c.Command] = [r.PlaySound(delta, event.source)]
        if response.outside:
            self.turns.sent_filler(event.length_ms, 0.0, now)
            return played
        return played + self.turns.sent_audio(
            delta.response_id, delta.item_id, event.length_ms, event.silent_ms, now
        )

    def _on_response(self, said: wire.ProviderEvent, now: float) -> list[c.Command]:
        match said.type.removeprefix("response."):
            case "created" if said.response is not None:
                self._request, self._turn_waits = None, False
                self._responses.created(said.response)
            case "output_item.added" if said.item is not None and said.response_id:
                self._output_added(said.response_id, said.item)
            case "output_item.done" if said.item is not None and said.response_id:
                if said.item.type == "function_call" and said.item.status == "completed":
                    return self._responses.called(said.response_id, said.item, now)
            case "output_audio_transcript.delta" | "output_text.delta" if said.item_id:
                self.items.continues(said.item_id, said.delta or "")
            case "output_text.done":
                self.turns.wrote()
            case "output_audio.done" if said.response_id:
                return [r.EndSound(said.response_id)]
            case "done" if said.response is not None:
                return self._response_done(said.response, now)
        return []

    def _output_added(self, response_id: str, item: wire.ItemSeen) -> None:
        response = self._responses.under_way.get(response_id)
        if response is None or item.type != "message":
            return
        response.item_id = item.id
        if response.outside:
            self._outside.add(Message(item.id, "assistant", "", spoken=True))

    def _response_done(self, seen: wire.ResponseSeen, now: float) -> list[c.Command]:
        response = self._responses.under_way.get(seen.id)
        commands = self._responses.done(seen, now)
        if seen.status == "completed":
            commands.append(r.Served())
        if response is not None and response.outside:
            return commands
        calls = any(item.type == "function_call" for item in seen.output)
        failed = seen.status in ("failed", "cancelled")
        commands += _look_again(self.turns.responded(now, more=calls and not failed, failed=failed))
        return commands if self.turns.unanswered else [*commands, r.ForgetAudio()]

    def _on_deadline(self, event: e.DeadlinePassed, now: float) -> list[c.Command]:
        if event.name == FILLER:
            return self._responses.fill(now)
        if event.name != PLAYED:
            return []
        later = self.turns.speaker.ends_at
        if later > now + SLACK_S:
            return [c.SetDeadline(PLAYED, later)]
        return self.turns.played(now + SLACK_S)

    # --- what is said without the provider -----------------------------------------------------------------------

    def _on_recording(self, event: re.RecordingFound, now: float) -> list[c.Command]:
        recital = self._responses.take_recital(event.token)
        if recital is None:
            return []
        message, commands = self._play(recital.text, event.length_ms, event.lead_in_ms, now)
        known = [] if recital.filler else self._have_it_known(message)
        return [*commands, *known, *self._responses.go_on()]

    def _play(
        self, text: str, length_ms: float, lead_in_ms: float, now: float
    ) -> tuple[Message, list[c.Command]]:
        """A recorded phrase, as a response of its own."""
        self._replies += 1
        reply_id, turn_id = self._replies, self.turns.turn_id
        message = Message(self._new_item_id(), "assistant", text, spoken=True)
        self._outside.add(message)
        self.turns.sent_filler(length_ms, lead_in_ms, now)
        return message, [
            c.ReplyStarted(reply_id, turn_id),
            c.AnswerStarted(reply_id, message, None),
            c.ReplyWords(reply_id, text),
            r.PlayRecording(reply_id, text),
            c.ReplyEnded(reply_id, turn_id, "completed", message),
        ]

    def _have_it_known(self, message: Message) -> list[c.Command]:
        """Have the model know that this was said."""
        fields = {"type": "message", "role": "assistant"}
        item = {"id": message.item_id, **fields, "content": [{"type": "output_text", "text": message.text}]}
        self.items.add(message.item_id, fields, text=message.text)
        self.items.hide(message.item_id)
        created = wire.encode("conversation.item.create", event_id=self._new_event_id(), item=item)
        return [r.ToProvider(created)]

    def _on_no_recording(self, event: re.RecordingMissing, now: float) -> list[c.Command]:
        recital = self._responses.take_recital(event.token)
        return [] if recital is None else self._responses.have_it_said(recital)

    # --- the end -------------------------------------------------------------------------------------------------

    def _on_hung_up(self, event: e.HungUp, now: float) -> list[c.Command]:
        self._over = True
        self._responses.close()
        return self.turns.ended("unanswered", now)

    def _new_event_id(self) -> str:
        self._ids += 1
        return f"{OWN_EVENT}{self._call_id}_{self._ids}"

    def _new_item_id(self) -> str:
        self._ids += 1
        return f"item_{self._call_id}_{self._ids}"


def _look_again(due: float | None) -> list[c.Command]:
    return [] if due is None else [c.SetDeadline(PLAYED, due)]
