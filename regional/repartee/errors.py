"""Every error the worker raises on purpose. One base, so that a shell can catch ours and nothing else."""


class VoiceError(Exception):
    """The base of all errors raised on purpose; ``str(error)`` is a sentence that can be shown to a user."""


class ConfigurationError(VoiceError):
    """Settings or a user's agent are wrong; the message names every fault and what to do about each."""


class ClientProtocolError(VoiceError):
    """The client sent something the session protocol does not allow; the call goes on.

    ``code`` and ``param`` are those of OpenAI's ``error`` event; ``event_id`` is the client's own, if it gave one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "invalid_value",
        param: str | None = None,
        event_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.event_id = event_id


class ReplyInProgress(ClientProtocolError):
    """The client asks for a reply while the one of this number is made."""

    def __init__(self, reply_id: int) -> None:
        super().__init__(
            "Conversation already has an active response in progress. Wait until the response is finished before "
            "creating a new one.",
            code="conversation_already_has_active_response",
        )
        self.reply_id = reply_id


class ProviderError(VoiceError):
    """A provider refused, failed or fell silent.

    ``stage`` is one of ``stt``, ``llm``, ``tts``; ``retryable`` tells whether the same request may succeed at once
    on another connection (providers/vendor_errors has the rule); ``status`` is the HTTP status or WebSocket close
    code, where there was one; ``retry_after_s`` is how long the provider asks to be left alone, if it does;
    ``variables`` are the settings of its key and its address, where they do not follow from its name.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        stage: str,
        retryable: bool,
        status: int | None = None,
        retry_after_s: float | None = None,
        variables: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.variables = variables
        self.stage = stage
        self.retryable = retryable
        self.status = status
        self.retry_after_s = retry_after_s


class CannotControl(VoiceError):
    """The call came over a connection that cannot do this with it; the message says what it can do."""


class PoolTimeout(VoiceError):
    """No connection was ready in time."""


class StoreError(VoiceError):
    """What is kept beyond a call could not be written or read: the database failed, or did not answer in time."""


class AdmissionRefused(VoiceError):
    """The worker takes no further call: it is full or draining. ``retry_after_s`` goes into Retry-After."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyCalls(AdmissionRefused):
    """The caller has as many calls as it may have at once; the worker may well have room for others."""
