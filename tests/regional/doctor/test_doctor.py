"""`repartee doctor`: every fault is found, named in plain words and comes with what to do; keys are never shown."""

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import REPARTEE, clean_environment, region
from tests.regional.tcp_server import tcp
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from repartee.doctor.examination import examine
from repartee.doctor.findings import Finding
from repartee.doctor.machine_checks import check_python
from repartee.doctor.network_checks import KeyTried, model_findings
from repartee.errors import ConfigurationError
from repartee.providers.model_end import day_of

NOBODY = "http://127.0.0.1:9"


async def faults(environment: Mapping[str, str], port: int, region_url: str = "") -> dict[str, Finding]:
    """What is wrong, by subject."""
    found = await examine(environment, port=port, region_url=region_url)
    return {finding.subject: finding for finding in found if finding.fault}


def run(environment: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REPARTEE, "doctor", *options],
        env=clean_environment() | dict(environment),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_all_is_well_with_the_stand_ins(providers: dict[str, str], tmp_path: Path, port: int) -> None:
    told = tmp_path / "findings.json"
    done = run(providers, "--port", str(port), "--json", str(told))
    assert (done.returncode, done.stderr) == (0, "")
    assert "All is well." in done.stdout
    assert done.stdout.count("its key is accepted") == 3
    report = json.loads(told.read_text())
    assert report["ok"] is True
    found = {finding["subject"]: finding for finding in report["findings"]}
    assert {"Python", "settings", "port", "agent", "Deepgram", "OpenAI", "Cartesia", "clock"} <= found.keys()
    assert found["OpenAI"]["figures"].keys() >= {"tcp_ms", "http_ms", "ready_ms"}


def test_what_is_wrong_is_told_with_what_to_do(providers: dict[str, str], tmp_path: Path, port: int) -> None:
    told = tmp_path / "findings.json"
    environment = {**providers, "OPENAI_API_KEY": "", "REPARTEE_AGENT": str(tmp_path / "nobody.py")}
    done = run(environment, "--port", str(port), "--json", str(told))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "✗ OpenAI" in done.stdout
    assert "→ Export OPENAI_API_KEY" in done.stdout
    assert "2 faults to mend." in done.stdout
    wrong = [finding for finding in json.loads(told.read_text())["findings"] if not finding["ok"]]
    assert {finding["subject"] for finding in wrong} == {"OpenAI", "agent"}
    assert all(finding["remedy"] for finding in wrong)


def written(folder: Path, rest: str = "") -> str:
    """A speech-to-speech agent's file, as --agent names it."""
    file = folder / "speaker.py"
    code = "from repartee import Agent\n\nagent = Agent(instructions='Be brief.', model='gpt-realtime')\n"
    file.write_text(code + rest)
    return str(file)


async def test_a_store_that_cannot_be_used(providers: dict[str, str], tmp_path: Path, port: int) -> None:
    (path := tmp_path / "store.sqlite3").write_text("no database " * 100)
    found = await faults(providers | {"REPARTEE_STORE_FILE": str(path)}, port)
    assert found.keys() == {"store"}
    assert "not a database" in found["store"].told
    assert "REPARTEE_STORE_FILE" in found["store"].remedy


def test_a_speech_to_speech_agent_needs_openais_key_alone(
    providers: dict[str, str], tmp_path: Path, port: int
) -> None:
    told = tmp_path / "findings.json"
    openai = {name: value for name, value in providers.items() if name.startswith("OPENAI")}
    options = ["--agent", written(tmp_path), "--port", str(port), "--json", str(told)]
    done = run(openai, *options)
    assert (done.returncode, done.stderr) == (0, "")
    found = {finding["subject"]: finding["told"] for finding in json.loads(told.read_text())["findings"]}
    assert "speaker.py, which --agent names, is loaded" in found["agent"]
    assert "gpt-realtime" in found["agent"]
    assert "its key is accepted" in found["OpenAI"]
    assert not found.keys() & {"Deepgram", "Cartesia", "ElevenLabs"}

    keyless = {"REPARTEE_AGENT": written(tmp_path), "OPENAI_BASE_URL": openai["OPENAI_BASE_URL"]}
    done = run(keyless, "--port", str(port))
    assert "→ Export OPENAI_API_KEY" in done.stdout
    assert "which REPARTEE_AGENT names" in done.stdout
    assert "1 fault to mend." in done.stdout


async def test_a_speech_to_speech_agents_key_that_is_refused(
    providers: dict[str, str], tmp_path: Path, port: int
) -> None:
    environment = {**providers, "OPENAI_API_KEY": "bad-key", "REPARTEE_AGENT": written(tmp_path)}
    found = await faults(environment, port)
    assert found.keys() == {"OpenAI"}
    assert "the key is refused" in found["OpenAI"].told


async def test_the_agent_option_goes_before_the_setting(
    providers: dict[str, str], tmp_path: Path, port: int
) -> None:
    environment = {**providers, "REPARTEE_AGENT": str(tmp_path / "nobody.py")}
    found = await examine(environment, port=port, agent=written(tmp_path))
    assert not any(finding.fault for finding in found)


async def test_an_agent_that_no_region_would_serve(
    providers: dict[str, str], tmp_path: Path, port: int
) -> None:
    contradiction = "\n\n@agent.reply\nasync def reply(context):\n    yield 'Hello'\n"
    environment = {**providers, "REPARTEE_AGENT": written(tmp_path, contradiction)}
    found = await faults(environment, port)
    assert found.keys() == {"agent"}
    assert "@agent.reply would never be used" in found["agent"].told


async def test_without_an_agent_that_is_said(providers: dict[str, str], port: int) -> None:
    told = {finding.subject: finding.told for finding in await examine(providers, port=port)}
    assert told["agent"] == "Neither --agent nor REPARTEE_AGENT names one: a plain agent answers."


@pytest.mark.parametrize("name", ["Deepgram", "OpenAI", "Cartesia"])
async def test_a_key_that_is_refused(providers: dict[str, str], port: int, name: str) -> None:
    found = await faults({**providers, f"{name.upper()}_API_KEY": "bad-key"}, port)
    assert found.keys() == {name}
    assert "the key is refused" in found[name].told
    assert f"{name.upper()}_API_KEY" in found[name].remedy
    assert "bad-key" not in found[name].told + found[name].remedy


async def test_a_base_url_that_lacks_its_v1(providers: dict[str, str], tmp_path: Path, port: int) -> None:
    environment = {**providers, "OPENAI_BASE_URL": providers["OPENAI_BASE_URL"].removesuffix("/v1")}
    done = run(environment, "--port", str(port))
    assert done.returncode == 1
    assert "All is well" not in done.stdout
    assert "1 fault to mend." in done.stdout
    assert "→ Check OPENAI_BASE_URL (with the path that it ends in, such as /v1)" in done.stdout


@asynccontextmanager
async def chatting(
    lists: str, chats: str, words: str = "model is not yours", **more: object
) -> AsyncIterator[tuple[str, list[str]]]:
    """A language model's server that answers the list of models and a chat so; gives its URL and what it is asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                lengths = [line[15:] for line in head.splitlines() if line.startswith("content-length:")]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                asked.append(" ".join(head.split()[:2]))
                status = chats if asked[-1].startswith("post") else lists
                body = json.dumps(more or {"error": {"message": words}}).encode()
                writer.write(
                    b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)) + body
                )

    async with tcp(serve) as url:
        yield f"{url}/v1", asked


async def test_a_key_that_may_not_list_models_but_may_chat_is_well(
    providers: dict[str, str], port: int
) -> None:
    async with chatting("403 Forbidden", "200 OK") as (url, asked):
        assert await faults({**providers, "OPENAI_BASE_URL": url}, port) == {}
    assert "post /v1/chat/completions" in asked


async def test_a_model_that_the_list_does_not_tell_of(providers: dict[str, str], port: int) -> None:
    async with chatting("200 OK", "404 Not Found") as (url, _):
        found = await faults({**providers, "OPENAI_BASE_URL": url}, port)
    assert found.keys() == {"OpenAI"}
    assert "model is not yours" in found["OpenAI"].told
    assert "the model's name" in found["OpenAI"].remedy


@pytest.mark.parametrize("said", ["model is not yours", "Missing scopes: model.request"])
async def test_a_permission_that_is_missing_is_passed_on_in_the_providers_words(
    providers: dict[str, str], port: int, said: str
) -> None:
    async with chatting("403 Forbidden", "403 Forbidden", said) as (url, _):
        found = await faults({**providers, "OPENAI_BASE_URL": url}, port)
    assert found.keys() == {"OpenAI"}
    assert said in found["OpenAI"].told


async def test_a_voice_that_the_provider_does_not_know(providers: dict[str, str], port: int) -> None:
    asked: list[dict[str, Any]] = []

    async def session(connection: ServerConnection) -> None:
        async for message in connection:
            asked.append(json.loads(message))
            refusal = {"type": "error", "context_id": asked[-1]["context_id"], "status_code": 404}
            await connection.send(json.dumps({**refusal, "title": "Voice not found", "message": "no parrot"}))

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        return (
            None
            if "upgrade" in request.headers.get("Connection", "").lower()
            else connection.respond(200, "")
        )

    async with serve(session, "127.0.0.1", 0, process_request=admit) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        environment = {**providers, "CARTESIA_BASE_URL": url, "REPARTEE_VOICE": "parrot"}
        found = await faults(environment, port)
    assert found.keys() == {"Cartesia"}
    assert "Voice not found: no parrot" in found["Cartesia"].told
    assert asked[-1]["voice"]["id"] == "parrot"
    assert asked[-1]["transcript"].strip() == "Hm.", "a syllable"


async def test_a_host_that_is_mistyped_is_named_within_seconds(providers: dict[str, str], port: int) -> None:
    machine = measured()
    started = time.monotonic()
    found = await faults({**providers, "DEEPGRAM_BASE_URL": "https://api.deepgramm.invalid"}, port)
    assert "api.deepgramm.invalid has no address" in found["Deepgram"].told
    machine.promise(time.monotonic() - started < 10, "no minute's wait")


@pytest.mark.parametrize(("days", "told"), [(90, True), (91, False), (0, True)])
async def test_a_model_that_will_be_shut_down_is_told_of_ninety_days_ahead(
    providers: dict[str, str], port: int, days: int, told: bool
) -> None:
    day = datetime.now(UTC).date() + timedelta(days=days)
    more = {"id": "gpt-5.6-luna", "object": "model", "shutdown_date": day.isoformat()}
    async with chatting("200 OK", "200 OK", **more) as (url, asked):
        found = await examine({**providers, "OPENAI_BASE_URL": url}, port=port)
    about = [finding for finding in found if finding.subject == "model"]
    assert bool(about) is told
    assert not any(finding.fault for finding in found)
    assert "get /v1/models/gpt-5.6-luna" in asked
    if told:
        assert f"in {days} days" in about[0].told
        assert "REPARTEE_LLM_MODEL" in about[0].told


def test_a_model_whose_day_has_passed_is_a_fault() -> None:
    [found] = model_findings([KeyTried(1.0, ends=("REPARTEE_LLM_MODEL", date(2026, 1, 2)))], date(2026, 1, 3))
    assert found.fault
    assert "2 January 2026" in found.told


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("2027-01-14", date(2027, 1, 14)),
        ("2027-01-14T00:00:00Z", date(2027, 1, 14)),
        (1_799_884_800, date(2027, 1, 14)),
        ({"date": "2027-01-14"}, date(2027, 1, 14)),
        (None, None),
        ("soon", None),
        (True, None),
        (1e30, None),
        ([], None),
    ],
)
def test_a_day_is_read_however_it_is_written(said: object, day: date | None) -> None:
    assert day_of(said) == day


async def test_providers_that_cannot_be_reached(providers: dict[str, str], port: int) -> None:
    environment = {
        **providers,
        "DEEPGRAM_BASE_URL": "https://nowhere.invalid",
        "OPENAI_BASE_URL": f"{NOBODY}/v1",
        "CARTESIA_BASE_URL": providers["CARTESIA_BASE_URL"].replace("http:", "https:"),
    }
    found = await faults(environment, port)
    assert "nowhere.invalid has no address" in found["Deepgram"].told
    assert "DNS" in found["Deepgram"].remedy
    assert found["OpenAI"].told == "Nothing listens at 127.0.0.1:9."
    assert "OPENAI_BASE_URL" in found["OpenAI"].remedy
    assert "TLS" in found["Cartesia"].told


async def test_all_wrong_settings_are_told_at_once(port: int) -> None:
    environment = {
        "REPARTEE_STT": "whisper",
        "REPARTEE_MAX_CALLS": "none",
        "REPARTEE_API_KEY": "dev",
        "REPARTEE_TICKET_KEY": "short",
        "REPARTEE_EDGE_COLO": "Mars",
    }
    found = await faults(environment, port)
    assert found.keys() == {"REPARTEE_STT", "REPARTEE_MAX_CALLS", "REPARTEE_TICKET_KEY", "edge"}
    assert "REPARTEE_EDGE_COLO" in found["edge"].told
    assert "short" not in found["REPARTEE_TICKET_KEY"].told.replace("shorter", "")


async def test_a_port_that_is_taken(providers: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = await faults(providers, taken.getsockname()[1])
    assert found.keys() == {"port"}
    assert "--port" in found["port"].remedy


async def test_a_running_region_shows_its_calls_and_pools(providers: dict[str, str], port: int) -> None:
    async with region({**providers, "REPARTEE_MAX_CALLS": "7"}) as worker:
        found = await examine(providers, port=worker.port, region_url=worker.http)
        told = {finding.subject: finding.told for finding in found if not finding.fault}
        assert told["calls"] == "0 of 7 call slots are taken."
        assert "is ready" in told["region"]
        pools = {subject.split()[1] for subject in told if subject.startswith("pool ")}
        assert pools == {"deepgram", "openai", "cartesia"}
        assert "port" not in told
        await worker.worker.drain()
        assert "draining" in (await faults(providers, port, worker.http))["region"].told


async def test_a_region_whose_pool_stays_empty(providers: dict[str, str], port: int) -> None:
    lost = {**providers, "CARTESIA_BASE_URL": NOBODY, "REPARTEE_LATENCY_LOG": os.devnull}
    async with region(lost, warm=False) as worker:
        found = await faults(providers, port, worker.http)
    assert found.keys() == {"region", "pool cartesia"}


async def test_a_region_that_is_not_there(providers: dict[str, str], port: int) -> None:
    assert (await faults(providers, port, NOBODY))["region"].told == "Nothing listens at 127.0.0.1:9."
    with pytest.raises(ConfigurationError, match="--region-url must be like"):
        await examine(providers, port=port, region_url="127.0.0.1:9")


def test_a_python_that_is_too_old() -> None:
    assert "3.10" in check_python((3, 10)).told
    assert check_python((3, 10)).fault
    assert not check_python().fault
