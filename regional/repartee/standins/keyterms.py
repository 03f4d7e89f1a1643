"""How many key terms Deepgram takes. Pure."""

from collections.abc import Sequence

MOST_TERMS = 100
MOST_TOKENS = 500


def keyterms_fault(terms: Sequence[str]) -> str | None:
    """Why these are refused, in Deepgram's way; None if they are taken. A token is four characters here."""
    if len(terms) > MOST_TERMS:
        return f"Keyterm limit exceeded. The maximum number of keyterms is {MOST_TERMS}, not {len(terms)}"
    tokens = sum((len(term) + 3) // 4 for term in terms)
    if tokens > MOST_TOKENS:
        return f"Keyterm limit exceeded. The maximum number of tokens across all keyterms is {MOST_TOKENS}"
    return None
