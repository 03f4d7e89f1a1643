"""`repartee doctor` looks at every vendor of every list, not only at those that serve first."""

import pytest

from repartee.doctor.examination import examine
from repartee.doctor.findings import Finding


def listed(providers: dict[str, str], **changed: str) -> dict[str, str]:
    chat = providers["OPENAI_BASE_URL"]
    return {
        **providers,
        "REPARTEE_STT": "flux,ink-2",
        "REPARTEE_TTS": "cartesia,flux-tts,elevenlabs",
        "REPARTEE_LLM": f"openai,quick={chat}",
        "REPARTEE_LLM_QUICK_MODEL": "gpt-4.1-mini",
        "REPARTEE_LLM_QUICK_KEY": "quick-key",
        **changed,
    }


async def findings(environment: dict[str, str], port: int) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await examine(environment, port=port)}


async def test_all_are_tried(providers: dict[str, str], port: int) -> None:
    found = await findings(listed(providers), port)
    for label in ("Deepgram", "OpenAI", "quick", "Cartesia", "ElevenLabs"):
        assert "its key is accepted" in found[label].told, label
        assert not found[label].fault


@pytest.mark.parametrize(
    ("changed", "label", "told", "do"),
    [
        ({"REPARTEE_LLM_QUICK_KEY": "bad-key"}, "quick", "the key is refused", "REPARTEE_LLM_QUICK_KEY"),
        ({"REPARTEE_LLM_QUICK_MODEL": "gpt-0"}, "quick", "gpt-0", "REPARTEE_LLM_QUICK_MODEL"),
        ({"REPARTEE_LLM_QUICK_KEY": ""}, "quick", "is not set", "REPARTEE_LLM_QUICK_KEY"),
        ({"ELEVENLABS_API_KEY": "bad-key"}, "ElevenLabs", "the key is refused", "ELEVENLABS_API_KEY"),
        ({"REPARTEE_VOICE_FLUX_TTS": "aura-2"}, "Deepgram", "model must be flux-", "REPARTEE_VOICE_FLUX_TTS"),
    ],
    ids=["key", "model", "no-key", "elevenlabs", "voice"],
)
async def test_what_is_wrong_with_a_fall_back_is_told_with_its_own_settings(
    providers: dict[str, str], port: int, changed: dict[str, str], label: str, told: str, do: str
) -> None:
    fault = (await findings(listed(providers, **changed), port))[label]
    assert fault.fault
    assert told in fault.told
    assert do in fault.remedy
