"""Which keys a deployment gives the edge and the regions: one ticket key for both, or nothing."""

import json
from pathlib import Path

import pytest

from deployment import files
from deployment.findings import secrets_given
from deployment.programs import StoppedError

OURS, THEIRS = "o" * 48, "t" * 48
API_KEY = "shop:sk-of-the-tests"


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """A clone whose last run kept its keys."""
    kept = tmp_path / files.KEYS_FILE
    kept.parent.mkdir()
    kept.write_text(f"REPARTEE_API_KEY={API_KEY}\nREPARTEE_TICKET_KEY={OURS}\n")
    return tmp_path


def secrets(**values: str) -> dict[str, str]:
    return {"TF_VAR_secrets": json.dumps(values)}


@pytest.mark.parametrize("edge_exists", [False, True])
def test_regions_with_another_ticket_key_than_the_edge_are_refused(deployed: Path, edge_exists: bool) -> None:
    before = (deployed / files.KEYS_FILE).read_text()
    for given in (
        secrets(REPARTEE_TICKET_KEY=THEIRS),
        secrets(REPARTEE_TICKET_KEY=THEIRS, REPARTEE_TICKET_KEY_PREVIOUS="p" * 48),
    ):
        with pytest.raises(
            StoppedError, match=r"than the edge has from \.repartee/deploy\.env: .* every call"
        ):
            files.keys(deployed, given, deployed=edge_exists)
    assert (deployed / files.KEYS_FILE).read_text() == before
    env = {"REPARTEE_TICKET_KEY": OURS, **secrets(REPARTEE_TICKET_KEY=THEIRS)}
    with pytest.raises(StoppedError, match="than the edge has from the environment"):
        files.keys(deployed, env, deployed=edge_exists)


@pytest.mark.parametrize(
    "given",
    [
        secrets(REPARTEE_TICKET_KEY=OURS),
        secrets(OPENAI_API_KEY="sk-other"),
        secrets(REPARTEE_TICKET_KEY=""),
        secrets(REPARTEE_TICKET_KEY=OURS, REPARTEE_TICKET_KEY_PREVIOUS=THEIRS),
        secrets(REPARTEE_TICKET_KEY=THEIRS, REPARTEE_TICKET_KEY_PREVIOUS=OURS),
        {},
    ],
    ids=["the same", "none", "empty", "rotation begun", "rotation nearly done", "not set"],
)
def test_regions_that_accept_the_edges_tickets_are_fine(deployed: Path, given: dict[str, str]) -> None:
    assert files.keys(deployed, given, deployed=True)["REPARTEE_TICKET_KEY"] == OURS


def test_a_ticket_key_that_only_the_regions_were_given_becomes_the_edges(tmp_path: Path) -> None:
    keys = files.keys(tmp_path, secrets(REPARTEE_TICKET_KEY=THEIRS), deployed=False)
    assert keys["REPARTEE_TICKET_KEY"] == THEIRS
    assert THEIRS in (tmp_path / files.KEYS_FILE).read_text()


@pytest.mark.parametrize("text", ["{", "[]", '"key"', '{"OPENAI_API_KEY": 1}', "{'a': 'b'}"])
def test_secrets_that_cannot_be_read_are_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(StoppedError, match=r"TF_VAR_secrets is no JSON object .* or unset it"):
        secrets_given({"TF_VAR_secrets": text})
