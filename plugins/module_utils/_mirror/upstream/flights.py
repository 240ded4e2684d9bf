# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that many wait for is done once, in a thread of its own that no waiter can end.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t
from collections import OrderedDict

MOST_FLIGHTS = 256

_Result = t.TypeVar("_Result")


class Flight(t.Generic[_Result]):
    """One piece of work, under way or done."""

    def __init__(self, clock: t.Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._done = threading.Event()
        self._outcome: t.Callable[[], _Result] = self._nothing

    def wait(self, patience: float) -> bool:
        """Whether it is done, at the latest when that many seconds have passed since it began."""
        return self._done.wait(max(0.0, self._began + patience - self._clock()))

    def result(self) -> _Result:
        """What came out of it; raises what it raised."""
        return self._outcome()

    def run(self, action: t.Callable[[], _Result]) -> None:
        """Do it, in the thread that is made for it."""
        try:
            value = action()
        except BaseException as error:
            raised = error

            def fail() -> _Result:
                raise raised

            self._outcome = fail
        else:
            self._outcome = lambda: value
        finally:
            self._done.set()

    def _nothing(self) -> _Result:
        raise TimeoutError("the work is not done yet")


class Flights(t.Generic[_Result]):
    """The work under way in this process, by its key. Safe for many threads."""

    def __init__(self, name: str, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._flights: t.Dict[str, Flight[_Result]] = {}

    def crowded_by(self, prefix: str) -> bool:
        """Whether so much is under way, or half of that by keys that begin so, that more had better wait."""
        with self._lock:
            alike = sum(key.startswith(prefix) for key in self._flights)
            return len(self._flights) >= MOST_FLIGHTS or alike >= MOST_FLIGHTS // 2

    def join(self, key: str, action: t.Callable[[], _Result]) -> t.Tuple[Flight[_Result], bool]:
        """The work of this key, and whether it was under way already."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, True
            flight = self._flights[key] = Flight(self._clock)
        thread = threading.Thread(target=self._run, args=(key, flight, action), name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._run(key, flight, action)
        return flight, False

    def _run(self, key: str, flight: Flight[_Result], action: t.Callable[[], _Result]) -> None:
        try:
            flight.run(action)
        finally:
            with self._lock:
                del self._flights[key]


class Remembered(t.Generic[_Result]):
    """Values that are good for some seconds; of too many, the oldest are dropped. Safe for many threads."""

    def __init__(self, most: int, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._values: OrderedDict[str, t.Tuple[float, _Result]] = OrderedDict()

    def put(self, key: str, value: _Result, seconds: float) -> None:
        """Remember the value for that long."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = (self._clock() + seconds, value)
            if len(self._values) > self._most:
                self._values.popitem(last=False)

    def get(self, key: str) -> t.Optional[t.Tuple[_Result]]:
        """The value, alone in a tuple so that it can be None; None when there is none that is good."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            if found[0] <= self._clock():
                del self._values[key]
                return None
            return (found[1],)

    def drop(self, key: str) -> None:
        """Forget it."""
        with self._lock:
            self._values.pop(key, None)
