"""Stages of a pipeline in threads of their own, each working ahead of its consumer."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from youku import stops
from youku.threads import limit_threads

Item = TypeVar("Item")
Made = TypeVar("Made")
STAGES = ("reading", "network", "writing")
AHEAD = 2  # items waiting between two stages


class Busy:
    """Wall seconds that each stage of a pipeline worked, what it waited for left out: it tells what limits."""

    def __init__(self) -> None:
        self.began, self.seconds = time.monotonic(), dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def at(self, stage: str, number: int = 1) -> Iterator[None]:
        """The block is work of one of STAGES, which `number` threads do."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] += (time.monotonic() - began) / number

    def reading(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items, each timed while it comes."""
        waiting = iter(items)
        while True:
            with self.at("reading"):
                found = list(itertools.islice(waiting, 1))
            if not found:
                return
            yield found[0]

    def told(self, num_frames: int) -> str:
        """Frames a second, and the share of the time that each stage worked; they work at once, so shares may add up to more."""
        took_sec = max(1e-9, time.monotonic() - self.began)
        shares = ", ".join(f"{stage} {seconds / took_sec:.0%}" for stage, seconds in self.seconds.items())
        return f"{num_frames / took_sec:.3g} frames/s (busy: {shares})"


def ahead(items: Iterable[Item], depth: int = AHEAD, num_threads: int = 1) -> Iterator[Item]:
    """Run an iterator in a thread, at most `depth` items ahead; its error is raised here, leaving early stops it.

    So does the end of the process where nobody closes the generator: a thread that Python's end meets inside torch, as it
    does daemons, takes the process with it (std::terminate).

    `num_threads` is how many threads torch may use in there: stages beside the network take one, so that they do not
    break into its team of threads. At a depth of 0 there is no thread: each item is made when it is asked for.
    """
    if not depth:
        yield from items
        return
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(entry: tuple) -> bool:
        while not stop.is_set() and threading.main_thread().is_alive():
            try:
                waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        with waiting.mutex:
            waiting.queue.clear()
        waiting.put_nowait(("end", None))  # whoever still waits goes on
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

    thread = threading.Thread(target=work)
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


def side_by_side(act: Callable[[Item], Made], items: Iterable[Item], number: int) -> Iterator[Made]:
    """What `act` makes of each item, in their order, made by `number` threads; an error comes in its item's turn."""
    coming, is_over = iter(items), False
    waiting: deque[Future[Made]] = deque()
    with stops.workers(number, "side by side", limit_threads, (1,)) as (pool, _):
        while waiting or not is_over:
            while not is_over and len(waiting) < 2 * number:
                try:
                    waiting.append(pool.submit(act, next(coming)))
                except StopIteration:
                    is_over = True
                except Exception as error:
                    is_over = True
                    waiting.append(Future())
                    waiting[-1].set_exception(error)
            if waiting:
                yield waiting.popleft().result()


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
