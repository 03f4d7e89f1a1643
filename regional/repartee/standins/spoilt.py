"""How a fault spoils one answer: what is thought instead, and what becomes of a response's events on their way."""

from collections.abc import Callable
from typing import Any

from repartee.standins.errands import ToolRequest
from repartee.standins.faults import Fault
from repartee.standins.language_model import Answer

Send = Callable[..., None]

UNKNOWN_TOOL = "no_such_tool"


def spoilt(fault: Fault | None) -> Answer | None:
    """The answer that the fault wants given; None: the usual one."""
    match fault.kind if fault is not None else None:
        case "empty_response" | "filtered_response" | "failed_response":
            return Answer()
        case "unknown_tool":
            return Answer(tool_calls=(ToolRequest(UNKNOWN_TOOL, "{}"),))
    return None


def ending(fault: Fault | None) -> tuple[str, dict[str, Any]] | None:
    """The status and its details that the fault wants a response to end with."""
    match fault.kind if fault is not None else None:
        case "filtered_response":
            return "incomplete", {"type": "incomplete", "reason": "content_filter"}
        case "failed_response":
            error = {"type": "server_error", "code": "server_error", "message": "The server had an error."}
            return "failed", {"type": "failed", "error": error}
    return None


def spoiling(send: Send, fault: Fault | None, close: Callable[[int], None]) -> Send:
    """``send``, as the fault has it do."""
    kind = fault.kind if fault is not None else None

    def twice(event: str, **fields: Any) -> None:
        send(event, **fields)
        send(event, **fields)

    def among_others(event: str, **fields: Any) -> None:
        send("response.whatever.comes", response_id=fields.get("response_id"), novelty={"deep": [1, 2, 3]})
        send(event, **fields)
        send("something.else.entirely", items=[])

    def then_close(event: str, **fields: Any) -> None:
        send(event, **fields)
        if event == "response.output_audio.delta" and fault is not None:
            close(fault.code)

    ways = {"duplicate_events": twice, "unknown_events": among_others, "close_in_response": then_close}
    return ways.get(str(kind), send)
