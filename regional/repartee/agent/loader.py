"""Finds the agent that ``--agent`` names: ``module:name`` or ``path/to/file.py:name``; the name may be left out.

Every fault in the user's file becomes one ConfigurationError with file and line, never a stack trace.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from repartee.agent.agent import Agent
from repartee.agent.faults import Place
from repartee.errors import ConfigurationError

DEFAULT_NAME = "agent"


def load(spec: str, *, fresh: bool = False) -> Agent:
    """Import the agent and check it. ``fresh`` runs its file again, even if it was imported before.

    Raises ConfigurationError.
    """
    target, name = _split(spec)
    agent = _agent_in(_module(target, fresh=fresh), target, name)
    agent.check()
    return agent


def load_others(spec: str) -> Mapping[str, Agent]:
    """All agents by their names, where ``module:name`` is a dict of them (:func:`load` gives the first); else none.

    Raises ConfigurationError.
    """
    target, name = _split(spec)
    found = getattr(_module(target), name, None)
    if not isinstance(found, Mapping):
        return {}
    for key, agent in found.items():
        if not isinstance(key, str) or not isinstance(agent, Agent):
            raise ConfigurationError(f"{target}:{name} is to have names and Agents, and has {key!r}.")
        agent.check()
    return dict(found)


def load_object(spec: str, what: str) -> object:
    """What ``module:name`` or ``path/to/file.py:name`` names; ``what``: what it should be, for a fault's text.

    Raises ConfigurationError.
    """
    target, colon, name = spec.rpartition(":")
    if not colon or not target or not name.isidentifier():
        raise ConfigurationError(
            f"{spec!r} does not name {what}. Write module:name or path/to/file.py:name, e.g. my_module:Name."
        )
    module = _module(target)
    if not hasattr(module, name):
        raise ConfigurationError(f"{target} has no {name!r}, which should be {what}.")
    found: object = getattr(module, name)
    return found


def _module(target: str, *, fresh: bool = False) -> ModuleType:
    is_file = target.endswith(".py") or "/" in target
    return _run_file(Path(target)) if is_file else _import(target, fresh=fresh)


def _split(spec: str) -> tuple[str, str]:
    head, colon, tail = spec.rpartition(":")
    # a Windows drive, or no name at all
    target, name = (head, tail) if colon and tail.isidentifier() and len(head) > 1 else (spec, DEFAULT_NAME)
    if not target or (colon and target == spec and not target.endswith(".py")):
        raise ConfigurationError(
            f"{spec!r} does not name an agent. Write module:name or path/to/file.py:name, e.g. examples.bank:agent."
        )
    return target, name


def _run_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise ConfigurationError(f"There is no file {path}.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    name = f"agent_file_{path.stem}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    if module_spec is None or module_spec.loader is None:
        raise ConfigurationError(f"{path} is not a Python file.")
    return _run(module_spec, path)


def _run(module_spec: ModuleSpec, path: Path) -> ModuleType:
    """Run a module's source. Python's own cache of compiled files is left alone: it takes a file that is saved twice
    in one second, at the same length, for unchanged."""
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(error, str(path)) from error
    return module


def _import(name: str, *, fresh: bool) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    if fresh and (source := _file_of(name)).endswith(".py"):
        sys.modules.pop(name, None)
        found = importlib.util.find_spec(name)
        if found is not None:
            return _run(found, Path(source))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"There is no module {error.name!r} (looked in {here} and the Python path). Is the name right, and "
                "is this the folder it is in?"
            ) from None
        raise _failure(error, _file_of(name)) from error
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(error, _file_of(name)) from error


def _file_of(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return (spec.origin or "") if spec else ""


def _failure(error: BaseException, file: str) -> ConfigurationError:
    """What happened in the user's file, with the last line of it that was involved."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        return ConfigurationError(f"{Place(error.filename or file, error.lineno or 0)}: {error.msg}.")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    last = (own or frames)[-1]
    return ConfigurationError(f"{Place(last.filename, last.lineno or 0)}: {said}")


def _agent_in(module: ModuleType, target: str, name: str) -> Agent:
    found = getattr(module, name, None)
    if isinstance(found, Mapping) and isinstance(first := next(iter(found.values()), None), Agent):
        return first
    if isinstance(found, Agent):
        return found
    others = [key for key, value in vars(module).items() if isinstance(value, Agent)]
    hint = f" It has an Agent named {others[0]!r}: write {target}:{others[0]}." if others else ""
    if found is None:
        raise ConfigurationError(f"{target} has no {name!r}.{hint}")
    raise ConfigurationError(f"{target}:{name} is not an Agent, but a {type(found).__name__}.{hint}")
