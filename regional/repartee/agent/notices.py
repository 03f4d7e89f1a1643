"""What a caller is told, word for word, when they cannot be heard."""

from dataclasses import dataclass

MAX_CHARS = 200
"""A notice is a sentence or two: the call waits until it has been said."""


@dataclass(frozen=True, slots=True)
class Notices:
    """Recorded once at the start, and played from memory: the voice may be away too. Empty: nothing is said."""

    unheard: str = "Sorry, I can't hear you at the moment. Please give me a few seconds."
    """The caller is not heard, and the call goes on."""

    goodbye: str = "Sorry, I still can't hear you, so I have to end this call. Please call again."
    """The call ends for that reason."""

    @property
    def phrases(self) -> tuple[str, ...]:
        """What there is to record."""
        return tuple(phrase for phrase in (self.unheard, self.goodbye) if phrase)
