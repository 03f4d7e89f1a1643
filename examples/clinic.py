"""A clinic's front desk: which times are free, and booking one.

    repartee region --agent examples/clinic.py --allow-anonymous

The calendar is a small SQLite file that is made when it is first needed.
"""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from repartee import Agent, CallContext, ToolError

DATABASE = Path(tempfile.gettempdir()) / "repartee-clinic.sqlite3"

Day = Literal[
    "today", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
]

SEED = """
CREATE TABLE IF NOT EXISTS slots (id INTEGER PRIMARY KEY, day TEXT, time TEXT, patient TEXT, UNIQUE (day, time));
WITH days (d, day) AS (VALUES (0, 'monday'), (1, 'tuesday'), (2, 'wednesday'), (3, 'thursday'), (4, 'friday')),
     times (t, time) AS (VALUES
        (0, 'nine o''clock'), (1, 'half past ten'), (2, 'two o''clock'), (3, 'half past three'))
INSERT OR IGNORE INTO slots SELECT d * 4 + t, day, time, CASE WHEN d = t THEN 'taken' END FROM days, times;
"""

agent = Agent(
    instructions=(
        "You are the front desk of a small clinic. Speak in one or two short sentences. Offer two or three free "
        "times at most, and repeat day and time before you book. Give no medical advice."
    ),
    greeting="This is the clinic's front desk. How can I help you?",
    predictions={("appointment", "come", "see the doctor", *get_args(Day)): "check_availability"},
)


@agent.on_call_start
async def greet_by_name(ctx: CallContext) -> None:
    """Who is known already is greeted by name."""
    if name := ctx.metadata.get("name"):
        ctx.greeting = f"Hello {name}, this is the clinic's front desk. How can I help you?"


@agent.tool(
    read_only=True, filler=["Let me look at the calendar.", "One moment, I am checking the calendar."]
)
async def check_availability(day: Day) -> dict[str, Any]:
    """See which times are free on a day.

    Args:
        day: The day that the caller would like.
    """
    rows = await query("SELECT time FROM slots WHERE day = ? AND patient IS NULL ORDER BY id", weekday(day))
    return {"day": weekday(day), "free": [row["time"] for row in rows]}


@agent.tool(filler="I am writing that down for you.")
async def schedule_appointment(day: str, time: str, patient_name: str) -> dict[str, Any]:
    """Book a free time. Only after the caller has chosen one.

    Args:
        day: The day, e.g. thursday.
        time: The time, as check_availability gave it, e.g. half past three.
        patient_name: Who is coming.
    """
    day, time = weekday(day), as_written(time)
    booked = await query(
        "UPDATE slots SET patient = ? WHERE day = ? AND time = ? AND patient IS NULL RETURNING day, time",
        *(patient_name, day, time),
    )
    if not booked:
        raise ToolError(
            f"{time} on {day} is not free. Nothing was booked. See what else is free.", retry=True
        )
    return {"booked": True, **booked[0], "patient_name": patient_name}


def weekday(day: str) -> str:
    """The weekday that today and tomorrow are."""
    ahead = {"today": 0, "tomorrow": 1}.get(day.lower())
    return day.lower() if ahead is None else f"{datetime.now(UTC) + timedelta(days=ahead):%A}".lower()


def as_written(time: str) -> str:
    """ "three thirty" and "three" as the calendar has them."""
    words = time.lower().replace("at ", "").split()
    if words[1:] == ["thirty"]:
        return f"half past {words[0]}"
    return " ".join(words) if len(words) > 1 else f"{time.lower()} o'clock"


async def query(sql: str, *values: Any) -> list[dict[str, Any]]:
    """Rows by column; in a thread, as SQLite blocks."""
    return await asyncio.to_thread(_query, sql, values)


def _query(sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(DATABASE)) as db:
        db.executescript(SEED)
        db.row_factory = sqlite3.Row
        with db:
            return [dict(row) for row in db.execute(sql, values)]
