"""What the caller's speech means while the agent is speaking or about to: an interruption, a backchannel, an echo.

Judges; the machine acts. Holds nothing of its own.
"""

from repartee.turn.answering import Answering
from repartee.turn.backchannel import acknowledges, is_backchannel
from repartee.turn.caller_turn import CallerTurn
from repartee.turn.echo import BEFORE_S, is_echo


class OverlapJudge:
    """Judges the words of a turn by what the agent is doing. ``now`` is seconds."""

    def __init__(self, answers: Answering) -> None:
        self._answers = answers

    def answers_agent(self, now: float) -> bool:
        """Whether what the caller says now is said in answer to the agent."""
        answers = self._answers
        goes_on = answers.replies and not answers.calls
        return not goes_on and answers.playout.invites_answer(now, answers.policy.answer_window_s)

    def over_agent(self, now: float) -> bool:
        """Whether the caller hears the agent now."""
        playout = self._answers.playout
        return playout.audible and now <= playout.ends_at

    def said_meanwhile(self, turn: CallerTurn, now: float) -> str:
        """What the agent has been saying since the turn began."""
        return self._answers.playout.said_since(turn.began_at - BEFORE_S, now)

    def is_echo(self, turn: CallerTurn, now: float) -> bool:
        """Whether the turn's words are the agent's own, come back."""
        if not turn.over_agent or (turn.answers_agent and self.is_backchannel(turn)):
            return False  # "yes" is an answer, even to "yes?"
        return is_echo(turn.text, turn.agent_said or self.said_meanwhile(turn, now))

    def is_backchannel(self, turn: CallerTurn) -> bool:
        """Whether the words are a listener's."""
        return is_backchannel(turn.text, self._answers.policy.backchannels)

    def is_acknowledgement(self, turn: CallerTurn) -> bool:
        """Whether the words say no more than that the caller waits for a tool."""
        policy = self._answers.policy
        waits = bool(self._answers.calls)
        return waits and acknowledges(turn.text, policy.backchannels, policy.thanks)

    def supersedes(self, turn: CallerTurn) -> bool:
        """Whether the caller's speech stops an answer that is not heard yet."""
        return self._answers.policy.interruptible or turn.committing

    def interrupts(self, turn: CallerTurn, now: float) -> bool:
        """Whether the caller's speech stops an answer that is being heard, or the wait for a tool.

        A wait is not ended by a cough, nor by thanks for what is being done.
        """
        if turn.committing:
            return True
        if not self._answers.policy.interruptible or self.is_echo(turn, now):
            return False
        if self._answers.calls and not self._answers.playout.audible:
            return bool(turn.text.strip()) and not self.is_acknowledgement(turn)
        return not self.is_backchannel(turn)

    def wants_answer(self, turn: CallerTurn, now: float) -> bool:
        """Whether words that did not interrupt the agent are to be answered when it has finished."""
        if not turn.text or self.is_echo(turn, now):
            return False
        return turn.answers_agent or not self.is_backchannel(turn)
