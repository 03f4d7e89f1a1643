"""Whether the part in this container is alive: exit status 0 if its address answers 200.

Takes the address to ask, by default the regional worker's /healthz. Needs nothing but the standard library, so that
it starts in a few milliseconds.
"""

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT_S = 4.0


def alive(url: str) -> bool:
    """Whether a GET of ``url`` (plain http) is answered with 200 within TIMEOUT_S."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/healthz"
    sys.exit(0 if alive(address) else 1)
