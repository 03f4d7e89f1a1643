"""`repartee up --telephone` and `repartee demo --telephone`: calls by telephone on one machine, without keys."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect
from tests.e2e.conftest import free_port, launch, own_environment
from tests.e2e.test_demo import LIMIT_S, processes_on
from tests.promptness import DEADLINE_S

REPARTEE = Path(sys.executable).parent / "repartee"
PAGE = Path(__file__).parents[2] / "docs" / "telephone.md"


def test_the_demo_by_telephone_has_a_key_a_transfer_and_a_hang_up_in_it(tmp_path: Path) -> None:
    port, report = free_port(), tmp_path / "demo.json"
    ended = subprocess.run(
        [REPARTEE, "demo", "--telephone", "--once", "--port", str(port), "--json", report],
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(report.read_text())
    assert told["transport"] == "telephone" and len(told["turns"]) == 3
    for turn in told["turns"]:
        assert turn["question"] and turn["answer"] and turn["call_id"]
        assert sum(turn["stages_ms"].values()) == pytest.approx(turn["voice_to_voice_ms"], abs=1)
    seen = told["telephone"]
    assert seen["key"]["pressed"] == "1" and "half past eight" in seen["key"]["answer"]
    assert seen["transfer"]["to"] == "+15550111" and min(seen["transfer"]["heard_ms"].values()) >= 400
    assert seen["hang_up"]["by"] == "agent" and seen["hang_up"]["status"] == "completed"
    assert "handed on to +15550111" in " ".join(ended.stdout.split())
    assert processes_on(port) == []


@pytest.fixture(scope="module")
def telephone_system() -> Iterator[tuple[str, int]]:
    """`repartee up --telephone`; gives its telephone's address, and the port of its edge."""
    port = free_port()
    command = [str(REPARTEE), "up", "--telephone", "--regions", "1", "--port", str(port)]
    with subprocess.Popen(command, env=own_environment(), stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        said = []
        for line in up.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        pages = [line.split()[1] for line in said if "Telephone" in line]
        assert pages, "".join(said)
        yield pages[0], port
        up.terminate()
        up.communicate(timeout=DEADLINE_S)


def test_a_newcomer_dials_a_number_on_the_pages_keypad_and_hears_who_answers(
    telephone_system: tuple[str, int], playwright: Playwright
) -> None:
    browser = launch(playwright, None)
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(telephone_system[0])
    number = page.get_by_label("Number")
    expect(number).to_have_value("+15550199")
    number.fill("+1555")
    for key in "0199":
        page.get_by_role("button", name=key, exact=True).click()
    expect(number).to_have_value("+15550199")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Connected.")
    page.get_by_role("button", name="1", exact=True).click()
    heard = "Number(document.getElementById('heard').textContent) > 1"
    page.wait_for_function(heard)
    page.get_by_role("button", name="9", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("The call is over.")
    assert faults == []
    browser.close()


def test_what_the_page_has_one_type_works_in_its_order(
    telephone_system: tuple[str, int], tmp_path: Path
) -> None:
    written = re.findall(r"^    (repartee .+)$|`(repartee\s+call\s[^`]+)`", PAGE.read_text(), re.M)
    commands = [shlex.split(block or inline) for block, inline in written]
    assert [words[1] for words in commands] == ["demo", "up", "call", "dial", "dial", "dial"]
    (tmp_path / "people.csv").write_text("to,account\n+15550141,7\n+15550142,8\n")
    said = []
    for _, *words in commands[2:]:  # the demo is above, and `up` is what they go to
        edge = f"127.0.0.1:{telephone_system[1]}"
        more = ["ws://" + edge, "--json", "call.json"] if words[0] == "call" else ["http://" + edge]
        ended = subprocess.run(
            [str(REPARTEE), *words, "--url", *more],
            cwd=tmp_path, env=own_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        said.append(ended.stdout)
    told = json.loads((tmp_path / "call.json").read_text())
    [turn] = told["turns"]
    assert told["transport"] == "telephone" and turn["question"] == "What are your opening hours?"
    assert turn["call_id"] and turn["answer"] and turn["voice_to_voice_ms"] > 0
    assert "Calling +15550123 from +15550199" in said[1]
    assert "Placed: 2. Refused: none." in said[2]
    assert "+15550123 is not called any more." in said[3]
