"""What comes from outside is bounded before it is parsed: headers, heartbeats, nesting."""

import json
import time
from collections.abc import Iterator

import httpx
import jwt
import pytest
from tests.edge.conftest import TICKET_KEY, StartEdge, StartRegion, edge_env
from tests.edge.test_hostile import KEYS, token_with_header
from tests.promptness import DEADLINE_S

from repartee_edge import bounded_json, heartbeats, tickets


def test_a_tokens_header_has_256_characters_at_most() -> None:
    assert tickets.MAX_TOKEN_HEADER_CHARS == 256
    assert tickets.verify(KEYS, token_with_header(256), region="near", now=150).subject == "a"
    header, _, rest = token_with_header(256).partition(".")
    for token in (f"{header}A.{rest}", token_with_header(258)):
        with pytest.raises(tickets.TicketMalformed):
            tickets.verify(KEYS, token, region="near", now=150)


def test_a_heartbeats_faults_are_cut_to_what_a_heartbeat_may_have() -> None:
    beat = heartbeats.sign_heartbeat(
        KEYS,
        region="near",
        instance="i" * 500,
        active=1,
        capacity=2,
        draining=False,
        now=100,
        faults=["x" * 5_000] * 50,
    )
    assert len(beat) <= heartbeats.MAX_HEARTBEAT_CHARS
    assert heartbeats.verify_heartbeat(KEYS, beat, region="near", now=101)[1].active == 1


def heartbeat_of(chars: int) -> str:
    """A heartbeat, rightly signed, of exactly so many characters."""
    now = int(time.time())
    claims = {"iss": "near", "aud": heartbeats.AUDIENCE, "sub": "task-1", "iat": now, "exp": now + 30}

    def made(padding: int, odd: int) -> str:
        said = {**claims, "active": 1, "capacity": 2, "draining": False, "pad": "x" * padding}
        headers = {"kid": tickets.key_id(TICKET_KEY), "pad": "x" * odd}
        return jwt.encode(said, TICKET_KEY, algorithm=tickets.ALGORITHM, headers=headers)

    wanted = (made(padding, odd) for odd in range(4) for padding in range(1200, 1600))
    return next(token for token in wanted if len(token) == chars)


async def test_a_heartbeat_has_2_kilobytes_at_most(start_region: StartRegion, start_edge: StartEdge) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    async with httpx.AsyncClient(base_url=f"http://{edge}", timeout=DEADLINE_S) as http:
        for chars, status in ((2048, 204), (2049, 401)):
            answer = await http.post(
                "/v1/regions/near/heartbeat", headers={"Authorization": f"Bearer {heartbeat_of(chars)}"}
            )
            assert answer.status_code == status, answer.text


def documents(levels: int) -> Iterator[str]:
    yield "[" * levels + "]" * levels
    yield '{"a":' * levels + "1" + "}" * levels
    mixed = ('{"a":[' * levels)[: 6 * (levels // 2) + 5 * (levels % 2)]
    closing = "]}" * (levels // 2)
    yield mixed + ("1}" if levels % 2 else "") + closing
    yield '["[[[", ' + "[" * (levels - 1) + "]" * (levels - 1) + "]"


def test_64_levels_pass_and_65_do_not() -> None:
    for text in documents(64):
        assert bounded_json.read(text, max_bytes=10_000) == json.loads(text)
    for text in documents(65):
        with pytest.raises(bounded_json.BadJson, match="deeper than 64"):
            bounded_json.read(text, max_bytes=10_000)
    for text in ("[" * 100_000, '["' + "[" * 70 + '"', '{"a":"\\"[' + "{" * 90):
        with pytest.raises(bounded_json.BadJson):
            bounded_json.read(text, max_bytes=200_000)
    assert bounded_json.read('"' + "[" * 500 + '"', max_bytes=10_000) == "[" * 500


def test_nothing_from_outside_is_parsed_beside_the_bounded_reader() -> None:
    from pathlib import Path

    edge = Path(__file__).parents[2] / "edge"
    parsing = {
        path.relative_to(edge).as_posix()
        for path in edge.rglob("*.py")
        if any(word in path.read_text() for word in ("json.loads(", "json.load(", "jwt.decode("))
    }
    # The regions' table is the deployment's own.
    assert parsing == {"repartee_edge/bounded_json.py", "repartee_edge/regions.py"}
