"""What a chat API takes of a function's declaration: it would refuse the rest in mid-call, and the answer with it.

Reads a schema only as far as that needs: a client may send a megabyte of it. Pure.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Raw

from repartee.errors import ClientProtocolError
from repartee.wire import outside_json
from repartee.wire.settings_patch import MAX_SCHEMA_DEPTH, MAX_TOOL_NAME_CHARS

NAME = re.compile(r"[a-zA-Z0-9_-]+")

NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')

JsonType = Literal["object", "array", "string", "number", "integer", "boolean", "null"]


class _Schema(msgspec.Struct):
    type: JsonType | Annotated[list[JsonType], Meta(min_length=1)] | None = None
    properties: "dict[str, _Schema | bool] | None" = None
    items: "_Schema | bool | None" = None
    required: list[str] | None = None
    enum: Annotated[list[Raw], Meta(min_length=1)] | None = None
    any_of: "list[_Schema | bool] | None" = msgspec.field(default=None, name="anyOf")
    one_of: "list[_Schema | bool] | None" = msgspec.field(default=None, name="oneOf")
    all_of: "list[_Schema | bool] | None" = msgspec.field(default=None, name="allOf")
    additional: "_Schema | bool | None" = msgspec.field(default=None, name="additionalProperties")
    prefix_items: "list[_Schema | bool] | None" = msgspec.field(default=None, name="prefixItems")

    def __post_init__(self) -> None:
        if self.type == "array" and self.items is None and self.prefix_items is None:
            raise ValueError("array schema missing items")


_decoder: outside_json.Decoder[_Schema] = outside_json.Decoder(_Schema)


def checked_name(name: str, param: str) -> None:
    """Raises ClientProtocolError unless it is a function's name."""
    if not name:
        raise ClientProtocolError(
            f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
        )
    if not NAME.fullmatch(name):
        raise ClientProtocolError(
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            f"'^[a-zA-Z0-9_-]+$', of {MAX_TOOL_NAME_CHARS} characters at most.",
            param=param,
        )


def checked_schema(schema: Raw, name: str, param: str) -> Raw:
    """The parameters' schema, on its own: none at all is an object without properties. Raises ClientProtocolError."""
    text = bytes(schema)
    if text in (b"", b"null"):
        return NO_PARAMETERS
    if not text.startswith(b"{"):
        raise ClientProtocolError(f"The parameters of {name!r} are no JSON object.", param=param)
    if _is_too_deep(text):
        raise ClientProtocolError(
            f"The parameters of {name!r} are nested more than {MAX_SCHEMA_DEPTH} levels deep.", param=param
        )
    try:
        read = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _invalid(name, str(error), param) from None
    if not text.strip(b"{} \t\r\n"):
        return NO_PARAMETERS
    if read.type != "object":
        raise _invalid(name, f"schema must be of type 'object', not {read.type!r}", param)
    if read.properties is None:
        whole: dict[str, Any] = outside_json.decode(text)
        return Raw(msgspec.json.encode(whole | {"properties": {}}))
    return schema.copy()  # it is a view of the whole event


def _invalid(name: str, why: str, param: str) -> ClientProtocolError:
    return ClientProtocolError(
        f"Invalid schema for function {name!r}: {why}.", code="invalid_function_parameters", param=param
    )


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _is_too_deep(schema: bytes) -> bool:
    """Whether valid JSON is nested too deep; without reading it, which takes long for what is meant to take long."""
    rest = _STRING.sub(b"", schema).translate(_BRACKETS, _NO_BRACKETS)
    steps = ord("\\") - np.frombuffer(rest, dtype=np.int8)  # the character between the two brackets
    return int(np.cumsum(steps, dtype=np.int32).max()) > MAX_SCHEMA_DEPTH
