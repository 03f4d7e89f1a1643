"""The table of transitions, and the figure of it that readers are shown."""

import re
from pathlib import Path

import pytest

from repartee.turn.state import TRANSITIONS, Cause, IllegalTransition, State, diagram, next_state

DOCUMENT = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.LISTENING}
    for _ in State:
        reached |= {end for (start, _), end in TRANSITIONS.items() if start in reached}
    assert reached == set(State)
    home = {State.LISTENING}
    for _ in State:
        home |= {start for (start, _), end in TRANSITIONS.items() if end in home}
    assert home == set(State)


def test_every_cause_is_used() -> None:
    assert {cause for _, cause in TRANSITIONS} == set(Cause)


def test_what_is_not_in_the_table_is_illegal() -> None:
    with pytest.raises(IllegalTransition) as refused:
        next_state(State.LISTENING, Cause.BARGED_IN)
    assert str(refused.value) == "'barge-in' cannot happen while 'nobody speaks'"
    assert (refused.value.state, refused.value.cause) == (State.LISTENING, Cause.BARGED_IN)


def test_the_diagram_shows_the_table() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> LISTENING"]
    assert len(lines) == len(TRANSITIONS) + 2
    assert "    SPEAKING --> HEARING: barge-in" in lines


def test_the_document_shows_the_diagram() -> None:
    """To bring it up to date: ``python -c "from repartee.turn.state import diagram; print(diagram())"``."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(
        r"<!-- state diagram -->\s*```mermaid\n(.*?)\n```\s*<!-- /state diagram -->", text, re.DOTALL
    )
    assert found, "docs/architecture.md has no state diagram between its markers"
    assert found[1].strip() == diagram()
