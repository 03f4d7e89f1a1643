"""What the agent says, word for word, when something keeps it from answering."""

from dataclasses import dataclass, replace

from repartee.turn.languages import language_of

MAX_CHARS = 200
"""A notice is a sentence or two: the call waits until it has been said."""


@dataclass(frozen=True, slots=True)
class Notices:
    """Recorded once at the start, and played from memory: the voice may be away too. Empty: nothing is said."""

    unheard: str = "Sorry, I can't hear you at the moment. Please give me a few seconds."
    """The caller is not heard, and the call goes on."""

    goodbye: str = "Sorry, I still can't hear you, so I have to end this call. Please call again."
    """The call ends for that reason."""

    apology: str | None = None
    """There is no answer at all. None, here and below: what :mod:`~repartee.turn.languages` has for the call's
    language."""

    more: str | None = None
    """An answer has reached its greatest length."""

    company: str | None = None
    """A tool keeps the caller waiting, and has no filler of its own to say."""

    still_there: str | None = None
    """The caller has been silent for long. Empty: the model is asked what to say."""

    resumed: str | None = None
    """A telephone call was cut off and goes on here: said in place of the greeting, unless ``on_call_start`` sets
    another. Empty: the greeting is said."""

    recorded: str | None = None
    """The call is recorded from here on (an agent with ``record="spoken"``)."""

    def in_language(self, tag: str) -> "Notices":
        """Complete, with the language's own words where none are given."""
        row = language_of(tag)
        return replace(
            self,
            **{
                name: getattr(row, name)
                for name in ("apology", "more", "company", "still_there", "resumed", "recorded")
                if getattr(self, name) is None
            },
        )

    def phrases(self, tag: str) -> tuple[str, ...]:
        """What there is to record for a language."""
        complete = self.in_language(tag)
        texts = (complete.unheard, complete.goodbye, complete.apology, complete.company, complete.still_there)
        return tuple(text for text in texts if text)
