# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop of one process: who waits for what, and for how long.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import select
import socket
import threading
import time
import typing as t
from collections import deque

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import WouldBlock
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.bulkheads import (
    QUEUE_SECONDS,
    Bulkheads,
    Permit,
    Ticket,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.connection import (
    Connection,
    Service,
    Stage,
    Want,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.crew import Crew, Lead
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.share import SECONDS as SHARE_SECONDS
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.share import Share

TICK = 0.005
NAP = 1.0
CONTENT_TICK = 0.01
GROWING_TICK = 0.03
DRAIN_IDLE_SECONDS = 1.0
CALM_TICKS = 40
STUCK_SECONDS = 15
PAUSE_SECONDS = 0.2
COMPLAINT_SECONDS = 60

_MASKS = {Want.READ: select.EPOLLIN | select.EPOLLONESHOT, Want.WRITE: select.EPOLLOUT | select.EPOLLONESHOT}
_CLIENT_LEFT = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EPROTO, errno.EINTR})


class Listener(t.Protocol):
    """A listening socket, gunicorn's or Python's."""

    def accept(self) -> t.Tuple[socket.socket, t.Any]:
        """The next client."""

    def fileno(self) -> int:
        """Its descriptor."""

    def close(self) -> None:
        """Close it in this process."""


class Loop:
    """Accepts clients, and calls each connection when what it waits for is there.

    Who takes a connection out of ``_armed`` or ``_parked`` has it for itself, until it is put back.
    """

    def __init__(
        self,
        listeners: t.Sequence[Listener],
        service: Service,
        threads: int,
        most: int,
        share: t.Optional[Share] = None,
    ) -> None:
        self._service = service
        self._log: logging.Logger = service.log
        self._most = most
        self._share = share or Share()
        self._crew = Crew(self._step, threads, self._log)
        self._bulkheads = Bulkheads(threads, self._log)
        self._serving = Permit(self._bulkheads)
        self._poll = select.epoll()
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._accepting = self._draining = False
        self._gate = threading.Lock()
        self._events: t.Deque[int] = deque()
        self._connections: t.Set[Connection] = set()
        self._armed: t.Dict[int, Connection] = {}
        self._parked: t.Dict[int, Connection] = {}
        self._next_sweep = self._next_complaint = self._listen_at = 0.0
        self._last_wait = time.monotonic()
        self._asleep = self._stirred = False
        self._calm = 0
        self._wake_read, self._wake_write = _pipe()
        self._stir_read, self._stir_write = _pipe()
        self._poll.register(self._wake_read, select.EPOLLIN)

    def start(self) -> None:
        """Begin to serve."""
        self._share.tell(0)
        self._listen()
        self._crew.start()

    def watch(self) -> bool:
        """See to it, for about a second, that somebody leads; whether somebody does. Ends early by ``stir``."""
        waiting = select.poll()
        waiting.register(self._stir_read, select.POLLIN)
        end = time.monotonic() + NAP
        left = NAP
        while left > 0:
            self._asleep = self._calm > CALM_TICKS
            if waiting.poll((left if self._asleep else min(TICK, left)) * 1000):
                _empty(self._stir_read)
                self._calm = 0
                if self._stirred:
                    break
            self._calm = 0 if self._crew.watch() else self._calm + 1
            left = end - time.monotonic()
        return time.monotonic() - self._last_wait < STUCK_SECONDS

    def stir(self) -> None:
        """End watching; may be called by a signal's handler."""
        self._stirred = True
        _fill(self._stir_write)

    def drain(self, seconds: float, beat: t.Callable[[], None]) -> None:
        """Take no new clients, finish what runs, then end; ``beat`` is called all the while."""
        self._draining = True
        self._stop_listening()
        self._share.leave()
        for listener in self._listeners.values():
            listener.close()
        begun = time.monotonic()
        while self._connections and time.monotonic() < begun + seconds:
            self._crew.watch()
            beat()
            if time.monotonic() > begun + DRAIN_IDLE_SECONDS:
                self._close_idle()
            time.sleep(TICK)
        self._crew.end()
        self._bulkheads.end()

    def _step(self, lead: Lead) -> None:
        try:
            descriptor = self._events.popleft()
        except IndexError:
            lead.busy_since = 0.0
            self._wait()
            return
        lead.busy_since = time.monotonic()
        connection = self._armed.pop(descriptor, None)
        if connection is not None:
            self._call(connection, connection.advance)
        elif descriptor in self._listeners:
            self._accept(self._listeners[descriptor])
        elif descriptor == self._wake_read:
            _empty(self._wake_read)

    def _wait(self) -> None:
        """Wait for events; see who is late and whose content has come."""
        self._last_wait = now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + NAP
            self._sweep(now)
        if self._parked:
            self._resume(now)
        if not self._accepting and now >= self._listen_at:
            self._listen()
        found = self._poll.poll(self._patience(now))
        self._events.extend([descriptor for descriptor, _event in found])
        if self._asleep and found:
            self._asleep = False
            _fill(self._stir_write)

    def _patience(self, now: float) -> float:
        patience = CONTENT_TICK if self._parked else NAP
        return patience if self._accepting or self._draining else min(patience, self._listen_at - now)

    def _call(self, connection: Connection, move: t.Callable[[], Want], in_crew: bool = True) -> None:
        """Have a connection move on; whatever goes wrong ends it, and nothing else.

        A thread of a bulkhead is there for one request; those that come behind it on the connection are the crew's.
        """
        work = functools.partial(connection.work, self._serving)
        try:
            want = move()
            while want is Want.WORK:
                if not (in_crew and self._crew.spare):
                    self._crew.submit(functools.partial(self._call, connection, work))
                    return
                want = work()
        except WouldBlock as blocked:
            self._hand_over(connection, blocked)
            return
        except Exception:
            self._log.exception("a connection failed")
            want = Want.GONE
        self._put_back(connection, want)

    def _hand_over(self, connection: Connection, blocked: WouldBlock) -> None:
        """Have the request made again where it may wait; where its turn does not come, here and without waiting."""
        within = functools.partial(connection.work, Permit(self._bulkheads, blocked.kind))
        late = functools.partial(connection.work, Permit(self._bulkheads, late=True))
        ticket = Ticket(
            functools.partial(self._call, connection, within, in_crew=False),
            functools.partial(self._crew.submit, functools.partial(self._call, connection, late)),
            time.monotonic() + QUEUE_SECONDS,
        )
        self._bulkheads.of(blocked.kind).submit(blocked.key, ticket, blocked.urgent)

    def _put_back(self, connection: Connection, want: Want) -> None:
        if want is Want.GONE:
            self._close(connection)
        elif want is Want.CONTENT:
            connection.deadline = time.monotonic() + (GROWING_TICK if connection.has_sent else CONTENT_TICK)
            wakes = not self._parked
            self._parked[connection.descriptor] = connection
            if wakes:
                _fill(self._wake_write)
        else:
            self._armed[connection.descriptor] = connection
            self._poll.modify(connection.descriptor, _MASKS[want])

    def _close(self, connection: Connection) -> None:
        self._connections.discard(connection)
        connection.close()
        if not self._draining:
            self._share.tell(len(self._connections))

    def _resume(self, now: float) -> None:
        for descriptor, connection in list(self._parked.items()):
            if connection.deadline <= now and connection.content_ready() and _claim(self._parked, descriptor):
                self._call(connection, connection.advance)

    def _sweep(self, now: float) -> None:
        for descriptor, connection in list(self._armed.items()):
            if connection.deadline <= now and _claim(self._armed, descriptor):
                self._put_back(connection, Want.GONE if connection.expire() else connection.want)
        for ticket in self._bulkheads.expired(now):
            ticket.give_up()
        if not self._draining:
            self._share.tell(len(self._connections))

    def _listen(self) -> None:
        with self._gate:
            if not self._draining:
                self._accepting = True
                for descriptor in self._listeners:
                    self._poll.register(descriptor, select.EPOLLIN)

    def _stop_listening(self) -> None:
        with self._gate:
            if self._accepting:
                self._accepting = False
                for descriptor in self._listeners:
                    self._poll.unregister(descriptor)

    def _pause(self, seconds: float) -> None:
        """Let new clients wait, or others take them."""
        self._stop_listening()
        self._listen_at = time.monotonic() + seconds

    def _accept(self, listener: Listener) -> None:
        if not self._share.may_take(len(self._connections)):
            self._pause(SHARE_SECONDS)
            return
        try:
            client, peer = accept(listener)
        except OSError as error:
            if error.errno not in _CLIENT_LEFT:
                self._make_room(str(error))
            return
        if len(self._connections) >= self._most:
            self._make_room("there are as many connections as descriptors allow")
        self._begin(client, peer)

    def _begin(self, client: socket.socket, peer: t.Any) -> None:
        try:
            connection = Connection(client, (str(peer[0]), int(peer[1])), self._service)
        except (OSError, ValueError) as error:
            self._log.debug("a client left at once: %s", error)
            client.close()
            return
        self._connections.add(connection)
        self._share.tell(len(self._connections))
        self._armed[connection.descriptor] = connection
        self._poll.register(connection.descriptor, _MASKS[Want.READ])

    def _make_room(self, why: str) -> None:
        """Close who has been idle for longest; where nobody is, let new clients wait for a moment."""
        idle = [one for one in self._armed.values() if one.stage is Stage.IDLE]
        idle.sort(key=lambda connection: connection.deadline)
        for connection in idle[: max(1, len(idle) // 16)]:
            if _claim(self._armed, connection.descriptor):
                self._close(connection)
        if not idle:
            self._pause(PAUSE_SECONDS)
        self._complain(why)

    def _complain(self, why: str) -> None:
        now = time.monotonic()
        if now >= self._next_complaint:
            self._next_complaint = now + COMPLAINT_SECONDS
            self._log.warning("cannot take more clients: %s", why)

    def _close_idle(self) -> None:
        for descriptor, connection in list(self._armed.items()):
            if connection.stage is Stage.IDLE and _claim(self._armed, descriptor):
                self._close(connection)


def accept(listener: Listener) -> t.Tuple[socket.socket, t.Any]:
    """The next client. Raises OSError."""
    return listener.accept()


def _claim(waiting: t.Dict[int, Connection], descriptor: int) -> bool:
    """Take a connection out, unless somebody else was faster."""
    return waiting.pop(descriptor, None) is not None


def _pipe() -> t.Tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _fill(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(pipe, b"!")


def _empty(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(pipe, 4096)
