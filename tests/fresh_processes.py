"""Processes for tests that play thousands of calls."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def fresh_processes(
    count: int | None = None, ready: Callable[[], None] | None = None
) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """``count`` processes (as many as there are cores) that begin with nothing of this one; ``ready`` is called in
    each. A fork would inherit the locks of libraries that run threads of their own (the model of who talks), held by
    threads that are not there, and wait for ever. If this side gives up, what is still at work is killed."""
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(count or os.cpu_count(), context, ready)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
