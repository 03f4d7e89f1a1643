"""What is known about the caller's open turn, or the last one. Plain data; the machine decides."""

from dataclasses import dataclass

from repartee.latency.timeline import Timeline


@dataclass(slots=True)
class CallerTurn:
    """One turn of the caller's.

    ``before`` are words that speech recognition has ended already while the client has yet to commit the turn;
    ``announced``: the client knows of it; ``committing``: the client has declared it over and its last words are
    awaited; ``answers_agent``: it began when the agent had just spoken or asked;
    ``over_agent``: it began, at ``began_at`` (s), while the agent was heard, who had said
    ``agent_said`` by when it had finished;
    ``speech_ended_at``: when the last sample of speech arrived (s), where that is known;
    ``speech_end_certain``: and whether that is sure;
    ``timeline``: that of the reply made on its eager end.
    """

    turn_id: int
    item_id: str
    text: str = ""
    before: str = ""
    announced: bool = False
    committing: bool = False
    answers_agent: bool = False
    began_at: float = 0.0
    over_agent: bool = False
    agent_said: str = ""
    speculations: int = 0
    speculated_text: str = ""
    speech_ended_at: float | None = None
    speech_end_certain: bool = True
    timeline: Timeline | None = None

    def heard(self, text: str) -> bool:
        """Take the words so far, as recognition has them; whether that was news."""
        text = f"{self.before} {text}".strip() if self.before else text
        if not text or text == self.text:
            return False
        self.text = text
        return True
