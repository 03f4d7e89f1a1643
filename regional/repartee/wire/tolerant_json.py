"""Messages of others' whose fields may be null, absent or of a type that is not known, read as far as they fit. Pure.

A message that fits its type is read as fast as any. One that does not is read again, field by field: what does not
fit has its default, as if it were absent. So is one that is JSON to others and not to us (bytes that are no UTF-8,
half an emoji, NaN). So a service that begins to send null, or something new, costs nobody a
connection; what a program needs of a message it has to look for anyway.
"""

import types
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec

from repartee.wire import outside_json

T = TypeVar("T")


class TolerantDecoder(Generic[T]):
    """For a Struct's type, or one that holds Structs."""

    def __init__(self, type_: Any) -> None:
        self._type = type_
        self._strict: outside_json.Decoder[T] = outside_json.Decoder(type_)

    def decode(self, data: bytes) -> T:
        """The message. Raises msgspec.ValidationError for a document of quite another kind, or without a field that
        has no default; msgspec.DecodeError for what is no JSON."""
        try:
            return self._strict.decode(data)
        except msgspec.ValidationError:
            value: T = _fitted(outside_json.decode(data), self._type)
            return value
        except outside_json.TooDeep:
            raise
        except msgspec.DecodeError:
            mended: T = _fitted(outside_json.decode(outside_json.mended(data)), self._type)
            return mended


def _fitted(value: Any, type_: Any) -> Any:
    """The value as this type, as far as it fits. Raises msgspec.ValidationError."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        is_union = get_origin(type_) in (Union, types.UnionType)
        for kind in get_args(type_) if is_union else (type_,):
            if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                return _struct(value, kind)
            if isinstance(value, list) and get_origin(kind) is list:
                return _items(value, *get_args(kind))
        raise


def _struct(value: Mapping[str, Any], kind: type[msgspec.Struct]) -> msgspec.Struct:
    found = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name in value:
            try:
                found[field.name] = _fitted(value[field.encode_name], field.type)
            except msgspec.ValidationError:
                if field.required:
                    raise
        elif field.required:
            raise msgspec.ValidationError(f"Object missing required field `{field.encode_name}`")
    return kind(**found)


def _items(values: list[Any], kind: Any) -> list[Any]:
    """Those that fit."""
    found = []
    for value in values:
        try:
            found.append(_fitted(value, kind))
        except msgspec.ValidationError:
            continue
    return found
