"""docs/first-call.md, command by command, against a stand-in of Twilio's; and then the call."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

from tests.e2e.conftest import own_environment
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S
from tests.regional.telephone.system import until

from repartee.client.telephone import HandsetLine
from repartee.standins.server import StandInSettings, serve

PAGE = Path(__file__).parents[2] / "docs" / "first-call.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(values: dict[str, str]) -> str:
    """The page's commands with one's own values in place of the examples."""
    script = "set -euo pipefail\n" + "\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    for example, own in values.items():
        assert example in script, f"the page has no {example}"
        script = script.replace(example, own)
    return script


def logs_in(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("*.log")))


async def test_whoever_follows_the_page_is_answered(tmp_path: Path) -> None:
    async with serve(StandInSettings(profile="instant", light=True, telephone="")) as providers:
        network = providers.state.telephone
        assert network is not None
        edge, region = free_port(), free_port()
        token = "TWILIO_AUTH_TOKEN="
        script = commands(
            {
                "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": network.account.twilio_sid,
                f"{token}{'x' * 32}": f"{token}{network.account.twilio_token}",
                "https://api.twilio.com": providers.base_url,
                "https://edge.example.com": f"http://127.0.0.1:{edge}",
                "https://region.example.com": f"http://127.0.0.1:{region}",
                "8787": str(edge),
                "8000": str(region),
            }
        )
        environment = own_environment() | providers.environment()
        environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        walking = await asyncio.create_subprocess_exec(
            "bash", "-c", f"{script}\nwait",
            cwd=tmp_path, env=environment, start_new_session=True, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert walking.stdout is not None
        try:
            said = (await asyncio.wait_for(walking.stdout.readline(), DEADLINE_S * 2)).decode()
            assert said.startswith("Call +1"), f"{said}\n{logs_in(tmp_path)}"
            number = said.removeprefix("Call ").strip().rstrip(".")
            handset = await HandsetLine.connected(f"{providers.base_url}/telephone/", "+15550100")
            await handset.say(dial=number)
            await handset.until("answered")
            call = next(iter(network.calls.values()))
            await until(lambda: call.streams)
            await handset.say(key="9")
            assert (await handset.until("ended"))["status"] == "completed", "the agent has hung up"
            assert call.streams[0].figures.violations == []
            await handset.close()
        finally:
            os.killpg(walking.pid, signal.SIGTERM)
            await walking.wait()
