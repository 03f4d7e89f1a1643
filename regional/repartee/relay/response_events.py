"""What the provider says of its responses: taken to the record, to the agent and to the client, each as it should be.

What comes twice counts once, and what is over stays over. What the client may see of it, relay/screen decides.
"""

from repartee.relay import commands as r
from repartee.relay import events as re
from repartee.relay.answers import Answers
from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.relay.own_speech import OwnSpeech
from repartee.relay.responses import Responses
from repartee.turn import commands as c
from repartee.turn.history import Message
from repartee.wire import relay_events as wire


class ResponseEvents:
    """Makes one call's responses known.

    ``request`` is the client's last ``response.create``, as long as no response has begun since, and
    ``request_tools`` are the names of the functions that came with it (None: the session's)."""

    def __init__(
        self,
        turns: TurnLedger,
        items: ItemLedger,
        responses: Responses,
        answers: Answers,
        speech: OwnSpeech,
    ) -> None:
        self.request: str | None = None
        self.request_tools: frozenset[str] | None = None
        self._turns = turns
        self._items = items
        self._responses = responses
        self._answers = answers
        self._speech = speech

    def take_sound(self, event: re.ProviderSound, now: float) -> list[c.Command]:
        """Audio of a response."""
        delta = event.delta
        response = self._responses.under_way.get(delta.response_id)
        if response is None:
            return []
        response.sounded = True
        if event.silent_ms < event.length_ms:
            self._answers.heard(response)
        self._items.sounds(delta.item_id, event.length_ms)
        played: list[c.Command] = [r.PlaySound(delta, event.source)]
        if response.outside:
            speaker_id = self._turns.sent_filler(event.length_ms, 0.0, now)
        else:
            speaker_id = self._turns.reply_id(delta.response_id)
            played += self._turns.sent_audio(
                delta.response_id, delta.item_id, event.length_ms, event.silent_ms, now
            )
        self._speech.sounding.sent(delta.item_id, speaker_id, event.length_ms)
        return played

    def take(self, event: re.ProviderSaid, now: float) -> list[c.Command]:
        """An event of a response's; one that is over, or has begun already, is not begun again."""
        said = event.event
        seen, kind = said.response, said.type.removeprefix("response.")
        response_id = seen.id if seen else said.response_id or ""
        if self._responses.is_over(response_id) or (kind == "created" and self._responses.known(response_id)):
            return []
        passed: list[c.Command] = [r.PassOn(event.source)]
        match kind:
            case "created" if seen is not None:
                response = self._responses.created(seen, self.request, self.request_tools)
                self.request = None
                return passed if response.outside else passed + self._answers.began(now)
            case "output_item.added" if said.item is not None:
                self._output_added(response_id, said.item)
            case "output_item.done" if said.item is not None:
                if said.item.type == "function_call" and said.item.status == "completed":
                    return passed + self._responses.called(response_id, said.item, now)
            case "output_audio_transcript.delta" | "output_text.delta" if said.item_id:
                self._wrote(response_id, said.item_id, said.delta or "", spoken=kind != "output_text.delta")
            case "output_text.done":
                self._turns.wrote()
            case "output_audio.done":
                return [*passed, r.EndSound(response_id)]
            case "done" if seen is not None:
                return passed + self._response_done(seen, now)
        return passed

    def _output_added(self, response_id: str, item: wire.ItemSeen) -> None:
        response = self._responses.under_way.get(response_id)
        if response is None or item.type != "message":
            return
        response.item_id = item.id
        if response.outside:
            self._speech.outside.add(Message(item.id, "assistant", "", spoken=True))

    def _wrote(self, response_id: str, item_id: str, text: str, *, spoken: bool) -> None:
        self._items.continues(item_id, text)
        response = self._responses.under_way.get(response_id)
        if response is None or not text.strip():
            return
        response.said = True
        if not spoken:
            self._answers.heard(response)

    def _response_done(self, seen: wire.ResponseSeen, now: float) -> list[c.Command]:
        response = self._responses.ended(seen.id)
        if response is None:
            return self._responses.settle(now)
        commands = self._answers.done(response, seen, now)
        if seen.status == "completed":
            commands.append(r.Served())
        return commands if response.outside or self._turns.unanswered else [*commands, r.ForgetAudio()]
