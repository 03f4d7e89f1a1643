"""Ports for servers that tests start in processes of their own.

Outgoing connections get ports from 32768 on (Linux; 49152 elsewhere), at any moment: one of those that is free when
it is chosen may be taken when the server starts. So these lie below.
"""

import random
import socket
from contextlib import ExitStack

FIRST, LAST = 25_000, 32_700
TRIES = 200

_choice = random.SystemRandom()


def free_port(in_a_row: int = 1) -> int:
    """The first of so many ports in a row that nobody listens on now."""
    for _ in range(TRIES):
        port = _choice.randrange(FIRST, LAST - in_a_row)
        with ExitStack() as held:
            try:
                for offset in range(in_a_row):
                    held.enter_context(socket.create_server(("127.0.0.1", port + offset)))
            except OSError:
                continue
            return port
    raise AssertionError(f"no {in_a_row} ports in a row are free from {FIRST} to {LAST}")
