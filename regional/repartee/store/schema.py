"""Tables, declared in code: their columns, their versions, and the SQL that SQLite and PostgreSQL both take. Pure.

A table is a :class:`Table`. A column that comes later names the version it came with, and :meth:`Table.steps` then
brings an older table up. Values are what both databases keep alike: text, whole numbers of 64 bits, finite numbers,
bytes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = str | int | float | bytes | None
Row = Mapping[str, Value]
Kind = Literal["text", "integer", "real", "bytes"]

SQL_TYPES: Mapping[Kind, str] = {
    # SQLite derives its affinities from these names: BIGINT is an integer, DOUBLE PRECISION a real.
    "text": "TEXT",
    "integer": "BIGINT",
    "real": "DOUBLE PRECISION",
    "bytes": "BYTEA",
}
PREFIX = "repartee_"
"""Before each table's name, so that a database may hold other things too."""

MOST_LENGTH = 4_000_000
"""Characters of a text, bytes of bytes."""

MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``default`` fills the rows that were there before it: without one it must be ``null``, unless it came
    with the table."""

    name: str
    kind: Kind
    null: bool = False
    since: int = 1
    default: str | int | float | None = None

    @property
    def sql(self) -> str:
        """As in CREATE TABLE and ADD COLUMN."""
        default = "" if self.default is None else f" DEFAULT {_literal(self.default)}"
        return f'"{self.name}" {SQL_TYPES[self.kind]}{"" if self.null else " NOT NULL"}{default}'


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    ``time`` is the column of wall-clock seconds that rows are ordered and expire by; ``subject`` names the column of
    the caller, by which rows are erased. ``kept_days``: rows that are older go, unless the settings say otherwise;
    None: they stay. ``changes`` are further statements for a version, in SQL that both databases take. A version only
    adds: while it is rolled out, workers of the one before it go on.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str
    subject: str | None = None
    kept_days: float | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    changes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = {column.name: column for column in self.columns}
        used = {self.time, *self.key, *(name for index in self.indexes for name in index)}
        used |= {self.subject} if self.subject else set()
        if missing := used - named.keys():
            raise ValueError(f"{self.name} has no column {', '.join(sorted(missing))}.")
        if not self.key or any(named[name].null for name in (*self.key, self.time)):
            raise ValueError(f"{self.name}: the key's columns and {self.time} cannot be null.")
        for column in self.columns:
            if column.since > 1 and not column.null and column.default is None:
                raise ValueError(
                    f"{self.name}.{column.name} came later: it needs a default, or must be null."
                )

    @property
    def version(self) -> int:
        """The newest version that this program knows."""
        return max(*(column.since for column in self.columns), *self.changes, 1)

    @property
    def sql_name(self) -> str:
        """Quoted, as in statements."""
        return f'"{PREFIX}{self.name}"'

    def steps(self, version: int) -> tuple[str, ...]:
        """The statements that bring the table from this version, 0 where there is none, to the newest."""
        statements = []
        for number in range(version + 1, self.version + 1):
            fresh = [column for column in self.columns if column.since == number]
            if number == 1:
                statements.append(self._create(fresh))
            else:
                statements += [f"ALTER TABLE {self.sql_name} ADD COLUMN {column.sql}" for column in fresh]
            statements += self.changes.get(number, ())
        return (*statements, *self._create_indexes())

    def _create(self, columns: Iterable[Column]) -> str:
        inner = ", ".join((*(column.sql for column in columns), f"PRIMARY KEY ({_names(self.key)})"))
        return f"CREATE TABLE {self.sql_name} ({inner})"

    def _create_indexes(self) -> Iterable[str]:
        wanted = ((self.time,), *(((self.subject,),) if self.subject else ()), *self.indexes)
        for columns in dict.fromkeys(wanted):
            name = f'"{PREFIX}{self.name}_{"_".join(columns)}"'
            yield f"CREATE INDEX IF NOT EXISTS {name} ON {self.sql_name} ({_names(columns)})"

    def insert_sql(self) -> str:
        """A row, unless its key is taken."""
        return f"{self._values_sql()} ON CONFLICT DO NOTHING"

    def upsert_sql(self) -> str:
        """A row, in place of the one with its key."""
        changed = [column.name for column in self.columns if column.name not in self.key]
        if not changed:
            return self.insert_sql()
        setting = ", ".join(f'"{name}" = excluded."{name}"' for name in changed)
        return f"{self._values_sql()} ON CONFLICT ({_names(self.key)}) DO UPDATE SET {setting}"

    def _values_sql(self) -> str:
        marks = ", ".join("?" * len(self.columns))
        return f"INSERT INTO {self.sql_name} ({_names(c.name for c in self.columns)}) VALUES ({marks})"

    def select_sql(self, condition: str, by: str, *, newest_first: bool) -> str:
        """Rows in the order of a column, those with equal values by their keys; the limit comes last."""
        names = _names(column.name for column in self.columns)
        way = " DESC" if newest_first else ""
        order = ", ".join(f'"{name}"{way}' for name in dict.fromkeys((by, *self.key)))
        return f"SELECT {names} FROM {self.sql_name}{condition} ORDER BY {order} LIMIT ?"

    def expire_sql(self) -> str:
        """The oldest rows before a time, so many at most."""
        key = _names(self.key)
        oldest = f'SELECT {key} FROM {self.sql_name} WHERE "{self.time}" < ? ORDER BY "{self.time}" LIMIT ?'
        return f"DELETE FROM {self.sql_name} WHERE ({key}) IN ({oldest})"

    def checked(self, row: Row) -> tuple[Value, ...]:
        """A row's values in the order of the columns, fit for both databases. Raises ValueError."""
        if unknown := row.keys() - {column.name for column in self.columns}:
            raise ValueError(f"{self.name} has no column {', '.join(sorted(unknown))}.")
        return tuple(self._fit(column, row.get(column.name, column.default)) for column in self.columns)

    def checked_part(self, part: Row) -> dict[str, Value]:
        """The same for some of the columns, as in a condition: None there asks for rows without a value."""
        columns = {column.name: column for column in self.columns}
        if unknown := part.keys() - columns.keys():
            raise ValueError(f"{self.name} has no column {', '.join(sorted(unknown))}.")
        return {
            name: None if value is None else self._fit(columns[name], value) for name, value in part.items()
        }

    def _fit(self, column: Column, value: Value) -> Value:
        where = f"{self.name}.{column.name}"
        if value is None:
            if not column.null:
                raise ValueError(f"{where} needs a value.")
            return None
        fitted = fit(column.kind, value)
        if fitted is None:
            raise ValueError(f"{where} takes {column.kind}, and not this {type(value).__name__}.")
        if isinstance(fitted, str | bytes) and len(fitted) > MOST_LENGTH:
            raise ValueError(f"{where} takes a length of {MOST_LENGTH} at most.")
        return fitted


def fit(kind: Kind, value: Value) -> Value:
    """The value as this kind of column keeps it; None if it cannot. What text cannot hold becomes U+FFFD: words that
    somebody said are no reason to lose a row."""
    match kind, value:
        case "text", str(text):
            return text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        case "integer", int(number) if not isinstance(number, bool) and abs(number) <= MAX_INTEGER:
            return number
        case "real", (float() | int()) as number if not isinstance(number, bool) and math.isfinite(number):
            return float(number)
        case "bytes", bytes(data):
            return data
    return None


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _literal(value: str | float) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
