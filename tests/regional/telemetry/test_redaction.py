"""What is taken out of words before they are kept."""

import pytest

from repartee.errors import ConfigurationError
from repartee.telemetry.redaction import redaction_of

ALL = "card, email, telephone"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("My card is 4111 1111 1111 1111, thanks.", "My card is [card], thanks."),
        ("It is 4111-1111-1111-1111.", "It is [card]."),
        ("Write to anna.maier+x@mail.example.com please", "Write to [email] please"),
        ("Call +1 (555) 010-0199 or 020 7946 0958.", "Call [telephone] or [telephone]."),
        ("Order 1234 came at 17:30 on 2026.", "Order 1234 came at 17:30 on 2026."),
        ("It costs 1,240.50 dollars.", "It costs 1,240.50 dollars."),
        ("", ""),
    ],
    ids=["card", "dashes", "email", "telephone", "small-numbers", "amount", "nothing"],
)
def test_what_ships(text: str, kept: str) -> None:
    assert redaction_of(ALL)(text) == kept


def test_nothing_is_taken_out_unless_it_is_asked_for() -> None:
    assert redaction_of("")("4111 1111 1111 1111, a@b.example") == "4111 1111 1111 1111, a@b.example"
    assert redaction_of("email")("4111 1111 1111 1111, a@b.example") == "4111 1111 1111 1111, [email]"


def test_a_number_that_fails_the_cards_check_is_none() -> None:
    assert redaction_of("card")("4111 1111 1111 1112") == "4111 1111 1111 1112"


def test_the_operators_own_patterns_come_a_line_each() -> None:
    redact = redaction_of("", "# policy numbers\nP-\\d{6}\n\n(?i)blue falcon\n")
    assert redact("P-123456 of Blue Falcon") == "[redacted] of [redacted]"


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        redaction_of("iban,card", "(\n.*\n" + "x" * 501)
    for said in ("'iban'", "card, email, telephone", "line 1 is no pattern", "line 2", "line 3"):
        assert said in str(refused.value)


def test_a_long_text_of_digits_takes_no_time() -> None:
    text = "1 " * 50_000
    assert len(redaction_of(ALL)(text)) <= len(text)
