#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launch the applications of a cluster image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_apps
short_description: Launch the applications of a cluster image and wait until they are up
version_added: 0.1.0
description:
  - Runs on a control plane. Runs the commands of the applications in the launch list, each in the directory
    of its application, then the commands of the image in the directory of the root file system.
  - A plain C(kubectl apply -f FILE) is run when C(kubectl diff) tells a difference. Any other command is run once,
    and again when the files of its application, its environment, the command itself or one before it changes.
  - What was run, and which objects it brought, is recorded in the Secret C(kube-system/sealer-applications). Objects
    are those of the manifests, and the Deployments, DaemonSets, StatefulSets and Jobs that other commands made.
  - Then waits until the nodes, the objects of these applications and the workloads in C(kube-system) are ready, and
    shows every few seconds what it waits for; every half minute where there is no terminal.
  - Ready is what C(kubectl rollout status) and kstatus call so. The controller has seen the change; all pods of a
    Deployment, StatefulSet or DaemonSet are of the new version and available, as far as its strategy replaces them;
    a Job has completed; a claim is bound; a CustomResourceDefinition is established. A custom resource is ready when
    its conditions C(Ready), C(Reconciling) and C(Stalled) do not say something else.
  - A container without a readiness probe is ready as soon as it runs, also when it dies a second later. So where
    something was launched or had to be waited for, all has to stay ready for ten seconds without a restart.
  - Nobody waits for the address of a Service of type C(LoadBalancer), for a claim that gets its volume when a pod asks
    for it, or for what is paused or suspended. A warning tells of each.
  - Fails when time runs out, and before that when waiting is in vain. A Job has failed; a Deployment has exceeded its
    C(progressDeadlineSeconds); a container of the new version has been started again six times, crashes, and has
    crashed once more while this waited; a custom resource is stalled. The message names the objects with their files,
    their pods, the last warnings about them and the last lines of their logs.
  - What an application had and has no more is not removed. A warning and RV(applications) tell of it.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
    details:
      - Reads the files of the image that O(manifest) names, not those of an earlier image on the host. They come from
        the store on the controller, else from that on the host, else from O(mirrors).
      - Where there is no cluster yet, all commands are told.
  diff_mode:
    support: full
    details:
      - Where the cluster cannot compare a file yet, for it makes a namespace or a kind of its own, its objects are
        shown as they would be applied. Of Secrets, the values are hidden.
  idempotent:
    support: full
options:
  description:
    description: The description of the image, as RV(sealer.cluster.image_info#module:image.description).
    type: dict
    required: true
  image_digest:
    description: Digest of the image; its own commands are run again when that changes.
    type: str
    required: true
  manifest:
    description:
      - Digest of the manifest of the root file system for this host's platform. In check mode, O(rootfs) is read only
        where it is the tree of this manifest. Without it, O(rootfs) is read as it is, and a warning says so.
    type: str
  reference:
    description: Name of the image, by which O(mirrors) are asked.
    type: str
  store:
    description:
      - Directory of the store on the controller, for check mode.
      - Without it, E(SEALER_STORE) decides, then C(/var/lib/sealer/store) for root and
        C(~/.local/share/sealer/store) for everybody else.
    type: path
  host_store:
    description: Directory of a store on this host, for check mode where the controller does not have the image.
    type: path
    default: /var/lib/sealer/store
  mirrors:
    description: URLs of mirrors that check mode asks where neither store has the image, in this order.
    type: list
    elements: str
    default: []
  ca_path:
    description: File on this host with the certificate authorities to trust for O(mirrors).
    type: path
  username:
    description: User to log in with at O(mirrors) that do not answer everybody.
    type: str
  password:
    description: The user's password.
    type: str
  files:
    description: Archive on this host with the files that check mode reads. The action plugin brings it.
    type: path
  rootfs:
    description: Directory of the unpacked image.
    type: path
    default: /var/lib/sealer/rootfs/current
  kubeconfig:
    description: Kubeconfig of an administrator on the host.
    type: path
    default: /etc/kubernetes/admin.conf
  env:
    description: Environment of all commands, above what the image sets.
    type: dict
    default: {}
  secret_env:
    description:
      - Like O(env), for passwords and the like, over it. The values are kept out of logs and results, also where pods
        logged them.
    type: dict
    default: {}
  launch:
    description: Applications to launch instead of those that the image launches, in this order.
    type: list
    elements: str
    default: []
  nodes:
    description: Names of the nodes that have to be ready in the end.
    type: list
    elements: str
    default: []
  members:
    description:
      - Names of all nodes that the inventory has. Another node in the cluster is reported. Where it is empty, none is.
    type: list
    elements: str
    default: []
  wait:
    description: Whether to wait.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds one command may take, and how long to wait in the end.
    type: int
    default: 600
seealso:
  - module: sealer.cluster.cluster_apps_info
"""

EXAMPLES = r"""
- name: Launch what the image brings
  sealer.cluster.cluster_apps:
    description: "{{ preflight_image_info.image.description }}"
    image_digest: "{{ preflight_image_info.image.digest }}"
    manifest: "{{ preflight_image_info.image.rootfs['linux/amd64'].digest }}"
    nodes: [cp1, w1]
  register: launch

- name: Remove what an application had in the last version of the image and has no more
  ansible.builtin.debug:
    msg: "{{ launch.applications | map(attribute='left') | flatten }}"
"""

RETURN = r"""
launched:
  description: The commands that were run, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["web: kubectl apply -f web.yaml"]
applications:
  description:
    - The applications in the cluster, as RV(sealer.cluster.cluster_apps_info#module:applications).
    - After a wait they are as they were in the end, also when it failed.
  returned: where there is a cluster
  type: list
  elements: dict
  sample:
    - name: web
      image: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
      stays: ""
      objects:
        - api_version: apps/v1
          kind: Deployment
          namespace: shop
          name: web
          source: application/apps/web/20-deployment.yaml
          state: current
          why: ""
          pods: []
          events: []
          restarts: 0
      left:
        - api_version: v1
          kind: ConfigMap
          namespace: shop
          name: old-page
          source: application/apps/web/10-config-map.yaml
          why: none of its manifests has it any more
nodes:
  description: Of O(nodes) those that are not ready.
  returned: where there is a cluster
  type: list
  elements: dict
  sample: [{name: w1, why: kubelet stopped posting node status.}]
system:
  description: Workloads in C(kube-system) that are not ready, as RV(sealer.cluster.cluster_apps_info#module:system).
  returned: where there is a cluster
  type: list
  elements: dict
  sample: []
notes:
  description: What is worth knowing of nodes, as pressure, or that one is in no inventory. Each is a warning as well.
  returned: where there is a cluster
  type: list
  elements: str
  sample: ["Node w2 has DiskPressure: kubelet has disk pressure"]
"""

import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    apps,
    apps_plan,
    apps_templates,
    image_files,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_left import warnings_of
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_look import Look
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_record import AppsRecord
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

ARGUMENT_SPEC: Json = {
    "description": {"type": "dict", "required": True},
    "image_digest": {"type": "str", "required": True},
    "manifest": {"type": "str"},
    "reference": {"type": "str"},
    "store": {"type": "path"},
    "host_store": {"type": "path", "default": "/var/lib/sealer/store"},
    "mirrors": {"type": "list", "elements": "str", "default": []},
    "ca_path": {"type": "path"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "files": {"type": "path"},
    "rootfs": {"type": "path", "default": "/var/lib/sealer/rootfs/current"},
    "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
    "env": {"type": "dict", "default": {}},
    "secret_env": {"type": "dict", "default": {}, "no_log": True},
    "launch": {"type": "list", "elements": "str", "default": []},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "members": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 600},
}


def rootfs_of(params: Json, check: bool, scratch: str) -> str:
    """Where the files of the image are; in check mode, those of an image that is not on the host yet are brought."""
    if not check and not os.path.isdir(params["rootfs"]):
        raise ClusterError(
            "the files of the image are not on this host",
            where=params["rootfs"],
            why="the role rootfs did not bring them, or another run brought another image meanwhile",
            fix="Run this again while no other run is at this cluster",
        )
    if not check or not params["manifest"]:
        return str(params["rootfs"])
    manifest = Digest.parse(params["manifest"])
    if os.path.basename(os.path.realpath(params["rootfs"])) == manifest.hex and os.path.isdir(params["rootfs"]):
        return str(params["rootfs"])
    if params["files"]:
        return image_files.unpack_archive(params["files"], scratch)
    access = {name: params[name] for name in ("username", "password", "ca_path")}
    source = Source(
        Reference.parse(params["reference"] or "unnamed"),
        store=params["host_store"],
        registries=[Registry(url, **access) for url in params["mirrors"]],
    )
    try:
        return image_files.unpack(
            source, manifest, apps_plan.files_of(params["description"], params["launch"]), scratch
        )
    except ClusterError as error:
        raise ClusterError(
            "what the image would change cannot be told, for its files are not to be had",
            why=str(error),
            fix="Pull or load the image into the store on the controller (apps_store), and run this again",
        ) from error


def environment(params: Json) -> t.Dict[str, str]:
    return {
        **apps_plan.environment("env", params["env"]),
        **apps_plan.environment("secret_env", params["secret_env"]),
    }


def planned(params: Json, rootfs: str, filled: str = "") -> t.List[apps_plan.Step]:
    return apps_plan.plan(
        params["description"],
        rootfs=rootfs,
        image_digest=params["image_digest"],
        env=environment(params),
        launch=params["launch"],
        filled=filled,
    )


def launch(module: AnsibleModule, kubectl: Kubectl, scratch: str) -> Json:
    """Launch what is to be launched, and look what came of it. scratch: a directory for what check mode brings."""
    params, run = module.params, module_runner(module)
    if not os.path.exists(params["kubeconfig"]):
        if not module.check_mode:
            raise ClusterError(
                "there is no cluster on this host",
                where=params["kubeconfig"],
                fix="Run the init entry point of the runtime's role first",
            )
        return result_of(apps.planned(planned(params, params["rootfs"])))
    if module.check_mode and not params["manifest"]:
        module.warn(f"Without manifest, the files in {params['rootfs']} are read, which may be of an earlier image")
    record = AppsRecord.load(kubectl)
    environs = apps_plan.environs_of(params["description"], environment(params), params["launch"])
    rootfs = rootfs_of(params, module.check_mode, scratch)
    filled = apps_templates.filled_in(rootfs, environs, scratch)
    steps = planned(params, rootfs, filled)
    launcher = apps.Launcher(
        run,
        kubectl,
        record,
        roots=[*([filled] if filled else []), rootfs],
        programs=params["rootfs"],
        image_digest=params["image_digest"],
        timeout=params["wait_timeout"],
        check=module.check_mode,
    )
    outcome = launcher.launch(steps)
    record.finish(params["description"], params["image_digest"], steps, chosen=bool(params["launch"]))
    if not module.check_mode:
        record.save(kubectl)
    look = Look(kubectl, record, restarts=bool(outcome.launched))
    seen = look.at({step.owner for step in steps}, params["nodes"], params["members"])
    if not module.check_mode:
        record.save(kubectl)
    return {**result_of(outcome), **seen}


def result_of(outcome: apps.Outcome) -> Json:
    return {
        "changed": bool(outcome.launched),
        "launched": outcome.launched,
        "diff": {"before": "".join(outcome.before), "after": "".join(outcome.after)},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, required_together=[("username", "password")], supports_check_mode=True
    )
    kubectl = Kubectl(module_runner(module), module.params["kubeconfig"])
    try:
        with tempfile.TemporaryDirectory(prefix="sealer-apps-") as scratch:
            result = launch(module, kubectl, scratch)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in [*warnings_of(result.get("applications", [])), *result.get("notes", [])]:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
