"""The stand-ins' own endpoints under ``/standins/``: faults, counts, reset, and the profile in force."""

import json
from dataclasses import asdict
from typing import Any

from repartee.standins.bad_request import BadRequest
from repartee.standins.faults import KINDS, FaultError, parse_fault
from repartee.standins.link import Scope
from repartee.standins.openai_chat import Exchange, RequesterGone
from repartee.standins.profiles import floor_ms, sequential_floor_ms
from repartee.standins.state import StandInState

CLAUSE_TOKENS = 6
"""The floors that are shown are for a first clause of so many tokens, as the default script's replies have it."""


async def control(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of everything under ``/standins/``."""
    exchange = Exchange(scope, receive, send)
    match scope["method"], scope["path"]:
        case "GET", "/standins/stats":
            await exchange.json(200, state.stats.report() | {"faults_struck": state.faults.struck})
        case "GET", "/standins/profile":
            await exchange.json(200, _profile(state))
        case "GET", "/standins/faults":
            waiting = [asdict(fault) for fault in state.faults.waiting]
            await exchange.json(200, {"waiting": waiting, "kinds": list(KINDS)})
        case "POST", "/standins/faults":
            await _put_faults(exchange, state)
        case "DELETE", "/standins/faults":
            state.faults.clear()
            await exchange.json(200, {"waiting": []})
        case "POST", "/standins/reset":
            state.reset()
            await exchange.json(200, {"reset": True})
        case _:
            await exchange.json(
                404, {"error": "There are stats, profile, faults and reset under /standins/."}
            )


async def _put_faults(exchange: Exchange, state: StandInState) -> None:
    try:
        document = json.loads(await exchange.body())
        faults = [parse_fault(entry) for entry in (document if isinstance(document, list) else [document])]
    except (FaultError, BadRequest) as error:
        await exchange.json(400, {"error": str(error)})
    except ValueError:
        await exchange.json(400, {"error": "The body is not JSON."})
    except RequesterGone:
        pass
    else:
        for fault in faults:
            state.faults.put(fault)
        await exchange.json(200, {"waiting": [asdict(fault) for fault in state.faults.waiting]})


def _profile(state: StandInState) -> dict[str, Any]:
    profile = state.profile
    return {
        "name": profile.name,
        "description": profile.description,
        "seed": profile.seed,
        "sources": list(profile.sources),
        "light": state.engines.light,
        "first_clause_tokens": CLAUSE_TOKENS,
        "floor_ms": {stt: round(floor_ms(profile, CLAUSE_TOKENS, stt), 1) for stt in ("flux", "nova")},
        "sequential_floor_ms": {
            stt: round(sequential_floor_ms(profile, CLAUSE_TOKENS, stt), 1) for stt in ("flux", "nova")
        },
        "medians": {
            "stt": {key: getattr(profile.stt, key).middle for key in profile.stt.__slots__},
            "llm": {
                "ttft_ms": profile.llm.ttft_ms.middle,
                "tokens_per_s": profile.llm.tokens_per_s.middle if profile.llm.tokens_per_s else None,
            },
            "tts": {
                "ttfb_ms": profile.tts.ttfb_ms.middle,
                "speed": profile.tts.speed.middle if profile.tts.speed else None,
            },
        },
    }
