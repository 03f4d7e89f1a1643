"""One of the processes that `repartee region --workers N` consists of; it is started by the command, not by hand.

Its argument is a RegionProcess as JSON. Its life is tied to its parent's.
"""

import dataclasses
import math
import os
import socket
import sys
from dataclasses import dataclass

import msgspec
import uvloop

from repartee.app.main import create_app
from repartee.app.processes.arrivals import Arrivals, can_hand_over
from repartee.app.processes.membership import INNER_HOST, Membership
from repartee.app.processes.parent import Descriptors
from repartee.app.processes.shared_table import SharedTable
from repartee.app.server import make_server
from repartee.app.settings import Settings, read_settings
from repartee.app.worker import WorkerParts
from repartee.errors import VoiceError
from repartee.launch.region_setup import other_agents, served_agent, set_up_logging
from repartee.launch.tied import tie

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class RegionProcess:
    """A process's orders: its index, what it inherits, and the command's own options."""

    index: int
    descriptors: Descriptors
    host: str
    port: int
    agent: str
    allow_anonymous: bool
    loopback_only: bool
    reload: bool

    def command(self) -> list[str]:
        """The command line that starts it."""
        said = msgspec.json.encode(dataclasses.asdict(self)).decode()
        return [sys.executable, "-m", "repartee.launch.region_process", said]


def share_of(settings: Settings, processes: int) -> Settings:
    """A process's part of what the region keeps warm. The slots are not divided: all processes take of the same."""
    return settings.model_copy(update={"warm_calls": math.ceil(settings.warm_calls / processes)})


def serve(told: RegionProcess) -> None:
    """Be that process until told to end. Raises ConfigurationError."""
    given = told.descriptors
    tie(given.lifeline)
    table = SharedTable(given.table)
    settings = share_of(read_settings(), table.processes)
    name, agent = served_agent(settings, told.agent)
    set_up_logging(settings, f" [{told.index + 1}]")
    membership = Membership(table, told.index, given.reports)
    watched = name if told.reload else ""
    others = other_agents(name)
    parts = WorkerParts(settings, agent, told.allow_anonymous, told.loopback_only, watched, name, others)
    arrivals = Arrivals(socket.socket(fileno=given.channel), membership)
    server = make_server(create_app(parts, membership), host=told.host, port=told.port, arrivals=arrivals)
    inner = socket.create_server((INNER_HOST, 0))
    membership.listens_at(inner.getsockname()[1])
    outer = [] if can_hand_over() else [socket.socket(fileno=given.listener)]
    uvloop.run(server.serve(sockets=[inner, *outer]))


def main() -> None:
    """`python -m repartee.launch.region_process JSON`"""
    told = msgspec.json.decode(sys.argv[1], type=RegionProcess)
    try:
        serve(told)
    except VoiceError as error:
        print(f"error {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        # The parent tells a process so to end at once. Nothing is left to be done.
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
