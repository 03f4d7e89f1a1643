"""Which addresses a worker has: set, found by a STUN server, read from ECS, or the machine's own."""

import asyncio
import socket
import urllib.request
from dataclasses import dataclass

from repartee.transport.webrtc.stun_client import AddressUnknown, ask_stun
from repartee.wire import outside_json

METADATA_S = 2.0
MAX_METADATA_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class AddressSources:
    """Where to look. ``own_machine``: only this machine's callers are served."""

    listed: str = ""
    stun_server: str = ""
    ecs_metadata_uri: str = ""
    own_machine: bool = False


async def public_addresses(sources: AddressSources) -> list[str]:
    """The addresses that callers are given. Raises AddressUnknown."""
    if listed := [one.strip() for one in sources.listed.split(",") if one.strip()]:
        return listed
    if sources.own_machine:
        return ["127.0.0.1"]
    if sources.stun_server:
        host, _, port = sources.stun_server.rpartition(":")
        return [await ask_stun(host.strip("[]"), int(port))]
    return [await private_address(sources.ecs_metadata_uri)]


async def private_address(ecs_metadata_uri: str) -> str:
    """This machine's address in its network: of the ECS task, else the one it sends from. Raises AddressUnknown."""
    if ecs_metadata_uri:
        return await asyncio.get_running_loop().run_in_executor(None, _task_address, ecs_metadata_uri)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only has a route chosen
        except Exception:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _task_address(uri: str) -> str:
    try:
        with urllib.request.urlopen(f"{uri}/task", timeout=METADATA_S) as answer:
            task = outside_json.decode(answer.read(MAX_METADATA_BYTES))
        networks = [network for each in task["Containers"] for network in each.get("Networks", [])]
        return next(str(address) for network in networks for address in network.get("IPv4Addresses", []))
    except Exception as error:
        raise AddressUnknown(f"ECS does not say the task's address at {uri}/task: {error!r}") from None
