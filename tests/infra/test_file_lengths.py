"""A file of code has 400 lines at most, and holds one idea. Data, documents and lock files may be longer."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
CODE = (".py", ".js", ".mjs", ".ts", ".tf")

DATA = {"edge/repartee_edge/colos.py"}
"""Tables that are written as code."""

STILL_TOO_LONG = {
    "tests/regional/doctor/test_doctor.py",
    "tests/regional/pool/test_policy.py",
    "tests/regional/pool/test_pool.py",
    "tests/regional/relay/test_nobody_waits_in_vain.py",
    "tests/regional/session/actors.py",
    "tests/regional/session/test_conversation.py",
    "tests/regional/session/test_hearing_lost.py",
    "tests/regional/session/test_relay.py",
    "tests/regional/turn/test_nobody_is_left_waiting.py",
    "tests/regional/turn/test_turns.py",
    "tests/regional/wire/test_announcer.py",
}
"""Files that are to be parted by idea; the list only shrinks."""


def too_long() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [name for name in listed.stdout.split("\0") if name.endswith(CODE) and (ROOT / name).is_file()]
    return {
        name for name in files if len((ROOT / name).read_text(encoding="utf-8").splitlines()) > MOST_LINES
    }


def test_no_file_of_code_is_over_400_lines() -> None:
    assert too_long() - DATA - STILL_TOO_LONG == set()


def test_what_is_no_longer_too_long_leaves_the_list() -> None:
    assert (DATA | STILL_TOO_LONG) - too_long() == set()
