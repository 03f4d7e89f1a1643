"""Hides secret digits in what speech recognition hears, on its way to the core."""

from collections.abc import Callable

import msgspec

from repartee.agent.secret_values import Secrets
from repartee.turn import events as e

Words = e.StartOfTurn | e.PartialTranscript | e.EagerEndOfTurn | e.EndOfTurn


class SecretHearing:
    """Takes one call's recognition events. A turn during which digits were secret at any moment is hidden to its
    end. ``language`` says which the caller is speaking."""

    def __init__(
        self, secrets: Secrets, language: Callable[[], str], deliver: Callable[[e.Event], None]
    ) -> None:
        self._secrets = secrets
        self._language = language
        self._deliver = deliver
        self._hides = False

    def __repr__(self) -> str:
        return f"<SecretHearing: {self._secrets!r}>"

    def take(self, event: e.Event) -> None:
        """Deliver the event, without digits where they are secret."""
        if self._secrets.hides_digits or self._hides:
            event = self._hidden(event)
        self._deliver(event)

    def _hidden(self, event: e.Event) -> e.Event:
        if isinstance(event, e.StartOfTurn) or not self._hides:
            self._secrets.turn_began()
        self._hides = not isinstance(event, e.EndOfTurn | e.HearingLost)
        if not isinstance(event, Words):
            return event
        return msgspec.structs.replace(event, text=self._secrets.hide_spoken(event.text, self._language()))
