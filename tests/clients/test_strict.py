"""The check against the SDK's types can fail: for a field that they do not have, and for a value that they refuse."""

from typing import Any

import pytest
from pydantic import ValidationError
from tests.clients.strict import faults_in

CONTENT = {"type": "output_audio", "transcript": "Hello."}
ITEM = {
    "id": "item_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [CONTENT],
}


def event(**changes: Any) -> dict[str, Any]:
    return {"type": "conversation.item.added", "event_id": "event_1", "item": {**ITEM, **changes}}


def test_what_the_types_know_is_no_fault() -> None:
    assert faults_in(event()) == []


def test_an_unknown_field_is_a_fault_however_deep() -> None:
    assert faults_in({**event(), "mood": "fine"}) == ["mood"]
    assert faults_in(event(mood="fine")) == ["item.mood"]
    assert faults_in(event(content=[{**CONTENT, "mood": "fine"}])) == ["item.content.mood"]


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(ValidationError):
        faults_in(event(content="Hello."))


def test_an_event_that_the_sdk_does_not_know_is_refused() -> None:
    with pytest.raises((ValidationError, AssertionError)):
        faults_in({"type": "conversation.item.imagined", "event_id": "event_1"})
