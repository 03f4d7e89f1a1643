"""The edge with other versions of the libraries it reaches into: it serves, and one warning says what is lacking."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.altered import altered
from tests.promptness import DEADLINE_S

SIGNS_OVER_A_SOCKET = """
import repartee_edge.lean_jwt
import asyncio, json, sys, threading, urllib.request
import jwt
from http.server import BaseHTTPRequestHandler, HTTPServer
from repartee_edge.tickets import TicketKeys, sign, verify

KEYS = TicketKeys("a key for tests that is long enough for anybody")

class Signing(BaseHTTPRequestHandler):
    def do_GET(self):
        body = sign(KEYS, region="near", subject="me", now=1000.0).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Signing)
threading.Thread(target=server.serve_forever, daemon=True).start()
token = urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").read().decode()
ticket = verify(KEYS, token, region="near", now=1001.0)
server.shutdown()
print(json.dumps({"subject": ticket.subject, "lean": getattr(jwt, "PyJWKClient", True) is None}))
"""


def signed_with(other: Path) -> tuple[str, str]:
    """What a program that signs and verifies a ticket prints with these packages found first, and its warnings."""
    edge = Path(__file__).parents[2] / "edge"
    ran = subprocess.run(
        [sys.executable, "-c", SIGNS_OVER_A_SOCKET],
        env={"PYTHONPATH": f"{other}:{edge}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return ran.stdout.strip(), ran.stderr


@pytest.mark.parametrize(
    "renamed",
    [{"jwks_client": "key_sets"}, {"PyJWKClient": "KeySetClient"}],
    ids=["its HTTP client in another module", "its HTTP client under another name"],
)
def test_without_the_insides_of_pyjwt(renamed: dict[str, str], tmp_path: Path) -> None:
    output, warnings = signed_with(altered(tmp_path, "jwt", renamed))
    assert output == '{"subject": "me", "lean": false}'
    assert warnings.count("cannot be imported without its HTTP client: it is imported whole") == 1


def test_with_the_version_that_is_installed_pyjwt_is_lean(tmp_path: Path) -> None:
    assert signed_with(tmp_path) == ('{"subject": "me", "lean": true}', "")
