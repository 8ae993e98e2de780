"""Threads of Numba's simulator one at a time, each to its next barrier, in an order that is drawn for each barrier.

The simulator starts all threads of a block and polls them until all wait: half of the time goes into that. Here a
thread runs alone until it waits or ends, and hands over to the next. What a missing barrier leaves to chance comes
in a new order every time, with the same orders in every process.
"""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
from numba.cuda.simulator import kernel


class OneAtATime(kernel.BlockThread):
    """A thread of a block that runs when it is told to."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.turn, self.back = threading.Lock(), threading.Lock()
        self.over = False
        self.turn.acquire()
        self.back.acquire()

    def run(self) -> None:
        """Wait for the first turn, and tell when the thread has ended."""
        self.turn.acquire()
        try:
            if not self.abort:
                super().run()
        finally:
            self.over = True
            self.back.release()

    def advance(self) -> None:
        """Run to the next barrier or to the end."""
        self.turn.release()
        self.back.acquire()

    def syncthreads(self) -> None:
        """Hand over, and wait for the next turn."""
        self.back.release()
        self.turn.acquire()
        if self.abort:
            raise RuntimeError("another thread of the block failed")


class Block(kernel.BlockManager):
    """A block of such threads."""

    orders = random.Random(0)

    def run(self, grid_point: tuple[int, ...], *arguments: Any) -> None:
        """Run all threads to the end; the error of one ends the others and is raised."""
        points = np.ndindex(*self._block_dim)
        call = lambda: self._f(*arguments)
        waiting = [OneAtATime(call, self, grid_point, point, self._debug) for point in points]
        for thread in waiting:
            thread.start()
        while waiting:
            self.orders.shuffle(waiting)
            for thread in waiting:
                thread.advance()
                if thread.exception:
                    self.end(waiting)
                    raise thread.exception[0].with_traceback(thread.exception[1])
            waiting = [thread for thread in waiting if not thread.over]

    @staticmethod
    def end(threads: list[OneAtATime]) -> None:
        """Let threads that wait fail."""
        for thread in threads:
            thread.abort = True
        for thread in threads:
            while not thread.over:
                thread.advance()


def install() -> None:
    """Run all kernels of this process in this way."""
    kernel.BlockManager = Block
