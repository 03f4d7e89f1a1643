"""docs/extending.md: the vendor that it shows is one file and one row, and a call speaks with it over real sockets.

The package is copied, the file and the row are put in as the page says, and its commands run from the copy.
"""

import asyncio
import json
import math
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import (
    REPARTEE,
    calling,
    clean_environment,
    metrics_of,
    region_process,
    spoken_turn,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "extending.md").read_text()
IDLE = 'repartee_pool_connections{provider="chirp",state="idle"}'
TABLE = "VENDORS: tuple[Vendor, ...] = (\n"


def example(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```python\n(.*?)```\n<!-- /{name} -->", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_it_is_one_file_and_one_row_of_forty_lines_at_most() -> None:
    assert len(example("vendor").splitlines()) + len(example("row").splitlines()) <= 40


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree with the vendor in it."""
    root = tmp_path_factory.mktemp("tree")
    for folder in ("regional/repartee", "edge/repartee_edge"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (
        "tools/generate_vendors.py",
        "infra/regions.schema.json",
        "infra/regions.json",
        "terraform/modules/fleet/variables.tf",
        "docs/operations.md",
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    providers = root / "regional" / "repartee" / "providers"
    (providers / "chirp.py").write_text(example("vendor"))
    table = (providers / "vendors.py").read_text()
    assert TABLE in table
    (providers / "vendors.py").write_text(table.replace(TABLE, TABLE + f"    {example('row').strip()},\n"))
    return root


def path_of(copy: Path) -> dict[str, str]:
    """What has Python take the package from the copy."""
    return {"PYTHONPATH": os.pathsep.join(str(copy / folder) for folder in ("regional", "edge"))}


@dataclass
class Chirp:
    """The vendor's server: strict about what it is sent; speaks a tone, 10 ms for each character."""

    url: str = ""
    voices: list[tuple[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if request.headers.get("Authorization") != "Bearer chirp-key":
            return connection.respond(401, "unknown key\n")
        if parts.path != "/speak" or set(query) != {"voice", "language"}:
            return connection.respond(404, "no such thing\n")
        self.voices.append((query["voice"], query["language"]))
        return None

    async def session(self, connection: ServerConnection) -> None:
        async for message in connection:
            said = json.loads(message)
            assert set(said) == {"text", "last"}, said
            self.texts.append(said["text"])
            samples = [round(9_000 * math.sin(n / 8)) for n in range(240 * len(said["text"]))]
            if samples:
                await connection.send(struct.pack(f"<{len(samples)}h", *samples))
            if said["last"]:
                await connection.send(b"")


@asynccontextmanager
async def chirp() -> AsyncIterator[Chirp]:
    far = Chirp()
    async with serve(far.session, "127.0.0.1", 0, process_request=far.admit) as server:
        far.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield far


def settings(copy: Path, providers: dict[str, str], far: Chirp, **more: str) -> dict[str, str]:
    chosen = {"REPARTEE_TTS": "chirp", "CHIRP_API_KEY": "chirp-key", "CHIRP_BASE_URL": far.url}
    return {**providers, **path_of(copy), **chosen, "REPARTEE_VOICE": "robin", **more}


async def run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        command,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


async def test_a_call_speaks_with_it_from_a_warm_socket(copy: Path, providers: dict[str, str]) -> None:
    async with chirp() as far:
        environment = settings(copy, providers, far, REPARTEE_RECORD_PHRASES="off")
        with region_process(environment, "--allow-anonymous") as worker:
            async with asyncio.timeout(DEADLINE_S):
                while (await metrics_of(worker.http)).get(IDLE, 0) < 4:  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.05)
            async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                told = (await spoken_turn(websocket))[-1]
            figures = await metrics_of(worker.http)
    assert told["providers"]["tts"] == "chirp"
    assert far.texts
    assert set(far.voices) == {("robin", "en")}
    assert figures['repartee_pool_misses_total{provider="chirp"}'] == 0


async def test_the_doctor_has_it_say_a_syllable_and_knows_its_key(
    copy: Path, providers: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    async with chirp() as far:
        done = await run(settings(copy, providers, far), REPARTEE, "doctor", "--port", port)
        assert "Chirp" in done.stdout and "its key is accepted" in done.stdout
        assert far.texts == ["Hm."]
        wrong = settings(copy, providers, far, CHIRP_API_KEY="another")
        done = await run(wrong, REPARTEE, "doctor", "--port", port)
        assert "Put a valid key into CHIRP_API_KEY" in done.stdout
        done = await run(settings(copy, providers, far, CHIRP_API_KEY=""), REPARTEE, "doctor", "--port", port)
        assert "Export CHIRP_API_KEY" in done.stdout


async def test_its_settings_are_taken_and_checked(copy: Path, providers: dict[str, str]) -> None:
    async with chirp() as far:
        wrong = settings(copy, providers, far, CHIRP_BASE_URL="chirp.example", REPARTEE_TTS="whistle")
        done = await run(wrong, REPARTEE, "region", "--port", "0")
    assert done.returncode != 0
    assert "CHIRP_BASE_URL: must begin with http:// or https://" in done.stderr
    assert "REPARTEE_TTS: must be of chirp, cartesia, flux-tts, elevenlabs" in done.stderr


async def test_up_asks_for_its_key_as_it_has_no_stand_in(copy: Path) -> None:
    done = await run({**path_of(copy), "REPARTEE_TTS": "chirp"}, REPARTEE, "up", "--port", "9300")
    assert done.returncode != 0
    assert "Chirp has no stand-in" in done.stdout + done.stderr
    assert "CHIRP_API_KEY" in done.stdout + done.stderr


async def test_the_regions_file_may_name_it_once_what_cannot_read_the_table_is_written(copy: Path) -> None:
    tool = str(copy / "tools" / "generate_vendors.py")
    assert (await run(path_of(copy), sys.executable, tool, "--check")).returncode == 1
    done = await run(path_of(copy), sys.executable, tool)
    assert done.returncode == 0, done.stderr
    assert (await run(path_of(copy), sys.executable, tool, "--check")).returncode == 0
    schema = json.loads((copy / "infra" / "regions.schema.json").read_text())
    taken = schema["$defs"]["region"]["properties"]["providers"]
    assert "chirp" in taken["properties"] and "whistle" not in taken["properties"]
    assert taken["additionalProperties"] is False
    document = json.loads((copy / "infra" / "regions.json").read_text())
    program = "import sys; from repartee_edge.regions import load_regions; load_regions(sys.argv[1])"
    for name, good in (("chirp", True), ("whistle", False)):
        document["regions"][0]["providers"] = {name: "https://eu.chirp.example"}
        text = json.dumps({key: value for key, value in document.items() if key != "$schema"})
        done = await run(path_of(copy), sys.executable, "-c", program, text)
        assert (done.returncode == 0) is good, done.stderr
    assert "REPARTEE_TTS=chirp" in (copy / "docs" / "operations.md").read_text()
    assert '"chirp"' in (copy / "terraform/modules/fleet/variables.tf").read_text()
