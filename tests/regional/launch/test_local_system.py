"""What `repartee up` runs, and with which settings."""

import json
from pathlib import Path

import pytest

from repartee.errors import ConfigurationError
from repartee.launch.local_system import LocalSystem, SystemOptions, local_system
from repartee.launch.processes import Part
from repartee_edge.regions import load_regions

KEYS = {"DEEPGRAM_API_KEY": "d", "OPENAI_API_KEY": "o", "CARTESIA_API_KEY": "c"}


def parts(system: LocalSystem) -> dict[str, Part]:
    return {part.name: part for stage in system.stages for part in stage}


def test_without_keys_everything_is_stood_in_for(tmp_path: Path) -> None:
    system = local_system(SystemOptions(port=9000, profile="typical"), {}, tmp_path)
    named = parts(system)
    assert list(named) == ["stand-ins", "region us-east", "region eu-west", "edge"]
    assert [part.port for part in named.values()] == [9013, 9001, 9002, 9000]
    assert list(named["stand-ins"].command) == ["standins", "--port", "9013", "--profile", "typical"]
    env = named["region us-east"].env
    assert env["OPENAI_BASE_URL"] == "http://127.0.0.1:9013/v1"
    assert env["DEEPGRAM_BASE_URL"] == "http://127.0.0.1:9013"
    assert env["REPARTEE_REGION"] == "us-east"
    assert env["REPARTEE_TICKET_KEY"] == named["edge"].env["REPARTEE_TICKET_KEY"]
    assert system.api_key == "dev" and system.real_providers == ()


def test_other_machines_are_served_with_a_key_of_ones_own(tmp_path: Path) -> None:
    named = parts(local_system(SystemOptions(), {}, tmp_path))
    assert "--loopback-only" in named["region us-east"].command
    assert list(named["edge"].command[:3]) == ["edge", "--host", "127.0.0.1"]
    options = SystemOptions(host="0.0.0.0")
    with pytest.raises(ConfigurationError, match="REPARTEE_API_KEY"):
        local_system(options, {}, tmp_path)
    named = parts(local_system(options, {"REPARTEE_API_KEY": "mine"}, tmp_path))
    assert list(named["edge"].command[:3]) == ["edge", "--host", "0.0.0.0"]
    assert "--host" not in named["region us-east"].command
    assert "--loopback-only" not in named["region us-east"].command


def test_the_edge_knows_the_regions_as_they_are_here(tmp_path: Path) -> None:
    local_system(SystemOptions(port=9000, regions=3), {}, tmp_path)
    table = load_regions((tmp_path / "regions.json").read_text())
    assert [region.name for region in table.enabled][:2] == ["us-east", "eu-west"]
    assert [region.origin for region in table.regions] == [
        f"http://127.0.0.1:{port}" for port in (9001, 9002, 9003)
    ]


def test_a_provider_with_a_key_is_used_itself(tmp_path: Path) -> None:
    system = local_system(SystemOptions(), {"OPENAI_API_KEY": "sk-1"}, tmp_path)
    env = parts(system)["region us-east"].env
    assert "OPENAI_BASE_URL" not in env and "OPENAI_API_KEY" not in env
    assert env["DEEPGRAM_API_KEY"] == "stand-in"
    assert system.real_providers == ("OpenAI",)


def test_a_model_server_of_ones_own_needs_no_key(tmp_path: Path) -> None:
    system = local_system(SystemOptions(), {"OPENAI_BASE_URL": "http://10.0.0.5:8000/v1"}, tmp_path)
    env = parts(system)["region us-east"].env
    assert "OPENAI_BASE_URL" not in env
    assert env["OPENAI_API_KEY"] == "stand-in"


def test_with_all_keys_there_are_no_stand_ins(tmp_path: Path) -> None:
    assert "stand-ins" not in parts(local_system(SystemOptions(), KEYS, tmp_path))


def test_the_agent_and_the_api_key_are_passed_on(tmp_path: Path) -> None:
    system = local_system(SystemOptions(agent="bank:agent"), {"REPARTEE_API_KEY": "mine"}, tmp_path)
    assert list(parts(system)["region eu-west"].command)[-3:] == ["--agent", "bank:agent", "--reload"]
    assert parts(system)["edge"].env["REPARTEE_API_KEY"] == system.api_key == "mine"


def test_two_systems_do_not_share_a_ticket_key(tmp_path: Path) -> None:
    keys = {
        parts(local_system(SystemOptions(), {}, tmp_path))["edge"].env["REPARTEE_TICKET_KEY"]
        for _ in range(2)
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (SystemOptions(regions=0), "--regions must be from 1 to 8"),
        (SystemOptions(port=65530), "--port must be"),
        (SystemOptions(host="10.0.0.5"), "--host must be 127.0.0.1 or 0.0.0.0"),
    ],
)
def test_what_cannot_be(options: SystemOptions, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        local_system(options, {}, tmp_path)


def test_the_regions_file_is_json(tmp_path: Path) -> None:
    local_system(SystemOptions(), {}, tmp_path)
    assert json.loads((tmp_path / "regions.json").read_text())["regions"]


def test_regions_on_one_machine_do_not_contend_for_a_webrtc_port(tmp_path: Path) -> None:
    named = parts(local_system(SystemOptions(), {}, tmp_path))
    assert named["region us-east"].env["REPARTEE_WEBRTC_PORT"] == "0"
    named = parts(local_system(SystemOptions(), {"REPARTEE_WEBRTC_PORT": "5000"}, tmp_path))
    assert named["region us-east"].env["REPARTEE_WEBRTC_PORT"] == "5000"
