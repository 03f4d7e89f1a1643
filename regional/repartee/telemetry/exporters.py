"""The operator's own exporters: a file each, named in a setting."""

from repartee.agent.loader import load_object
from repartee.errors import ConfigurationError
from repartee.telemetry.stream import Exporter

WHAT = "an exporter"


def own_exporters(names: str) -> list[Exporter]:
    """The exporters of ``names`` (``module:name`` or ``file.py:name``, with commas between), made.

    Each name stands for a class, or another callable, that takes no arguments and makes an exporter. Raises
    ConfigurationError that names every fault.
    """
    made: list[Exporter] = []
    faults: list[str] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        try:
            made.append(_make(name))
        except ConfigurationError as error:
            faults.append(str(error))
    if faults:
        for exporter in made:
            exporter.close()
        raise ConfigurationError("\n  ".join(["REPARTEE_EXPORTERS:", *faults]))
    return made


def _make(name: str) -> Exporter:
    factory = load_object(name, WHAT)
    if not callable(factory):
        raise ConfigurationError(f"{name} cannot be called. Name the exporter's class.")
    try:
        exporter = factory()
    except Exception as error:
        raise ConfigurationError(f"{name} could not be made: {type(error).__name__}: {error}") from error
    lacking = [method for method in ("export", "close") if not callable(getattr(exporter, method, None))]
    if lacking:
        raise ConfigurationError(
            f"{name} makes a {type(exporter).__name__} that has no {' and no '.join(lacking)}: an exporter has both."
        )
    made: Exporter = exporter
    return made
