"""The masking of WebSocket frames, by the library's compiled function where it has one."""

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

__all__ = ["apply_mask"]
