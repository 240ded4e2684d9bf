# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of M(sealer.cluster.image_deliver): sends a host's store the blobs that it lacks."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._parcel import Missing, Range, plan_parcels
from ansible_collections.sealer.cluster.plugins.plugin_utils._delivery import (
    ParcelFile,
    Shipment,
    parcel_name,
    plan_shipment,
    send_as_it_is,
)
from ansible_collections.sealer.cluster.plugins.plugin_utils._keeper import Keeper, removal_of_files
from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import (
    Announcer,
    Snapshot,
    human_size,
    line_prefix,
    local_tmp,
)

Result = t.Dict[str, t.Any]

SPEC: ArgumentSpec = {
    "image": {"type": "str", "required": True},
    "store": {"type": "path"},
    "host_store": {"type": "path", "default": "/var/lib/sealer/store"},
    "platforms": {"type": "list", "elements": "str", "default": []},
    "parcel_size": {"type": "bytes", "default": "64M"},
}
PASSED_ON = ("ansible_facts", "deprecations", "warnings")


class HostFailed(Exception):
    """The host's side failed; its result tells why."""

    def __init__(self, result: Result) -> None:
        super().__init__(str(result.get("msg")))
        self.result = result


class ActionModule(ActionBase):
    """Asks the host what it lacks, sends that in parcels, and lets the last one name the image."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        self._vars: t.Dict[str, t.Any] = task_vars if task_vars is not None else {}
        _validation, self._args = self.validate_argument_spec(SPEC)
        if self._args["parcel_size"] < 1:
            raise AnsibleActionFail("parcel_size has to be at least one byte")
        layout_path = self._args["store"] or default_store()
        send_as_it_is(self._connection)
        try:
            layout = Layout.open(layout_path)
            with layout.session():
                result.update(self._deliver(layout))
        except HostFailed as error:
            result.update(error.result)
        except SealerError as error:
            raise AnsibleActionFail(str(error)) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _deliver(self, layout: Layout) -> Result:
        shipment = plan_shipment(layout, Reference.parse(self._args["image"]), self._args["platforms"])
        host = str(self._task.delegate_to or self._vars.get("inventory_hostname", "localhost"))
        name = parcel_name(f"{host} {self._connection.transport}", self._args["host_store"])
        if self._task.check_mode:
            answer = self._ask(shipment, name)
            return self._report(shipment, answer, self._parcels(answer))
        with ParcelFile(os.path.dirname(local_tmp()), name) as parcel:
            answer = self._ask(shipment, name)
            parcels = self._parcels(answer)
            self._check_space(host, answer, parcels)
            report = self._report(shipment, answer, parcels)
            if parcels:
                self._keep_clear(parcel)
                self._send(layout, shipment, parcels, parcel)
            elif report["changed"]:
                self._receive(shipment, commit=True)
        return report

    def _keep_clear(self, parcel: ParcelFile) -> None:
        """See to it that nothing is left of this process on either side, also when it is killed."""
        remove = removal_of_files(self)

        def clear_up() -> None:
            parcel.discard()
            remove()

        Keeper(os.getpid(), clear_up=clear_up).start()

    def _send(
        self, layout: Layout, shipment: Shipment, parcels: t.Sequence[t.Sequence[Range]], parcel: ParcelFile
    ) -> None:
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, os.path.basename(parcel.path))
        announcer = Announcer(Display().display, line_prefix(self._task.action, self._vars))
        total, done = _bytes_of(parcels), 0
        for number, ranges in enumerate(parcels):
            announcer.update(Snapshot("sending", done, total, number, len(parcels)))
            sha256 = parcel.fill(layout, ranges)
            self._connection.put_file(parcel.path, remote)
            self._fixup_perms2([self._connection._shell.tmpdir, remote])
            last = number == len(parcels) - 1
            answer = self._receive(shipment, parcel={"path": remote, "sha256": sha256}, commit=last)
            done += sum(piece.length for piece in ranges)
        announcer.update(Snapshot("sending", done, total, len(parcels), len(parcels)))
        announcer.finish()
        if answer["missing"]:
            raise OciError("the host still lacks blobs of the image", why=f"{len(answer['missing'])} of them")

    def _ask(self, shipment: Shipment, name: str) -> Result:
        base = local_tmp() if self._connection.transport == "local" else str(self._connection._shell.tmpdir).rstrip("/")
        return self._receive(shipment, leftovers={"directory": os.path.dirname(base), "name": name})

    def _receive(self, shipment: Shipment, **options: t.Any) -> Result:
        arguments = {
            "store": self._args["host_store"],
            "image": str(shipment.reference),
            "descriptor": {
                "media_type": shipment.descriptor.media_type,
                "digest": str(shipment.descriptor.digest),
                "size": shipment.descriptor.size,
            },
            "platforms": [str(platform) for platform in shipment.platforms],
            "wanted": [{"digest": str(blob.digest), "size": blob.size} for blob in shipment.blobs],
            **options,
        }
        answer: Result = self._execute_module(
            module_name="sealer.cluster.image_receive", module_args=arguments, task_vars=self._vars
        )
        if answer.get("failed") or answer.get("unreachable"):
            raise HostFailed(answer)
        return answer

    def _parcels(self, answer: Result) -> t.List[t.List[Range]]:
        missing = [Missing(blob["digest"], blob["size"], blob["offset"]) for blob in answer["missing"]]
        return plan_parcels(missing, self._args["parcel_size"])

    def _check_space(self, host: str, answer: Result, parcels: t.Sequence[t.Sequence[Range]]) -> None:
        largest = max((sum(piece.length for piece in ranges) for ranges in parcels), default=0)
        for what, needed in (("store", _bytes_of(parcels)), ("temporary", largest)):
            free = answer["space"][what]
            if free is not None and free < needed:
                place = self._args["host_store"] if what == "store" else "temporary files"
                raise OciError(
                    f"no space on {host} for {place}",
                    why=f"{human_size(needed)} are needed, {human_size(free)} are free",
                    fix="Make room there, or name another place.",
                )

    def _report(self, shipment: Shipment, answer: Result, parcels: t.Sequence[t.Sequence[Range]]) -> Result:
        digest = str(shipment.descriptor.digest)
        current = answer.get("current", {})
        lacking = _bytes_of(parcels)
        before = {
            "digest": current.get("digest"),
            "image": str(shipment.reference),
            "missing_bytes": lacking,
            "platforms": current.get("platforms"),
        }
        platforms = shipment.platforms_after(current.get("digest"), current.get("platforms", []))
        after = {**before, "digest": digest, "missing_bytes": 0, "platforms": platforms}
        return {
            "changed": bool(parcels) or before != after,
            "image": str(shipment.reference),
            "digest": digest,
            "platforms": platforms,
            "bytes_sent": lacking,
            "bytes_reused": shipment.size - lacking,
            "parcels": len(parcels),
            "diff": {"before": before, "after": after},
            **{key: answer[key] for key in PASSED_ON if key in answer},
        }


def _bytes_of(parcels: t.Sequence[t.Sequence[Range]]) -> int:
    return sum(piece.length for ranges in parcels for piece in ranges)
