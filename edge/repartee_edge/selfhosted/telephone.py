"""What became of telephone calls, kept for a while by an edge that is one process."""

from collections import OrderedDict

from repartee_edge.replies import EdgeReply
from repartee_edge.telephone.names import KEEP_S
from repartee_edge.telephone.outcomes import AskOutcome, KeepOutcome, LineOutcome

MOST = 10_000
"""Outcomes kept at once; the oldest go."""


class KeptOutcomes:
    """Carries out the desk's decisions about outcomes. ``now`` is seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, LineOutcome]] = OrderedDict()

    def carry_out(self, action: KeepOutcome | AskOutcome, now: float) -> EdgeReply:
        """Keep one, or answer by what is kept."""
        if isinstance(action, AskOutcome):
            found = self._kept.get(action.name)
            return action.answer(found[1] if found and now - found[0] < KEEP_S else None)
        self._kept.pop(action.name, None)
        self._kept[action.name] = (now, action.outcome)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return action.reply
