"""OpenAI's interface for calls by SIP: refused in words, at a region and at both edges, since none come here."""

import pytest
from openai import AsyncOpenAI, InternalServerError
from tests.regional.app.running import region

WORDS = "calls come by SIP here"


@pytest.mark.parametrize("wish", ["accept", "reject", "refer"])
async def test_openais_client_is_answered_501_in_words(providers: dict[str, str], wish: str) -> None:
    async with (
        region(providers) as worker,
        AsyncOpenAI(api_key="x", base_url=f"{worker.http}/v1", max_retries=0) as client,
    ):
        calls = client.realtime.calls
        with pytest.raises(InternalServerError, match=WORDS) as refused:
            match wish:
                case "accept":
                    await calls.accept("rtc_1", type="realtime")
                case "reject":
                    await calls.reject("rtc_1")
                case _:
                    await calls.refer("rtc_1", target_uri="tel:+15550123")
        assert refused.value.status_code == 501
