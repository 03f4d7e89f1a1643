"""A request's head is measured the same in whatever pieces it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee_edge.selfhosted.heads import DoorLimits, HeadMeter, HeadTooLarge

LIMITS = DoorLimits()
REQUEST = b"GET / HTTP/1.1\r\n"


def measured(data: bytes, cuts: list[int] | None = None, limits: DoorLimits = LIMITS) -> int | str:
    """How many bytes belong to the head, or the refusal's code; -1: its end has not come."""
    meter = HeadMeter(limits)
    ends = [*sorted(cuts or []), len(data)]
    start = taken = 0
    for end in ends:
        piece = data[start:end]
        start = end
        try:
            taken += meter.take(piece)
        except HeadTooLarge as error:
            return error.fault.code
        if piece and not meter.has_begun:
            return taken
    return -1


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_a_head_ends_with_an_empty_line(newline: bytes) -> None:
    head = newline.join([b"GET / HTTP/1.1", b"Host: a", b"", b""])
    assert measured(head + b"the next request") == len(head)
    assert measured(head[:-1]) == -1


def test_a_lone_carriage_return_does_not_end_a_head() -> None:
    assert measured(REQUEST + b"\r\r\n") == -1
    assert measured(REQUEST + b"a\r\n") == -1


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (REQUEST + b"X: " + b"a" * 8187 + b"\r\n\r\n", 16 + 8192 + 2),
        (REQUEST + b"X: " + b"a" * 8188 + b"\r\n\r\n", "headers_too_large"),
        (b"GET /" + b"a" * 8192, "uri_too_long"),
        (REQUEST + b"a: b\r\n" * 100 + b"\r\n", 16 + 600 + 2),
        (REQUEST + b"a: b\r\n" * 101 + b"\r\n", "headers_too_large"),
        (REQUEST + (b"X: " + b"a" * 8000 + b"\r\n") * 8 + b"\r\n", 16 + 8 * 8005 + 2),
        (REQUEST + (b"X: " + b"a" * 8180 + b"\r\n") * 9 + b"\r\n", "headers_too_large"),
        (REQUEST + (b"X: " + b"a" * 8187 + b"\r\n") * 8 + b"\r\n", "headers_too_large"),
    ],
    ids=[
        "8 KiB",
        "over 8 KiB",
        "first line",
        "100",
        "101",
        "under 64 KiB",
        "over 64 KiB",
        "just over 64 KiB",
    ],
)
def test_the_limits_of_a_line_of_all_and_of_their_number(head: bytes, expected: int | str) -> None:
    assert measured(head) == expected
    assert measured(head, list(range(1, len(head)))) == expected


def test_each_head_is_measured_anew() -> None:
    meter = HeadMeter(DoorLimits(header_lines=1))
    head = REQUEST + b"Host: a\r\n\r\n"
    for _ in range(10):
        assert meter.take(head) == len(head)
        assert not meter.has_begun


lines = st.sampled_from([b"", b"a: b", b"X: " + b"a" * 90, b"\r", b"GET / HTTP/1.1", b"\0"])


@given(st.lists(lines, max_size=12), st.sampled_from([b"\r\n", b"\n"]), st.data())
def test_the_pieces_make_no_difference(parts: list[bytes], newline: bytes, data: st.DataObject) -> None:
    limits = DoorLimits(head_bytes=300, line_bytes=95, header_lines=5)
    head = newline.join([*parts, b""])
    cuts = data.draw(st.lists(st.integers(0, len(head)), max_size=8))
    whole = measured(head, limits=limits)
    assert measured(head, cuts, limits) == whole
