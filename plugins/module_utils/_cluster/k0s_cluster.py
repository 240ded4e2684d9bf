# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of k0s: starting it, joining it, tokens for that, who is a member.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import datetime
import glob
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import credentials, k0s, kubeadm_info, record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import state as cluster_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import by_kind
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json, write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm_token import fingerprint, missing_nodes
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

CONTROL_PLANE = "control_plane"
WORKER = "worker"
_ROLES = {CONTROL_PLANE: "controller", WORKER: "worker"}
_LEASES = "k0s-ctrl-"
_ROLE_LABEL = "node.k0sproject.io/role"
_ETCD_SECONDS = "30"
_CERTIFICATES = ("/var/lib/k0s/pki/*.crt", "/var/lib/k0s/pki/etcd/*.crt")


@dataclasses.dataclass(frozen=True)
class InitRequest:
    """The cluster as it is wanted."""

    name: str
    image: Json
    version: str
    endpoint: str
    control_planes: t.Sequence[str]
    workers: t.Sequence[str]
    configuration: Json

    def state(self) -> Json:
        return cluster_state.new_state(
            name=self.name,
            image=self.image,
            runtime=k0s.RUNTIME,
            version=self.version,
            endpoint=self.endpoint,
            control_planes=self.control_planes,
            workers=self.workers,
            inputs=by_kind([self.configuration]),
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is recorded, what shall be, and which steps lead there."""

    before: Json
    after: Json
    start: bool
    record: bool

    @property
    def changed(self) -> bool:
        return self.start or self.record


def plan(request: InitRequest, kubectl: Kubectl) -> Plan:
    """Decide; changes nothing. Raises ClusterError when this host carries another cluster."""
    wanted = request.state()
    found = record.read_record(K0S.record_path)
    k0s.refuse_foreign(found)
    if not k0s.is_node() or record.unfinished(found):
        return Plan(before={}, after=wanted, start=True, record=True)
    recorded = cluster_state.read_state()
    if recorded is None:
        return Plan(before={}, after=wanted, start=False, record=True)
    cluster_state.refuse_other_cluster(recorded, wanted)
    secret = kubectl.get("secret", "-n", cluster_state.NAMESPACE, cluster_state.OBJECT_NAME)
    stale = recorded != wanted or not cluster_state.secret_carries(secret, wanted)
    return Plan(before=recorded, after=wanted, start=False, record=stale)


def initialise(run: Runner, request: InitRequest, todo: Plan, service: k0s.Service, kubectl: Kubectl) -> str:
    """Carry a plan out; returns what k0s said."""
    said = ""
    if todo.start:
        said = k0s.start(run, service, kubectl, "init")
        record.finish({"cluster": request.name}, K0S.record_path)
    if todo.record:
        kubectl.put(cluster_state.secret_of(todo.after))
        write_json(cluster_state.STATE_PATH, todo.after)
    return said


@dataclasses.dataclass(frozen=True)
class JoinRequest:
    """The membership as it is wanted."""

    name: str
    role: str
    endpoint: str
    ca: str
    token: t.Optional[str]
    state: Json
    refused: t.Sequence[str] = ()


def join_plan(request: JoinRequest) -> Plan:
    """Decide; changes nothing. Raises ClusterError when this host belongs to another cluster."""
    found = record.read_record(K0S.record_path)
    k0s.refuse_foreign(found)
    controller = request.role == CONTROL_PLANE
    after = request.state if controller else {}
    before = (cluster_state.read_state() or {}) if controller else {}
    if not k0s.is_node() or record.unfinished(found):
        return Plan(before={}, after=after, start=True, record=controller)
    known = k0s.known_authority(controller)
    if request.ca and known and fingerprint(known) != fingerprint(request.ca):
        raise ClusterError(
            "this host is a node of another cluster, made with another CA",
            where="/var/lib/k0s",
            fix="Reset the host with sealer.cluster.reset and run this again",
        )
    return Plan(before=before, after=after, start=False, record=bool(after) and before != after)


def join(run: Runner, request: JoinRequest, todo: Plan, service: k0s.Service, kubectl: Kubectl) -> str:
    """Join; when that fails, k0s is off the host again. Returns what it said."""
    said = ""
    if todo.start:
        token = credentials.required(request.endpoint, request.token, request.refused)
        said = k0s.start(run, service, kubectl, "join", token)
        record.finish({"cluster": request.name}, K0S.record_path)
    if todo.record and todo.after:
        write_json(cluster_state.STATE_PATH, todo.after)
    return said


def missing(role: str, wanted: t.Sequence[str], kubectl: Kubectl, now: datetime.datetime) -> t.List[str]:
    """Which of these hosts are no working members."""
    if role == WORKER:
        return missing_nodes(wanted, kubectl.items("nodes"))
    return sorted(set(wanted) - living_controllers(kubectl.items("leases", "-n", "kube-node-lease"), now))


def living_controllers(leases: t.Iterable[Json], now: datetime.datetime) -> t.Set[str]:
    """Controllers whose leases were renewed in time, as k0s counts them itself."""
    found = set()
    for lease in leases:
        name, spec = lease["metadata"]["name"], lease.get("spec", {})
        renewed = spec.get("renewTime")
        if not name.startswith(_LEASES) or not renewed or not spec.get("holderIdentity"):
            continue
        moment = datetime.datetime.strptime(renewed[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
        if now - moment < datetime.timedelta(seconds=int(spec.get("leaseDurationSeconds", 60))):
            found.add(name[len(_LEASES) :])
    return found


def create_token(run: Runner, role: str, ttl: str) -> str:
    """A join token; it is on no command line and in no file. k0s may fail and print nothing all the same."""
    done = run(["k0s", "token", "create", f"--role={_ROLES[role]}", f"--expiry={ttl}"])
    token = done.stdout.strip()
    if done.rc != 0 or not token:
        raise ClusterError("k0s made no join token", where="k0s token create", why=k0s.redacted(done.output)[-2000:])
    return token


def invalidate_token(run: Runner, name: str) -> None:
    """End a token that is not needed any more; one that has expired is gone already."""
    done = run(["k0s", "token", "invalidate", name])
    if done.rc != 0 and "not found" not in done.output:
        raise ClusterError("a join token cannot be invalidated", where="k0s token invalidate", why=done.output[-1000:])


def refuse_sick_etcd(run: Runner, kubectl: Kubectl) -> None:
    """Raise ClusterError unless etcd answers and tells its members; of kine the API server alone is asked."""
    told = k0s.status(run) or {}
    storage = ((told.get("ClusterConfig") or {}).get("spec") or {}).get("storage") or {}
    done = kubectl.call("get", "--raw", "/readyz/etcd", "--request-timeout=10s")
    if done.rc == 0 and storage.get("type", "etcd") == "etcd":
        done = run(["timeout", _ETCD_SECONDS, "k0s", "etcd", "member-list"])
    if done.rc != 0:
        raise ClusterError(
            "etcd is not healthy, so no control plane may join now",
            why=done.output[-1000:],
            fix="See which member is away: k0s etcd member-list on a control plane that runs",
        )


def members_of(nodes: t.Sequence[Json], controllers: t.Iterable[Json]) -> t.List[Json]:
    """Members, control planes first; controllers that run no workloads are no nodes, and known by another name."""
    found = {node["metadata"]["name"]: kubeadm_info.member_of(node) for node in nodes}
    for node in nodes:
        if node["metadata"].get("labels", {}).get(_ROLE_LABEL) == "control-plane":
            found[node["metadata"]["name"]]["role"] = CONTROL_PLANE
    for item in controllers:
        name, status = item["metadata"]["name"], item.get("status", {})
        if name in found:
            continue
        addresses = {entry["type"]: entry["address"] for entry in reversed(status.get("addresses", []))}
        found[name] = {
            "name": name,
            "role": CONTROL_PLANE,
            "address": addresses.get("InternalIP", ""),
            "version": status.get("k0sVersion", ""),
            "container_runtime": "",
            "ready": True,
        }
    return sorted(found.values(), key=lambda item: (item["role"] != CONTROL_PLANE, item["name"]))


def certificates(run: Runner) -> t.List[Json]:
    """Name and expiry of k0s' certificates on this control plane; none where openssl cannot tell."""
    found = []
    for path in sorted(path for pattern in _CERTIFICATES for path in glob.glob(pattern)):
        done = run(["openssl", "x509", "-noout", "-enddate", "-in", path])
        _name, _equals, text = done.stdout.strip().partition("=")
        if done.rc == 0 and text:
            moment = datetime.datetime.strptime(text, "%b %d %H:%M:%S %Y %Z")
            name = os.path.splitext(os.path.relpath(path, "/var/lib/k0s/pki"))[0]
            found.append({"name": name, "expires": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})
    return found
