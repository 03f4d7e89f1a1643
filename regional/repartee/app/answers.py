"""How a refusal looks in HTTP: as OpenAI's API words its errors."""

from starlette.responses import JSONResponse


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer: ``code`` for programs, ``message`` for people."""
    body = {"error": {"type": "invalid_request_error", "code": code, "message": message}}
    return JSONResponse(body, status_code=status, headers=headers)
