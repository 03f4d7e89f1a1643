"""The reader of JSON from outside: nothing that is too long or too deep reaches a parser."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee_edge.bounded_json import BadJson, check_levels, read


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"[": ', "}]")])
def test_64_levels_pass_and_65_are_refused(opening: str, closing: str) -> None:
    each = 2 if opening.startswith("[{") else 1
    assert read(opening * (64 // each) + "1" + closing * (64 // each), max_bytes=4096) is not None
    with pytest.raises(BadJson, match="deeper than 64 levels"):
        read(f"[{opening * (64 // each)}1{closing * (64 // each)}]", max_bytes=4096)


@pytest.mark.parametrize("document", ["[" * 8000, '{"a":' * 8000, "[1," * 8000, '["x",{"y":' * 4000])
def test_what_is_too_deep_never_reaches_the_parser(monkeypatch: pytest.MonkeyPatch, document: str) -> None:
    monkeypatch.setattr(
        "repartee_edge.bounded_json.json.loads", lambda *_args, **_options: pytest.fail("it was parsed")
    )
    with pytest.raises(BadJson, match="deeper"):
        read(document, max_bytes=100_000)
    with pytest.raises(BadJson, match="larger than 10 bytes"):
        read("[1, 2, 3, 4, 5]", max_bytes=10)


def test_brackets_in_strings_are_no_levels() -> None:
    value = {"a": "[" * 500, 'b"[': "\\", "c": ['"[{' * 100, "\\\\" * 50 + "["]}
    assert read(json.dumps(value), max_bytes=10_000) == value


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16", "utf-32-be"])
def test_no_other_encoding_hides_brackets(encoding: str) -> None:
    # "∢" holds the byte of a quote: read as bytes, everything behind it would be a string.
    with pytest.raises(BadJson):
        read(("[∢" + "[" * 3000).encode(encoding), max_bytes=100_000)


@pytest.mark.parametrize(
    "nonsense", ["", "nan", "NaN", "[Infinity]", "{", '"', "\ufeff[]", "9" * 5000, b"\xff\xfe"]
)
def test_nonsense_is_one_kind_of_error(nonsense: Any) -> None:
    with pytest.raises(BadJson, match="it is not JSON"):
        read(nonsense, max_bytes=10_000)


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_levels_are_counted_as_they_are(value: Any) -> None:
    levels = _levels(value)
    document = json.dumps(value).encode()
    check_levels(document, levels)
    if levels:
        with pytest.raises(BadJson):
            check_levels(document, levels - 1)


@given(st.text(alphabet='[]{}",:\\1 ', max_size=300))
def test_what_passes_can_be_parsed_or_refused_but_never_overflows(text: str) -> None:
    with contextlib.suppress(BadJson):
        assert _levels(read(text, max_bytes=1000, max_levels=3)) <= 3


def _levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_levels, value.values()), default=0)
    return 1 + max(map(_levels, value), default=0) if isinstance(value, list) else 0
