"""A log line says what happened and what is being done about it, and docs/log.md has them all."""

import pytest

from generate_log_lines import TABLE, LogLine, all_lines, lines_in, written

LINES = all_lines()


def test_they_were_found() -> None:
    assert len(LINES) > 90
    assert {line.level for line in LINES} == {"info", "warning", "error"}


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.module}:{line.number}")
def test_a_line_says_what_happened_and_what_is_being_done(line: LogLine) -> None:
    assert line.text is not None, "a line is written out where it is logged: its values are filled in"
    assert line.is_whole, f"{line.text!r}: what happened, a semicolon, and what is being done about it"
    assert "\n" not in line.text


def test_the_documentation_has_every_line_in_its_two_halves() -> None:
    assert TABLE.read_text(encoding="utf-8") == written(), "run tools/generate_log_lines.py"
    rows = [row for row in written().splitlines() if row.startswith("| ")][1:]
    assert len(rows) == len(LINES)
    for row in rows:
        happened, done, level, module = (cell.strip() for cell in row.strip("|").split(" | "))
        assert happened and done and level and module


@pytest.mark.parametrize(
    ("call", "is_found_whole"),
    [
        ('log.warning("the store failed: %s; trying again", error)', True),
        ('log.warning("the store failed: %s", error)', False),
        ('log.warning("the store failed; %s", error)', False),
        ('log.info("%s; trying again", error)', False),
        ("log.error(words)", False),
        ('log.exception(f"{name} failed; trying again")', False),
        ('logging.error("the store failed")', False),
    ],
)
def test_a_line_with_one_half_is_noticed(call: str, is_found_whole: bool) -> None:
    [line] = lines_in(f'import logging\nlog = logging.getLogger("a")\n{call}\n', "a")
    assert line.is_whole is is_found_whole


def test_what_is_no_line_for_an_operator_is_left_out() -> None:
    source = 'import logging\nlog = logging.getLogger()\nlog.debug("why")\nconsole.log("x")\nmath.log(2.0)\n'
    assert list(lines_in(source, "a")) == []
