"""How turns are taken in one call: what the deployment, the agent and the session's settings say together. Pure."""

from dataclasses import replace

from repartee.agent.agent import Agent, worker_side
from repartee.turn.languages import language_of
from repartee.turn.policy import TurnPolicy
from repartee.wire.session_settings import SessionSettings
from repartee.wire.settings_patch import ServerVad


def turn_policy(deployed: TurnPolicy, agent: Agent, settings: SessionSettings) -> TurnPolicy:
    """The same for both kinds of call. ``deployed`` is the deployment's."""
    row, own_words = language_of(settings.language), agent.backchannels
    notices = agent.notices.in_language(settings.language)
    policy = replace(
        deployed,
        spoken=settings.spoken,
        tools=frozenset(worker_side(agent).tools),
        client_tools=frozenset(tool.name for tool in settings.tools),
        tool_calls_per_turn=agent.limits.tool_calls_per_turn,
        apology=notices.apology or "",
        company=notices.company or "",
        more=notices.more or "",
        still_there=notices.still_there or "",
        backchannels=row.backchannels if own_words is None else frozenset(own_words),
        thanks=row.thanks,
        idle_s=agent.idle_s,
        language=settings.language,
        raw=agent.voice_text == "raw",
    )
    detection = settings.turn_detection
    if detection is None:
        return replace(policy, automatic=False, reply_to_turns=False, interruptible=False, speculate=False)
    idle_ms = detection.idle_timeout_ms if isinstance(detection, ServerVad) else None
    return replace(
        policy,
        reply_to_turns=detection.replies,
        interruptible=detection.interruptible,
        idle_s=policy.idle_s if idle_ms is None else idle_ms / 1000,
        idle_reported=idle_ms is not None,
    )
