"""Turns together with what their client says of when they were heard: the two come in either order."""

from repartee.telemetry import events as t


class HeardTurns:
    """Holds the latest turn, and the latest word of the client, of each call in progress."""

    def __init__(self) -> None:
        self._turns: dict[str, t.TurnOver] = {}
        self._heard: dict[str, t.AnswerHeard] = {}

    def __repr__(self) -> str:
        return f"<HeardTurns of {len(self._turns)} calls>"

    def take(self, event: t.CallEvent) -> tuple[t.TurnOver, t.AnswerHeard] | None:
        """The turn and the client's word of it, when the second of the two comes."""
        match event:
            case t.TurnOver():
                self._turns[event.call_id] = event
            case t.AnswerHeard():
                self._heard[event.call_id] = event
            case t.CallEnded():
                self._turns.pop(event.call_id, None)
                self._heard.pop(event.call_id, None)
                return None
            case _:
                return None
        turn, heard = self._turns.get(event.call_id), self._heard.get(event.call_id)
        if turn is None or heard is None or turn.turn_id != heard.turn_id or turn.trace is None:
            return None
        return turn, heard


def client_stages_ms(heard: t.AnswerHeard) -> dict[str, float]:
    """The client's stages, by the names that they have beside the server's."""
    return {"capture": heard.capture_ms, "network": heard.network_ms, "playback": heard.playback_ms}
