"""What to set right where a provider refuses what it is asked for: the settings that say it, by its row. Pure.

What a status alone tells (a key, an address, a limit) is said by pool/faults; which model and which voice was asked
for is known here.
"""

from dataclasses import replace

from repartee.pool.faults import PoolFault
from repartee.providers.vendor import Vendor

OF_THE_ACCOUNT = (401, 402, 403, 408, 429)
"""Statuses that are no matter of what was asked for."""


def advised(row: Vendor, fault: PoolFault | None) -> PoolFault | None:
    """The same fault; where the provider's words are about a model or a voice, what to do names its settings."""
    if fault is None or not _is_of_the_request(fault.status):
        return fault
    words = fault.why.lower()
    model = row.model or row.options.get("model", "")
    if row.voice and ("voice" in words or ("model" in words and not model)):
        return replace(fault, do=f"Correct {row.voice}, REPARTEE_VOICE or the agent's voice.")
    if model and "model" in words:
        return replace(fault, do=f"{fault.do} The model is that of {model}, or the agent's.")
    return fault


def _is_of_the_request(status: int | None) -> bool:
    return status is not None and (400 <= status < 500 or status == 1008) and status not in OF_THE_ACCOUNT
