"""Writes down a call while it goes on: its events, for those who watch calls, and what was said."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from repartee.agent.said import Said
from repartee.agent.secret_values import Secrets
from repartee.agent.toolbox import Run
from repartee.agent.transcript import CallTranscript
from repartee.session.checkpointing import Checkpointing
from repartee.session.consent import RecordedCall
from repartee.telemetry.events import CallOutcome
from repartee.telemetry.report import CallLabels, CallOrigin, CallReport, Emit
from repartee.transport.interfaces import CallEnd
from repartee.turn.commands import Command, TurnTraced

OUTCOMES: Mapping[CallEnd, CallOutcome] = {
    CallEnd.CLIENT_GONE: "ended",
    CallEnd.CLIENT_SLOW: "client_slow",
    CallEnd.PROVIDERS_GONE: "providers_gone",
    CallEnd.TOO_LONG: "too_long",
    CallEnd.CALLER_SILENT: "caller_silent",
    CallEnd.DRAINED: "drained",
    CallEnd.AGENT_HUNG_UP: "agent_hung_up",
    CallEnd.TRANSFERRED: "transferred",
    CallEnd.LINE_LOST: "line_lost",
    CallEnd.FAILED: "failed",
}


class Labelled(Protocol):
    """A call's settings, as far as its events name it."""

    @property
    def call_id(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def agent(self) -> str: ...

    @property
    def origin(self) -> CallOrigin: ...

    @property
    def recorded(self) -> RecordedCall | None: ...


class CallNotes:
    """Notes on one call. ``names`` are the providers' by stage; ``emit`` takes the events, ``checkpointing`` what
    another worker would have to know."""

    def __init__(
        self,
        call: Labelled,
        names: Mapping[str, str],
        emit: Emit,
        checkpointing: Checkpointing,
    ) -> None:
        labels = CallLabels(call.call_id, call.region, call.agent, names, call.origin)
        self.secrets = Secrets(self._hide_again)
        self.report = CallReport(labels, emit, hide=self.secrets.hide)
        self._checkpointing = checkpointing
        self._recorded = call.recorded
        self.transcript = CallTranscript(self._said, time.time)

    def _said(self, said: Said) -> None:
        self.report.said(said)
        self._checkpointing.said(replace(said, text=self.secrets.hide(said.text)))
        if self._recorded:
            self._recorded.said(said)

    def tool_ran(self, run: Run) -> None:
        """A tool of the agent's has answered."""
        self.report.tool_ran(run)
        self._checkpointing.tool_ran(run)

    def _hide_again(self) -> None:
        """Something has become secret: what was written down with it is written again without."""
        for said in self.transcript.said:
            if self.secrets.hide(said.text) != said.text:
                self._said(said)
        self._checkpointing.write()

    def around(self, carry_out: Callable[[Command], None]) -> Callable[[Command], None]:
        """Carries out commands, and writes down when answers became audible and what was said."""

        def carry_out_and_note(command: Command) -> None:
            if isinstance(command, TurnTraced):
                self.report.answer_audible(command.trace.turn_id)
            carry_out(command)
            self.transcript.take(command)

        return carry_out_and_note
