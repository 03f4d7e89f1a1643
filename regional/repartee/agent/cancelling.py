"""Tells a call's cancellation, which goes its way, from an author's own, which is a failure of their code."""

import asyncio


def being_cancelled() -> bool:
    """Whether somebody has asked for the end of the task that runs this; if not, a CancelledError in it is of its own
    making, such as that of a task which an author has cancelled and awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
