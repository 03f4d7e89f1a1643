"""What the agent says from memory, without the provider; and cutting all that is said to what the caller has
heard."""

from collections.abc import Callable

from repartee.relay import commands as r
from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.relay.outside import OutsideItems
from repartee.relay.response import Recital
from repartee.relay.responses import Responses
from repartee.relay.sounding import Sounding
from repartee.turn import commands as c
from repartee.turn.history import Message, heard_part
from repartee.wire import relay_events as wire


class OwnSpeech:
    """The agent's own words in one call.

    ``outside`` are the items that the provider does not know as the client does; ``sounding`` is what
    the caller hears now."""

    def __init__(
        self,
        turns: TurnLedger,
        items: ItemLedger,
        responses: Responses,
        new_event_id: Callable[[], str],
        new_item_id: Callable[[], str],
    ) -> None:
        self.outside = OutsideItems()
        self.sounding = Sounding(turns.speaker)
        self._turns = turns
        self._items = items
        self._responses = responses
        self._new_event_id = new_event_id
        self._new_item_id = new_item_id
        self._replies = 0

    def recite(self, recital: Recital, length_ms: float, lead_in_ms: float, now: float) -> list[c.Command]:
        """Say what is recorded; the model is to know of it, but for fillers."""
        message, commands = self.play(recital.text, length_ms, lead_in_ms, now)
        return commands if recital.filler else [*commands, *self._have_it_known(message, length_ms)]

    def play(
        self, text: str, length_ms: float, lead_in_ms: float, now: float
    ) -> tuple[Message, list[c.Command]]:
        """A recorded phrase, as a response of its own."""
        self._replies += 1
        reply_id, turn_id = self._replies, self._turns.turn_id
        message = Message(self._new_item_id(), "assistant", text, spoken=True)
        self.outside.add(message)
        speaker_id = self._turns.sent_filler(length_ms, lead_in_ms, now)
        self.sounding.sent(message.item_id, speaker_id, length_ms)
        return message, [
            c.ReplyStarted(reply_id, turn_id),
            c.AnswerStarted(reply_id, message, None),
            c.ReplyWords(reply_id, text),
            r.PlayRecording(reply_id, text),
            c.ReplyEnded(reply_id, turn_id, "completed", message),
        ]

    def _have_it_known(self, message: Message, audio_ms: float) -> list[c.Command]:
        """Have the model know that this was said."""
        fields = {"type": "message", "role": "assistant"}
        item = {"id": message.item_id, **fields, "content": [{"type": "output_text", "text": message.text}]}
        self._items.add(message.item_id, fields, text=message.text)
        self._items.sounds(message.item_id, audio_ms)
        self._items.hide(message.item_id)
        created = wire.encode("conversation.item.create", event_id=self._new_event_id(), item=item)
        return [r.ToProvider(created)]

    def cut_short(self, now: float, *, reported: bool, cuts: bool) -> list[c.Command]:
        """The caller interrupts: what they have not heard was never said. ``reported``: the transport has said what
        they heard; ``cuts``: the provider is to know."""
        commands: list[c.Command] = [r.ClearSound()]
        for item_id, heard_ms in self.sounding.stop(now, reported=reported).items():
            if not cuts or item_id not in self._items:  # what was taken out is no part of the conversation
                continue
            recorded = self.outside.get(item_id)
            if recorded is None:
                self._items.cut(item_id, heard_ms)
                place = {"item_id": item_id, "content_index": 0, "audio_end_ms": int(heard_ms)}
                event_id = self._new_event_id()
                commands.append(
                    r.ToProvider(wire.encode("conversation.item.truncate", event_id=event_id, **place))
                )
            else:
                audio_ms = self._items.audio_ms(item_id)
                self._items.remove(item_id)
                commands.append(self._responses.delete(item_id))
                if heard := heard_part(recorded.text, (), audio_ms, heard_ms):
                    commands += self._have_it_known(
                        Message(self._new_item_id(), "assistant", heard), audio_ms
                    )
        return commands
