"""Messages that do not fit their type are read as far as they do."""

import msgspec
import pytest

from repartee.wire.tolerant_json import TolerantDecoder


class Part(msgspec.Struct):
    text: str = ""
    at: float | None = None


class Message(msgspec.Struct):
    type: str = ""
    count: int = 7
    part: Part | None = None
    parts: list[Part] = []
    data: bytes | None = None


class Named(msgspec.Struct):
    name: str


DECODER = TolerantDecoder[Message](Message)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b'{"type": "a", "count": 1}', Message("a", 1)),
        (b'{"type": null, "count": null}', Message()),
        (b'{"type": "a", "new": {"x": [null]}}', Message("a")),
        (b'{"type": "a", "count": "many"}', Message("a")),
        (b'{"part": {"text": null, "at": 2}}', Message(part=Part(at=2))),
        (b'{"part": "none", "type": "a"}', Message("a")),
        (b'{"parts": null, "type": "a"}', Message("a")),
        (
            b'{"parts": [{"text": "a"}, null, {"text": 3}, {"text": "b", "at": null}], "count": null}',
            Message(parts=[Part("a"), Part(), Part("b")]),
        ),
        (b'{"data": "AQI=", "count": null}', Message(data=b"\x01\x02")),
        (b'{"data": 5}', Message()),
    ],
)
def test_what_fits_is_read(document: bytes, message: Message) -> None:
    assert DECODER.decode(document) == message


@pytest.mark.parametrize("document", [b"[]", b"null", b'"text"', b"3"])
def test_a_document_of_another_kind(document: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        DECODER.decode(document)


@pytest.mark.parametrize("document", [b"{}", b'{"name": null}', b'{"name": 3}'])
def test_without_a_field_that_is_needed(document: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        TolerantDecoder[Named](Named).decode(document)


def test_what_is_no_json() -> None:
    with pytest.raises(msgspec.DecodeError):
        DECODER.decode(b'{"type": ')
