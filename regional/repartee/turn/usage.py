"""What a reply has used of a model, as its server counts it. Pure data."""

import msgspec


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens that a model has read (``cached_tokens`` of them from its server's cache) and written."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
