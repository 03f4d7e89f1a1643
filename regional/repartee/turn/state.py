"""Whose turn it is: the states of a conversation and the one table of its transitions.

What is not in the table is illegal: asking for it raises :class:`IllegalTransition` and changes nothing. The
diagram in docs/architecture.md is generated from this table.
"""

from enum import Enum


class State(Enum):
    """Where the conversation stands."""

    LISTENING = "nobody speaks"
    HEARING = "the caller speaks"
    EAGER = "the caller's turn has probably ended; an answer is made and held"
    THINKING = "the answer is awaited"
    SPEAKING = "the agent speaks"
    OVERLAP = "the caller makes a sound over the agent; an interruption or a backchannel"


class Cause(Enum):
    """Why a state changes."""

    SPEECH_STARTED = "speech started"
    EAGER_END = "eager end of turn"
    TURN_RESUMED = "turn resumed"
    TURN_ENDED = "turn ended"
    TURN_NOTED = "turn ended, no reply wanted"
    TURN_EMPTY = "turn ended without words"
    REPLY_REQUESTED = "reply requested"
    REPLY_AUDIBLE = "first audio sent"
    REPLY_OVER = "reply over"
    OVERLAP_STARTED = "sound over the agent"
    BARGED_IN = "barge-in"
    OVERLAP_ENDED = "not an interruption"
    PLAYED_OUT = "played to the end"
    MORE_AWAITED = "played, more is to come"


TRANSITIONS: dict[tuple[State, Cause], State] = {
    (State.LISTENING, Cause.SPEECH_STARTED): State.HEARING,
    (State.LISTENING, Cause.REPLY_REQUESTED): State.THINKING,
    (State.HEARING, Cause.EAGER_END): State.EAGER,
    (State.HEARING, Cause.TURN_ENDED): State.THINKING,
    (State.HEARING, Cause.TURN_NOTED): State.LISTENING,
    (State.HEARING, Cause.TURN_EMPTY): State.LISTENING,
    (State.EAGER, Cause.TURN_RESUMED): State.HEARING,
    (State.EAGER, Cause.TURN_ENDED): State.THINKING,
    (State.EAGER, Cause.TURN_NOTED): State.LISTENING,
    (State.EAGER, Cause.TURN_EMPTY): State.LISTENING,
    (State.THINKING, Cause.SPEECH_STARTED): State.HEARING,
    (State.THINKING, Cause.OVERLAP_STARTED): State.OVERLAP,
    (State.THINKING, Cause.REPLY_AUDIBLE): State.SPEAKING,
    (State.THINKING, Cause.REPLY_OVER): State.LISTENING,
    (State.SPEAKING, Cause.OVERLAP_STARTED): State.OVERLAP,
    (State.SPEAKING, Cause.BARGED_IN): State.HEARING,
    (State.SPEAKING, Cause.PLAYED_OUT): State.LISTENING,
    (State.SPEAKING, Cause.MORE_AWAITED): State.THINKING,
    (State.SPEAKING, Cause.REPLY_OVER): State.LISTENING,
    (State.OVERLAP, Cause.BARGED_IN): State.HEARING,
    (State.OVERLAP, Cause.OVERLAP_ENDED): State.SPEAKING,
    (State.OVERLAP, Cause.PLAYED_OUT): State.HEARING,
    (State.OVERLAP, Cause.REPLY_OVER): State.HEARING,
}


class IllegalTransition(Exception):
    """The event cannot happen in this state; nothing has changed."""

    def __init__(self, state: State, cause: Cause) -> None:
        super().__init__(f"{cause.value!r} cannot happen while {state.value!r}")
        self.state = state
        self.cause = cause


def next_state(state: State, cause: Cause) -> State:
    """Raises IllegalTransition."""
    try:
        return TRANSITIONS[state, cause]
    except KeyError:
        raise IllegalTransition(state, cause) from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.LISTENING.name}"]
    lines += [
        f"    {start.name} --> {end.name}: {cause.value}" for (start, cause), end in TRANSITIONS.items()
    ]
    return "\n".join(lines)


class Floor:
    """Who speaks in one conversation: the state, which changes along the table only."""

    def __init__(self) -> None:
        self.state = State.LISTENING

    def __repr__(self) -> str:
        return f"<Floor: {self.state.name}>"

    @property
    def open(self) -> bool:
        """A turn of the caller's is open, and the agent is not heard."""
        return self.state in (State.HEARING, State.EAGER)

    @property
    def taken(self) -> bool:
        """A turn of the caller's is open."""
        return self.open or self.state is State.OVERLAP

    def move(self, cause: Cause) -> None:
        """Raises IllegalTransition, and then nothing has changed."""
        self.state = next_state(self.state, cause)
