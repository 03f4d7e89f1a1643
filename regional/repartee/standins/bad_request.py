"""A request that OpenAI would refuse, and how it is refused."""


class BadRequest(ValueError):
    """The request cannot be carried out; ``param`` names the field at fault."""

    def __init__(
        self, message: str, param: str | None = None, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code
