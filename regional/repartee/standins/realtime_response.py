"""One response of a Realtime session: thought of, spoken and sent at the profile's pace, or cut short.

Owns the events of a response and their order. What it says comes from :mod:`repartee.standins.language_model`.
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from repartee.standins.errands import ToolRequest
from repartee.standins.faults import Fault
from repartee.standins.language_model import Answer, answer, tokens_of
from repartee.standins.pcm import from_linear16
from repartee.standins.realtime_conversation import Item, chat_messages, new_id, text_in
from repartee.standins.speaking import CHUNK_MS, FIRST_CHUNK_MS, speech_of
from repartee.standins.spoilt import ending, spoilt
from repartee.standins.state import StandInState
from repartee.standins.timing import wait_until

RAW_ENCODING = {"audio/pcm": "pcm_s16le", "audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}
_VERBATIM = re.compile(
    r"\b(?:exactly|verbatim|word for word)\b[^\"“]*[\"“](.+)[\"”]", re.IGNORECASE | re.DOTALL
)
"""Instructions of a response to say something as it is are followed; all others are beyond these rules."""

Send = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a response is made with: the session's settings with its own, and the items it answers."""

    settings: Mapping[str, Any]
    items: Sequence[Item]
    conversation_id: str | None
    """None: out of band, the conversation never hears of it."""
    late_ms: float = 0.0
    fault: Fault | None = None
    """What spoils it."""

    def spoilt_by(self, kind: str) -> bool:
        """Whether its fault is of this kind."""
        return self.fault is not None and self.fault.kind == kind

    @property
    def spoken(self) -> bool:
        """Audio and its transcript, not text."""
        return bool(self.settings["output_modalities"] == ["audio"])

    @property
    def format(self) -> Mapping[str, Any]:
        """The audio format."""
        found: Mapping[str, Any] = self.settings["audio"]["output"]["format"]
        return found

    @property
    def rate_hz(self) -> int:
        """Samples a second on the wire."""
        return 24_000 if self.format["type"] == "audio/pcm" else 8_000


@dataclass(slots=True)
class SpokenMessage:
    """A message as far as it has been sent; ``words`` are (text, end in ms)."""

    item: Item
    audio_ms: float = 0.0
    words: list[tuple[str, float]] = field(default_factory=list)


class ModelResponse:
    """``send`` sends a server event; ``keep`` puts an item into the conversation and returns the id before it;
    ``on_end`` is called once it is over."""

    def __init__(
        self,
        state: StandInState,
        wanted: Wanted,
        *,
        send: Send,
        keep: Callable[[Item], str | None],
        on_end: Callable[["ModelResponse"], None],
    ) -> None:
        self.response_id = new_id("resp")
        self.wanted = wanted
        self.message: SpokenMessage | None = None
        self._state = state
        self._send = send
        self._keep = keep
        self._on_end = on_end
        self._outputs: list[Item] = []
        self._previous: str | None = None
        self._text = ""
        self._over = False
        self._send("response.created", response=self._json("in_progress"))
        self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self, reason: str) -> None:
        """Cut it short: what was sent stands."""
        if not self._over:
            self._task.cancel()
            self._finish("cancelled", reason)

    def abandon(self) -> None:
        """Stop without a word: the connection is gone."""
        self._over = True
        self._task.cancel()

    # --- its course ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        started_s, wanted = time.monotonic(), self.wanted
        if wanted.spoilt_by("never_done"):
            await asyncio.Event().wait()
        reply = self._thought()
        first_s = started_s + (self._draw("ttft", self._state.profile.llm.ttft_ms) + wanted.late_ms) / 1000
        tokens = tokens_of(reply.text)
        limit = wanted.settings.get("max_output_tokens")
        complete = not isinstance(limit, int) or len(tokens) <= limit
        text = reply.text if complete or not isinstance(limit, int) else "".join(tokens[:limit])
        if text and wanted.spoilt_by("silent_response"):
            await self._write(tokens_of(text), first_s)
        elif text and wanted.spoken:
            first_s += self._draw("ttfb", self._state.profile.tts.ttfb_ms) / 1000
            await self._speak(text, first_s)
        elif text:
            await self._write(tokens_of(text), first_s)
        for call in reply.tool_calls:
            await self._call(call, first_s)
        if forced := ending(wanted.fault):
            self._finish(forced[0], None, forced[1])
            return
        self._finish("completed" if complete else "incomplete", None if complete else "max_output_tokens")

    def _thought(self) -> Answer:
        settings = self.wanted.settings
        if instead := spoilt(self.wanted.fault):
            return instead
        verbatim = _VERBATIM.search(str(settings.get("instructions") or ""))
        if verbatim:
            return Answer(verbatim.group(1))
        tools = [{"function": tool} for tool in settings.get("tools") or [] if tool.get("type") == "function"]
        choice: Any = settings.get("tool_choice", "auto")
        if isinstance(choice, dict) and choice.get("name"):
            choice = {"function": {"name": choice["name"]}}
        engines = self._state.engines
        lines = engines.lines if engines.light and (not tools or choice == "none") else ()
        return answer(chat_messages(self.wanted.items), tools, choice, lines)

    def _draw(self, stage: str, distribution: Any) -> float:
        return self._state.draw(stage, distribution)

    async def _speak(self, text: str, first_s: float) -> None:
        wanted, profile = self.wanted, self._state.profile
        voice = str(wanted.settings["audio"]["output"].get("voice"))
        spoken = await speech_of(self._state.engines, text, voice, wanted.rate_hz)
        speed = self._draw("speed", profile.tts.speed) if profile.tts.speed is not None else None
        self._state.stats.lateness_ms.append(await wait_until(first_s))
        message = self._open_message()
        tokens = tokens_of(text)
        encoding, rate = RAW_ENCODING[str(wanted.format["type"])], wanted.rate_hz
        told, at, size = 0, 0, rate * FIRST_CHUNK_MS // 1000 * 2
        while at < len(spoken.pcm):
            if speed is not None and at:
                await wait_until(first_s + at / 2 / rate / speed)
            end = min(at + size, len(spoken.pcm))
            due = max(told + 1, round(len(tokens) * end / len(spoken.pcm)))
            for token in tokens[told:due]:
                message.words.append((token, end / 2 / rate * 1000))
                self._text += token
                self._content("output_audio_transcript.delta", delta=token)
            told = max(told, due)
            audio = from_linear16(spoken.pcm[at:end], encoding)
            self._content("output_audio.delta", delta=base64.b64encode(audio).decode("ascii"))
            at, size = end, rate * CHUNK_MS // 1000 * 2
            message.audio_ms = at / 2 / rate * 1000
            if speed is None:
                await asyncio.sleep(0)
        self._close_message("completed")

    async def _write(self, tokens: list[str], first_s: float) -> None:
        rate = self._state.profile.llm.tokens_per_s
        interval_s = 1 / self._draw("tokens", rate) if rate is not None else 0.0
        await wait_until(first_s)
        self._open_message()
        for number, token in enumerate(tokens):
            await wait_until(first_s + number * interval_s)
            self._text += token
            kind = "output_audio_transcript.delta" if self.wanted.spoken else "output_text.delta"
            self._content(kind, delta=token)
        self._close_message("completed")

    async def _call(self, call: ToolRequest, first_s: float) -> None:
        await wait_until(first_s)
        item: Item = {
            "id": new_id("item"),
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "name": call.name,
            "call_id": new_id("call"),
            "arguments": "",
        }
        index = len(self._outputs)
        place = {"response_id": self.response_id, "item_id": item["id"], "output_index": index}
        place["call_id"] = item["call_id"]
        self._send(
            "response.output_item.added", response_id=self.response_id, output_index=index, item=dict(item)
        )
        previous = self._kept(item)
        for start in range(0, len(call.arguments), 8):
            self._send(
                "response.function_call_arguments.delta", **place, delta=call.arguments[start : start + 8]
            )
        item |= {"arguments": call.arguments, "status": "completed"}
        self._send("response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments)
        if self.wanted.conversation_id:
            self._send("conversation.item.done", previous_item_id=previous, item=item)
        self._send("response.output_item.done", response_id=self.response_id, output_index=index, item=item)
        self._outputs.append(item)

    # --- its events ----------------------------------------------------------------------------------------------

    def _open_message(self) -> SpokenMessage:
        item: Item = {
            "id": new_id("item"),
            "object": "realtime.item",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        self.message = SpokenMessage(item)
        self._send(
            "response.output_item.added", response_id=self.response_id, output_index=0, item=dict(item)
        )
        self._previous = self._kept(item)
        self._content("content_part.added", part=self._part(""))
        return self.message

    def _kept(self, item: Item) -> str | None:
        if not self.wanted.conversation_id:
            return None
        previous = self._keep(item)
        self._send("conversation.item.added", previous_item_id=previous, item=dict(item))
        return previous

    def _close_message(self, status: str) -> None:
        if self.message is None or self.message.item["status"] != "in_progress":
            return
        text, item = self._text, self.message.item
        if self.wanted.spoken:
            self._content("output_audio.done")
            self._content("output_audio_transcript.done", transcript=text)
            content = {"type": "output_audio", "transcript": text}
        else:
            self._content("output_text.done", text=text)
            content = {"type": "output_text", "text": text}
        self._content("content_part.done", part=self._part(text))
        item |= {"status": status, "content": [content]}
        if self.wanted.conversation_id:
            self._send("conversation.item.done", previous_item_id=self._previous, item=item)
        self._send("response.output_item.done", response_id=self.response_id, output_index=0, item=item)
        self._outputs.append(item)

    def _part(self, text: str) -> dict[str, str]:
        return {"type": "audio", "transcript": text} if self.wanted.spoken else {"type": "text", "text": text}

    def _content(self, what: str, **fields: Any) -> None:
        assert self.message is not None
        self._send(
            f"response.{what}",
            response_id=self.response_id,
            item_id=self.message.item["id"],
            output_index=0,
            content_index=0,
            **fields,
        )

    def _finish(self, status: str, reason: str | None, details: dict[str, Any] | None = None) -> None:
        self._over = True
        self._close_message("incomplete" if status != "completed" else status)
        self._on_end(self)
        details = details or ({"type": status, "reason": reason} if reason else None)
        self._send("response.done", response=self._json(status, details) | {"usage": self._usage()})

    def _json(self, status: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        settings = self.wanted.settings
        output = settings["audio"]["output"]
        return {
            "object": "realtime.response",
            "id": self.response_id,
            "status": status,
            "status_details": details,
            "output": list(self._outputs),
            "conversation_id": self.wanted.conversation_id,
            "output_modalities": settings["output_modalities"],
            "max_output_tokens": settings.get("max_output_tokens"),
            "audio": {"output": {"format": output["format"], "voice": output.get("voice")}},
            "usage": None,
            "metadata": settings.get("metadata"),
        }

    def _usage(self) -> dict[str, Any]:
        read = sum(len(text_in(item).split()) + 4 for item in self.wanted.items)
        audio = round(self.message.audio_ms / 50) if self.message else 0
        text = len(tokens_of(self._text)) + sum(len(json.dumps(call)) // 4 for call in self._outputs[1:])
        return {
            "total_tokens": read + text + audio,
            "input_tokens": read,
            "output_tokens": text + audio,
            "input_token_details": {"text_tokens": read, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": text, "audio_tokens": audio},
        }
