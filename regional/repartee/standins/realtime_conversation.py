"""The conversation of one Realtime session: its items in order, and as a dialogue model gets them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

Item = dict[str, Any]

CONTENT_OF = {
    "user": ("input_text", "input_audio"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio"),
}
"""What the content of a message may be, by its role."""

MAX_ID_CHARS = 32


class ItemFault(ValueError):
    """An item, or what is asked of it, is wrong: ``code`` and ``param`` as in the error event."""

    def __init__(self, message: str, param: str, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def new_id(kind: str) -> str:
    """An id as OpenAI's look: ``item_…``, ``resp_…``."""
    return f"{kind}_{uuid.uuid4().hex[:21]}"


def checked_item(given: object, param: str = "item") -> Item:
    """A client's item, completed. Raises ItemFault."""
    if not isinstance(given, Mapping):
        raise ItemFault(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    item = dict(given)
    item_id = item.setdefault("id", new_id("item"))
    if not isinstance(item_id, str) or not 0 < len(item_id) <= MAX_ID_CHARS:
        raise ItemFault(
            f"Invalid '{param}.id': expected a string of 1 to {MAX_ID_CHARS} characters.", f"{param}.id"
        )
    item |= {"object": "realtime.item", "status": item.get("status") or "completed"}
    kind = item.get("type")
    if kind == "message":
        _check_message(item, param)
        return item
    needed = {"function_call": ("name", "arguments"), "function_call_output": ("call_id", "output")}
    if kind not in needed:
        raise ItemFault(f"Invalid value: '{kind}'.", f"{param}.type")
    for key in needed[kind]:
        if not isinstance(item.get(key), str):
            raise ItemFault(
                f"Missing required parameter: '{param}.{key}'.",
                f"{param}.{key}",
                "missing_required_parameter",
            )
    if kind == "function_call":
        item.setdefault("call_id", new_id("call"))
    return item


def _check_message(item: Item, param: str) -> None:
    allowed = CONTENT_OF.get(str(item.get("role")))
    if allowed is None:
        raise ItemFault(f"Invalid value: '{item.get('role')}'.", f"{param}.role")
    content = item.get("content")
    if not isinstance(content, list):
        raise ItemFault(
            f"Missing required parameter: '{param}.content'.",
            f"{param}.content",
            "missing_required_parameter",
        )
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in allowed:
            supported = ", ".join(f"'{one}'" for one in allowed)
            raise ItemFault(
                f"Invalid value: '{kind}'. Supported values are: {supported}.",
                f"{param}.content[{number}].type",
            )


def text_in(item: Mapping[str, Any]) -> str:
    """The words of a message."""
    parts = item.get("content") or []
    return " ".join(str(part.get("text") or part.get("transcript") or "") for part in parts).strip()


def chat_messages(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The items in the form of OpenAI's chat API."""
    messages: list[dict[str, Any]] = []
    for item in items:
        match item["type"]:
            case "message":
                messages.append({"role": item["role"], "content": text_in(item)})
            case "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "type": "function", "function": function}
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case _:
                messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
    return messages


class Conversation:
    """The items of the default conversation."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def find(self, item_id: object, verb: str) -> Item:
        """The item with this id, to ``delete``, ``retrieve`` or ``truncate``. Raises ItemFault."""
        for item in self.items:
            if item["id"] == item_id:
                return item
        raise ItemFault(
            f"There is nothing to {verb}: the item with id '{item_id}' does not exist.",
            "item_id",
            f"item_{verb}_invalid_item_id",
        )

    def insert(self, item: Item, after: object = None) -> str | None:
        """Put an item at the end, or after another (``root``: at the beginning); the id of the one before it.

        Raises ItemFault.
        """
        if any(known["id"] == item["id"] for known in self.items):
            raise ItemFault(f"Item with id '{item['id']}' already exists.", "item.id")
        if after is None:
            place = len(self.items)
        elif after == "root":
            place = 0
        else:
            known = [number for number, one in enumerate(self.items) if one["id"] == after]
            if not known:
                raise ItemFault(
                    f"Item with id '{after}' does not exist.", "previous_item_id", "invalid_item_id"
                )
            place = known[0] + 1
        self.items.insert(place, item)
        return str(self.items[place - 1]["id"]) if place else None

    def remove(self, item_id: object) -> None:
        """Take an item out. Raises ItemFault."""
        self.items.remove(self.find(item_id, "delete"))

    def picked(self, inputs: Sequence[Any]) -> list[Item]:
        """The items a response is given instead of the conversation. Raises ItemFault."""
        found: list[Item] = []
        for number, entry in enumerate(inputs):
            if isinstance(entry, Mapping) and entry.get("type") == "item_reference":
                found.append(self.find(entry.get("id"), "retrieve"))
            else:
                found.append(checked_item(entry, f"response.input[{number}]"))
        return found
