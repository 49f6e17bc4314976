"""Stages of a pipeline in threads of their own, each working ahead of its consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

from youku.threads import limit_threads

Item = TypeVar("Item")
AHEAD = 2  # items waiting between two stages


def ahead(items: Iterable[Item], depth: int = AHEAD, num_threads: int = 1) -> Iterator[Item]:
    """Run an iterator in a thread, at most `depth` items ahead; its error is raised here, leaving early stops it.

    `num_threads` is how many threads torch may use in there: stages beside the network take one, so that they do not
    break into its team of threads.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(entry: tuple) -> bool:
        while not stop.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        limit_threads(num_threads)
        try:
            for item in items:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:  # handed over whole: the consumer raises it
            put(("error", error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join()
        if isinstance(items, Generator):
            items.close()


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items in order, the last one shorter where they do not divide."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
