"""Whose cancellation it is: the call's, which goes its way, or an author's own, which is their code's failure."""

import asyncio


def being_cancelled() -> bool:
    """Whether somebody has asked for the end of the task that runs this; if not, a CancelledError in it is of its own
    making, such as that of a task which an author has cancelled and awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
