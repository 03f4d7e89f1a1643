"""What the caller has heard of what is being said, item by item, so that the conversation can be cut to that."""

from dataclasses import dataclass, field

from repartee.turn.history import HEARD_SLACK_MS
from repartee.turn.speaker import Speaker

MOST_ITEMS = 32
"""Nobody is behind by more."""


@dataclass(slots=True)
class _Sound:
    speakers: set[int] = field(default_factory=set)
    length_ms: float = 0.0
    played_ms: float = 0.0


class Sounding:
    """What sounds in one call. Times are seconds, audio is ms."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._sounds: dict[str, _Sound] = {}

    def sent(self, item_id: str, speaker_id: int, length_ms: float) -> None:
        """More audio of an item was sent; the speaker knows it by this id."""
        sound = self._sounds.setdefault(item_id, _Sound())
        sound.speakers.add(speaker_id)
        sound.length_ms += length_ms
        while len(self._sounds) > MOST_ITEMS:
            del self._sounds[next(iter(self._sounds))]

    def played(self, item_id: str, played_ms: float) -> None:
        """The transport reports that so much of an item was heard."""
        if sound := self._sounds.get(item_id):
            sound.played_ms = max(sound.played_ms, played_ms)

    def stop(self, now: float, *, reported: bool) -> dict[str, float]:
        """The agent is cut short: how much was heard of each item that was not heard to its end, as the transport
        reported it, or as it is reckoned."""
        sounds, self._sounds = self._sounds, {}
        heard = {
            item_id: sound.played_ms
            if reported
            else sum(self._speaker.heard_ms(one, now) for one in sound.speakers)
            for item_id, sound in sounds.items()
        }
        return {
            item_id: ms for item_id, ms in heard.items() if ms < sounds[item_id].length_ms - HEARD_SLACK_MS
        }
