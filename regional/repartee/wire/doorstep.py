"""What a client asks for as it connects, and cannot have: told in an ``error`` event before the socket is closed.

OpenAI does it so, and clients look for the event: a refused upgrade tells them no more than that it failed. Pure.
"""

from collections.abc import Mapping, Sequence

from repartee.errors import ClientProtocolError

BETA = "realtime=v1"
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
"""How clients written for the API before 2025-08 say so: as a header, and from browsers."""


def refusal(
    query: Mapping[str, str], headers: Mapping[str, str], subprotocols: Sequence[str]
) -> ClientProtocolError | None:
    """Why such a client is not served; None if it is."""
    if BETA in headers.get("openai-beta", "") or BETA_SUBPROTOCOL in subprotocols:
        return ClientProtocolError(
            "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
            code="beta_api_shape_disabled",
        )
    intent = query.get("intent", "realtime")
    if intent != "realtime":
        return ClientProtocolError(
            f"Unsupported parameter: 'intent': sessions for {intent[:80]!r} are not there; leave it out.",
            code="unsupported_parameter",
            param="intent",
        )
    if call_id := query.get("call_id"):
        return ClientProtocolError(
            f"There is no call {call_id[:80]!r} to attach to.", code="call_id_not_found", param="call_id"
        )
    return None
