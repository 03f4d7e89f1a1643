"""The relay core: every decision in a call with a speech-to-speech model.

``RelayMachine.receive(event, now)`` takes what happened and returns what to do about it, as the turn core does. Whose
turn it is, the provider decides; the machine runs the agent's part, keeps the record of turns and items, and says
what another session is given when one is lost. It touches no task, no socket and no clock.
"""

from collections.abc import Callable
from typing import Any

from repartee.relay import commands as r
from repartee.relay import events as re
from repartee.relay.answers import OVERDUE, PLAYED, SLACK_S, Answers, look_again
from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.relay.own_speech import OwnSpeech
from repartee.relay.response import Response
from repartee.relay.response_events import ResponseEvents
from repartee.relay.responses import Responses
from repartee.relay.screen import Screen
from repartee.relay.settings import AgentSide, RelaySettings
from repartee.relay.unanswered import Unanswered
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.backchannel import acknowledges
from repartee.turn.filler import FillerChoice, NoFillers
from repartee.turn.history import unknown_item
from repartee.turn.policy import TurnPolicy
from repartee.turn.silent_caller import IDLE
from repartee.turn.tool_wait import FILLER, ToolWait
from repartee.wire import client_events as w
from repartee.wire import relay_events as wire
from repartee.wire.session_settings import SessionSettings

HIDDEN = frozenset(["session.created", "session.updated", "rate_limits.updated"])
"""Events between the worker and the provider: the client's session is the worker's."""

OWN_EVENT = "rep_"
"""How the ids of events begin that the relay sends of its own accord."""

TURN_END_MS = 8_000.0
"""So much quiet ends a turn under any settings of OpenAI's: its calmest detector waits 8 s."""


class RelayMachine:
    """One call. ``call_id`` makes ids unique beyond it. ``cuts``: when the caller interrupts, the provider's
    conversation is cut to what was heard; if not, the client does that, as OpenAI's clients do."""

    def __init__(
        self,
        call_id: str,
        settings: SessionSettings,
        agent: AgentSide,
        policy: TurnPolicy | None = None,
        fillers: FillerChoice | None = None,
        *,
        cuts: bool = False,
    ) -> None:
        policy = policy or TurnPolicy()
        self._call_id = call_id
        self._cuts = cuts
        self._ids = 0
        wait: ToolWait[Response] = ToolWait(fillers or NoFillers())
        self.turns = TurnLedger(wait)
        self.items = ItemLedger(policy.history)
        self.settings = RelaySettings(settings, agent, self._new_event_id)
        self._responses = Responses(self.turns, self.items, wait, self._new_event_id, self._new_item_id)
        self._answers = Answers(self.turns, self.items, self._responses, wait)
        self._speech = OwnSpeech(
            self.turns, self.items, self._responses, self._new_event_id, self._new_item_id
        )
        self._events = ResponseEvents(self.turns, self.items, self._responses, self._answers, self._speech)
        self._screen = Screen(self._responses.runs)
        self._unanswered = Unanswered()
        self._words: dict[str, str] = {}
        self._caller_speaks = False
        self._asked_at = 0.0
        self._over = False
        self.policy = policy
        self._handlers: dict[type[e.Event], Callable[[Any, float], list[c.Command]]] = {
            re.ClientWish: self._on_wish,
            re.ProviderSaid: self._on_said,
            re.ProviderSound: self._events.take_sound,
            re.SessionBegan: self._on_session,
            re.RecordingFound: self._on_recording,
            re.RecordingMissing: self._on_no_recording,
            re.NoticeWanted: lambda ev, now: self._speech.play(ev.text, ev.length_ms, ev.lead_in_ms, now)[1],
            e.SayRequested: lambda ev, now: self._responses.say(ev.text),
            e.ToolFinished: self._responses.finished,
            e.Played: self._on_played,
            e.DeadlinePassed: self._on_deadline,
            e.HungUp: self._on_hung_up,
        }

    def __repr__(self) -> str:
        return f"<RelayMachine {self._call_id}: turn {self.turns.turn_id}, {self._responses!r}>"

    @property
    def policy(self) -> TurnPolicy:
        """How turns are taken, as far as that is not the provider's to decide; may be replaced at any time."""
        return self._responses.policy

    @policy.setter
    def policy(self, policy: TurnPolicy) -> None:
        self._responses.policy = policy

    def receive(self, event: e.Event, now: float) -> list[c.Command]:
        """What to do about an event, in order. ``now`` is seconds on any monotonic clock.

        Raises ClientProtocolError for a client's wish that cannot be met; then nothing has changed.
        """
        if self._over:
            return []
        commands = self._handlers[type(event)](event, now)
        return commands if self._over else [*commands, *self._answers.after(now), *self._responses.plan(now)]

    def open(self, **chosen: Any) -> SessionSettings:
        """The call begins, with what the agent has made of its settings (:meth:`RelaySettings.begin`)."""
        self.settings.begin(**chosen)
        return self.settings.session

    # --- what the session may look at ------------------------------------------------------------------------------

    @property
    def keeps_utterance(self) -> bool:
        """The caller's audio may have to be sent again: they speak, or have not been answered."""
        return self.turns.speaking or self.turns.unanswered

    def is_quiet(self, now: float, quiet_s: float) -> bool:
        """The session could be changed now without anyone noticing."""
        asked = self.settings.pending or len(self._unanswered) > 0
        settled = not asked and now - self._asked_at > quiet_s
        silent = not self.turns.speaking and self.turns.speaker.ends_at < now
        return settled and silent and self._responses.idle

    def weighs_silence(self, response_id: str) -> bool:
        """Whether it matters how much silence a response's audio begins with: nothing of it was heard yet."""
        response = self._responses.under_way.get(response_id)
        return self.turns.untraced or (response is not None and not response.audible)

    def owes(self, quiet_ms: float) -> bool:
        """The provider owes something: to a request, or to a turn that has ended (``quiet_ms`` of quiet end any)."""
        detection = self.settings.session.turn_detection
        if self._responses.owed or self._events.request is not None:
            return True
        if detection is None:
            return False
        return (self._responses.turn_waits and detection.replies) or (
            self.turns.speaking and quiet_ms >= TURN_END_MS
        )

    # --- the client ----------------------------------------------------------------------------------------------

    def _on_wish(self, event: re.ClientWish, now: float) -> list[c.Command]:
        self._asked_at = now
        wish = event.wish
        match wish:
            case w.SessionUpdate(session=patch):
                update = self.settings.change(patch, event.source, wish.event_id)
                return [r.ToProvider(update), r.SettingsChanged(self.settings.session)]
            case w.CancelResponse() | w.ClearOutput():
                self._responses.hush()
                cancel = wire.encode("response.cancel") if isinstance(wish, w.ClearOutput) else event.source
                return [r.ToProvider(cancel), r.ClearSound()]
            case w.TruncateItem() | w.RetrieveItem() | w.DeleteItem() if wish.item_id in self._speech.outside:
                return self._speech.outside.answer(wish)
            case w.TruncateItem() | w.RetrieveItem() | w.DeleteItem() if self._screen.hides(wish.item_id):
                raise unknown_item(wish.item_id)
            case w.TruncateItem(item_id=item_id, audio_end_ms=heard_ms):
                self.items.cut(item_id, heard_ms)
            case w.CreateResponse(response=params):
                self._events.request = event.source
                tools = params.tools if params else None
                self._events.request_tools = None if tools is None else frozenset(tool.name for tool in tools)
                beside = params is not None and params.conversation == "none"
                return [r.ToProvider(event.source), *([] if beside else self._answers.requested(now))]
        self._unanswered.sent(wish, event.source)
        return [r.ToProvider(event.source)]

    def _on_played(self, event: e.Played, now: float) -> list[c.Command]:
        """The transport reports what the caller has heard; the conversation will be cut to no more than that."""
        self.items.heard(event.item_id, event.played_ms)
        self._speech.sounding.played(event.item_id, event.played_ms)
        return []

    # --- the provider's session ----------------------------------------------------------------------------------

    def _on_session(self, event: re.SessionBegan, now: float) -> list[c.Command]:
        """What a new session is given: the settings, and, if it follows another, what has been said so far."""
        opening: list[c.Command] = [r.ToProvider(text) for text in self.settings.opening()]
        if not event.again:
            return [*opening, *self._replayed()]
        cut: list[c.Command] = [
            r.CutResponse(response.response_id, response.sounded)
            for response in self._responses.under_way.values()
        ]
        replay, ask, played = self._left_undone(event, now)
        opening += self._replayed()
        if replay:
            opening.append(r.ReplayAudio())
        opening += self._unanswered.ask_again(event.waiting)
        opening += self._responses.restart(ask=ask, now=now)
        if ask:
            self._events.request = None  # one answer is enough
        if self._events.request is not None and self._events.request not in event.waiting:
            opening.append(r.ToProvider(self._events.request))
        return [*cut, *opening, *played]

    def _replayed(self) -> list[c.Command]:
        """What has been said so far, created anew; the client sees nothing of that."""
        commands: list[c.Command] = []
        for item in self.items.replay():
            self.items.hide(item["id"])
            created = wire.encode("conversation.item.create", event_id=self._new_event_id(), item=item)
            commands.append(r.ToProvider(created))
        return commands

    def _left_undone(self, event: re.SessionBegan, now: float) -> tuple[bool, bool, list[c.Command]]:
        """Whether the caller's audio is to be sent again, whether an answer is to be asked for, and what is to be
        waited for."""
        answering = self._responses.answering
        detection = self.settings.session.turn_detection
        automatic = detection is not None and detection.replies
        self._responses.turn_waits = False
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
            played = look_again(self.turns.responded(now, more=False, failed=True))
        return replay, ask, played

    def _on_said(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        self._screen.look(event.event)
        self._unanswered.hear(event.event)
        return self._screen.passing(self._heed(event, now), event.event)

    def _heed(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        said = event.event
        match said.type:
            case "session.updated":
                update = self.settings.taken()
                return (
                    [r.SettingsChanged(update.settings, confirmed=True)] if update and update.before else []
                )
            case "error" if said.error is not None:
                return self._on_error(event.source, said.error, now)
            case "input_audio_buffer.speech_started":
                return self._speech_started(event, now)
            case "input_audio_buffer.speech_stopped":
                return self._speech_stopped(event, now, waits=True) if self._caller_speaks else []
            case "input_audio_buffer.committed":
                by_client = self.turns.speaking or not self.turns.unanswered
                return self._speech_stopped(event, now) if by_client else [r.PassOn(event.source)]
            case kind if kind.startswith("conversation.item."):
                return self._on_item(event, said)
            case kind if kind.startswith("response."):
                return self._events.take(event, now)
            case kind:
                return [] if kind in HIDDEN else [r.PassOn(event.source)]

    def _on_error(self, source: str, error: wire.ErrorSeen, now: float) -> list[c.Command]:
        self._events.request = None
        update = self.settings.refused(error)
        if update is not None and update.before is not None:
            return [r.SettingsChanged(self.settings.session), r.RefuseClient(error, update.event_id)]
        if update is not None:
            return [r.RefuseAgent(error)]
        if error.event_id and error.event_id.startswith(OWN_EVENT):
            return [r.NoteRefusal(error.message), *self._answers.refused(error.event_id, error, now)]
        return [] if error.code == "session_expired" else [r.PassOn(source)]

    # --- the caller ----------------------------------------------------------------------------------------------

    def _speech_started(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        self._responses.turn_waits = False
        if self._caller_speaks:
            return []
        self._caller_speaks = True
        interrupts = self.policy.interruptible
        reported = self.policy.playout_reported
        cut = self._speech.cut_short(now, reported=reported, cuts=self._cuts) if interrupts else []
        commands = [r.PassOn(event.source), *self.turns.started(now, interrupts=interrupts), *cut]
        return [*commands, *self._responses.caller_spoke(), *self._answers.caller_spoke()]

    def _speech_stopped(self, event: re.ProviderSaid, now: float, *, waits: bool = False) -> list[c.Command]:
        self._caller_speaks = False
        self._responses.turn_waits = waits
        certain = event.speech_end_certain
        stopped = self.turns.stopped(now, event.speech_ended_at, certain=certain)
        commands = [r.PassOn(event.source), *stopped]
        ended_at = now if event.speech_ended_at is None else min(event.speech_ended_at, now)
        return [*commands, *self._answers.turn_ended(ended_at, now), *self._responses.go_on()]

    def _on_item(self, event: re.ProviderSaid, said: wire.ProviderEvent) -> list[c.Command]:
        passed: list[c.Command] = [r.PassOn(event.source)]
        match said.type.removeprefix("conversation.item."):
            case "input_audio_transcription.delta" if said.item_id:
                return passed + self._hear(said.item_id, said.delta or "")
            case "input_audio_transcription.completed" if said.item_id:
                return passed + self._heard(said.item_id, said.transcript or "")
            case "added" | "done" as kind if said.item is not None:
                self._responses.acknowledged(said.item.id)
                noted = self.items.note(said.item, said.previous_item_id, done=kind == "done")
                return passed if noted else []
            case "deleted" if said.item_id:
                self.items.remove(said.item_id)
                return [] if said.item_id in self._speech.outside else passed
        return passed

    def _hear(self, item_id: str, more: str) -> list[c.Command]:
        text = self._words[item_id] = self._words.get(item_id, "") + more
        turn_id = self.turns.turn_id
        return [r.HearWords(turn_id, text), c.TurnHeard(turn_id, item_id, text)]

    def _heard(self, item_id: str, text: str) -> list[c.Command]:
        """All words of a turn. A cough does not end the wait for a tool, nor do thanks for what is being done."""
        self._words.pop(item_id, None)
        self.items.says(item_id, text)
        if text.strip() and not acknowledges(text, self.policy.backchannels, self.policy.thanks):
            self._responses.caller_said()
        served: list[c.Command] = [r.Served()] if text else []
        return [r.HearWords(self.turns.turn_id, text), *served]

    # --- time ------------------------------------------------------------------------------------------------------

    def _on_deadline(self, event: e.DeadlinePassed, now: float) -> list[c.Command]:
        if event.name == FILLER:
            return self._responses.fill(now)
        if event.name == OVERDUE:
            return self._answers.overdue(now)
        if event.name == IDLE:
            return self._answers.idle(now)
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
        said = self._speech.recite(recital, event.length_ms, event.lead_in_ms, now)
        return [*said, *self._answers.said(recital), *self._responses.go_on()]

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
