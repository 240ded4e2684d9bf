# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The etcd that runs on control planes: its members, whether they are well, and taking one out.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import typing as t
from urllib.parse import urlsplit

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.addresses import NodeIdentity, comparable
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import BY_RUNTIME, KUBEADM, EtcdPlace
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_HERE = "https://127.0.0.1:2379"
_PEER_PORT = 2380
_PATIENCE = 30.0
_PAUSE = 1.0
_DIAL_SECONDS = 3.0


class Member(t.NamedTuple):
    """One member; without a name it has never been started."""

    number: int
    name: str
    peer_urls: t.Sequence[str]
    client_urls: t.Sequence[str]
    learner: bool

    @property
    def called(self) -> str:
        return self.name or ", ".join(self.peer_urls)

    @property
    def addresses(self) -> t.Set[str]:
        """Where other members reach it."""
        return {comparable(urlsplit(url).hostname or "") for url in self.peer_urls}

    def is_named(self, node: str, suffix: str) -> bool:
        return re.fullmatch(re.escape(node) + suffix, self.name) is not None


def listens(url: str) -> bool:
    """Whether anybody takes connections there."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or _PEER_PORT), timeout=_DIAL_SECONDS):
            return True
    except OSError:
        return False


def place_here() -> EtcdPlace:
    """Where the member of this host is, whichever runtime made it a control plane."""
    places = [traces.etcd for traces in BY_RUNTIME.values() if os.path.exists(traces.etcd.sign)]
    return places[0] if places else EtcdPlace()


class Etcd:
    """etcd as it is seen from a control plane that runs one of its members."""

    def __init__(
        self,
        run: Runner,
        place: EtcdPlace = KUBEADM.etcd,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Any = time.sleep,
    ) -> None:
        self._run = run
        self._place = place
        self._clock = clock
        self._sleep = sleep

    @property
    def stacked(self) -> bool:
        """Whether this control plane runs a member; an etcd elsewhere is no business of ours."""
        return os.path.exists(self._place.sign)

    def members(self) -> t.List[Member]:
        found = json.loads(self._checked("member", "list"))
        return [
            Member(
                number=int(item["ID"]),
                name=str(item.get("name", "")),
                peer_urls=list(item.get("peerURLs", [])),
                client_urls=list(item.get("clientURLs", [])),
                learner=bool(item.get("isLearner", False)),
            )
            for item in found.get("members", [])
        ]

    def trouble(self, member: Member) -> str:
        """Why a member is of no use now; nothing when it is well."""
        if not member.name:
            return "it was never started"
        if member.learner:
            return "it still learns what the others know"
        if self._place.loopback:
            return "" if any(map(listens, member.peer_urls)) else "it does not answer"
        done = self._call("endpoint", "health", endpoints=",".join(member.client_urls))
        if done.rc == NOT_FOUND:
            self._refuse(done)
        return "" if done.rc == 0 else "it does not answer"

    def troubles(self) -> t.List[str]:
        """A sentence for each member that is not well."""
        told = [(member.called, self.trouble(member)) for member in self.members()]
        return [f"{name}: {why}" for name, why in told if why]

    def wait(self, patience: float = _PATIENCE) -> None:
        """Wait until all members are well; raises ClusterError when they do not become so."""
        end = self._clock() + patience
        while True:
            troubles = self._troubles_or_silence()
            if not troubles:
                return
            if self._clock() >= end:
                raise ClusterError(
                    "etcd is not whole, so its members cannot change now",
                    why="; ".join(troubles),
                    fix="Bring the host back that is named, or take it out of the cluster for good"
                    " with sealer.cluster.cluster_node",
                )
            self._sleep(_PAUSE)

    def _troubles_or_silence(self) -> t.List[str]:
        try:
            return self.troubles()
        except ClusterError as error:
            return [str(error)]

    def left_by(self, node: NodeIdentity) -> t.List[Member]:
        """Members that a node left behind, which do nothing any more; one without a name is known by its address."""
        suffix = self._place.suffix
        members = self.members()
        if self._place.by_host:
            mine = node.of_host(members, lambda one: one.is_named(node.name, suffix), lambda one: one.addresses)
        else:
            mine = [
                member
                for member in members
                if member.is_named(node.name, suffix)
                or (not member.name and not node.addresses.isdisjoint(member.addresses))
            ]
        return [member for member in mine if self.trouble(member)]

    def of_nobody(self, node: NodeIdentity) -> t.List[Member]:
        """Members that do nothing any more and are at no address of another node."""
        return [one for one in self.members() if node.others.isdisjoint(one.addresses) and self.trouble(one)]

    def make_room(self, name: str, address: str) -> None:
        """Remove what an earlier attempt of a host left, before it joins; all others have to be well."""
        if self.stacked:
            for member in self.left_by(NodeIdentity(name, frozenset({comparable(address)}))):
                self.remove(member)
            self.wait()

    def leave(self) -> str:
        """Take the member of this control plane out, unless it is the last one; returns what hindered that."""
        if not self.stacked:
            return ""
        try:
            name, members = self._own_name(), self.members()
            for member in members if len(members) > 1 else []:
                if member.name == name:
                    self.remove(member)
        except (ClusterError, OSError) as error:
            return str(error)
        return ""

    def _own_name(self) -> str:
        """How the member of this control plane is called; empty where that is not told."""
        with open(self._place.name, encoding="utf-8") as stream:
            found = re.search(self._place.named, stream.read())
        return found.group(1) if found else ""

    def refuse_to_leave_without_quorum(self) -> None:
        """Raise ClusterError where those that stay would be too few for the cluster to go on.

        A member that does not answer itself takes nothing away by leaving.
        """
        if not self.stacked:
            return
        try:
            name, members = self._own_name(), self.members()
        except (ClusterError, OSError) as error:
            # Without a quorum, a member tells nothing but how it is itself.
            done = self._call("endpoint", "status")
            if done.rc == NOT_FOUND:
                self._refuse(done)
            if done.rc == 0:
                raise ClusterError(
                    "this control plane may have the last copy of the cluster's data",
                    where="etcd",
                    why=f"it runs and has no quorum: {error}",
                    fix="Bring the other ones back first. To end the cluster, reset all its hosts without --limit",
                ) from error
            return
        others = [member for member in members if member.name != name]
        troubles = [f"{member.called}: {why}" for member in others for why in [self.trouble(member)] if why]
        if len(others) == len(members) or len(others) - len(troubles) > len(others) // 2:
            return
        remedy = (
            "Bring back the host that is named, or take it out of the cluster first with sealer.cluster.cluster_node. "
        )
        raise ClusterError(
            "the cluster would not go on without this control plane",
            where="etcd",
            why="; ".join(troubles) or "it is the last one",
            fix=f"{remedy if troubles else ''}To end the cluster, reset all its hosts without --limit",
        )

    def remove(self, member: Member) -> None:
        self._checked("member", "remove", f"{member.number:x}")

    def _checked(self, *arguments: str) -> str:
        done = self._call(*arguments)
        if done.rc != 0:
            self._refuse(done)
        return done.stdout

    def _refuse(self, done: Completed) -> t.NoReturn:
        if done.rc == NOT_FOUND:
            raise ClusterError(
                "etcdctl is not on this host",
                where=self._place.sign,
                fix="Use a cluster image whose base brings etcdctl",
            )
        raise ClusterError("etcd does not answer", where=_HERE, why=done.output[-1000:])

    def _call(self, *arguments: str, endpoints: str = _HERE) -> Completed:
        place = self._place
        keys = [f"--cacert={place.ca}", f"--cert={place.certificate}", f"--key={place.key}"]
        return self._run(
            ["etcdctl", f"--endpoints={endpoints}", *keys, "--command-timeout=5s", "--write-out=json", *arguments]
        )
