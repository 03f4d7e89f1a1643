"""What `repartee doctor` has to say: one finding for each thing it looked at. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about a subject, in a sentence; ``remedy`` says what to do about it and makes it a fault.

    ``figures`` are for programs: names with units, such as ``tls_ms``.
    """

    subject: str
    told: str
    remedy: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def fault(self) -> bool:
        return bool(self.remedy)

    def as_json(self) -> dict[str, object]:
        """As in the file that ``--json`` writes."""
        words = {"subject": self.subject, "ok": not self.fault, "told": self.told}
        return {**words, "remedy": self.remedy or None, "figures": dict(self.figures)}
