# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is common to starting a cluster with kubeadm and joining one.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import ConfigFile, Document
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import NodeReset
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError

KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
CA_CERTIFICATE = "/etc/kubernetes/pki/ca.crt"
_TAIL_LINES = 25
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_KEY = re.compile(r"(?<!sha256:)\b[0-9a-f]{64}\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PASSED_CHECK = re.compile(
    r"^[A-Z0-9_]+: (enabled|not set\b|Linux|\d+\.)|^\[preflight\] The system verification failed"
)


def redacted(text: str) -> str:
    """The same text without bootstrap tokens and certificate keys."""
    return _KEY.sub("<redacted>", _TOKEN.sub("<redacted>", text))


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """The end of what kubeadm said, without colours, secrets and the kernel options that it found in order."""
    said = [line for line in _COLOUR.sub("", redacted(text)).splitlines() if not _PASSED_CHECK.match(line)]
    return "\n".join(said[-lines:])


def is_node() -> bool:
    return os.path.exists(KUBELET_CONF)


def is_member() -> bool:
    """Whether this collection made the host a node, from beginning to end."""
    found = record.read_record()
    return is_node() and found is not None and not record.unfinished(found)


def run_kubeadm(
    run: Runner,
    action: str,
    documents: t.Sequence[Document],
    *,
    arguments: t.Sequence[str] = (),
    settings: ResetSettings,
    descriptors: t.Sequence[int] = (),
) -> str:
    """Run kubeadm init or join on a host that is no node; when it fails, the host is as it was before."""
    if record.unfinished(record.read_record()):
        NodeReset(run, settings).clear()
    record.start(run, action)
    with ConfigFile(documents) as config:
        command = ["kubeadm", action, "--config", config.path, *arguments]
        done = run(command, descriptors=[config.descriptor, *descriptors])
    if done.rc == 0:
        return redacted(done.output)
    failure = _failure(action, done.rc, done.output)
    try:
        NodeReset(run, settings).clear()
    except (SealerError, OSError) as error:
        failure.fix = f"{failure.fix}. What kubeadm did could not be undone whole: {error}"
    raise failure


def _failure(action: str, rc: int, output: str) -> ClusterError:
    if rc == NOT_FOUND:
        return ClusterError(
            "kubeadm is not on this host",
            where=f"kubeadm {action}",
            why=output,
            fix="Use a cluster image whose base brings kubeadm, and run the rootfs role first",
        )
    return ClusterError(
        f"kubeadm {action} failed with return code {rc}",
        why=f"the end of what it said:\n{tail(output)}\n",
        fix="What it did was undone; correct the cause and run this again",
    )
