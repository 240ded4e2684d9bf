#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_info
short_description: Tell what a mirror has and what it has done
version_added: 0.1.0
author:
  - sealer.cluster contributors (@sealerio)
description:
  - Tells what is in the store of a mirror that runs on this host, how much room it takes, and how much the mirror has
    saved since it was started.
  - The mirror need not run, and there need not be a store.
options:
  store:
    description:
      - Directory of the mirror's store.
    type: path
    default: /var/lib/sealer/store
  url:
    description:
      - Where the mirror answers.
    type: str
    default: https://127.0.0.1:5000
  ca_path:
    description:
      - Certificate of the CA to trust there; those of the host unless set.
    type: path
  timeout:
    description:
      - How many seconds the mirror has for an answer.
    type: int
    default: 10
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: sealer.cluster.registry_prune
"""

EXAMPLES = r"""
- name: Look at the mirror
  sealer.cluster.registry_info:
    ca_path: /etc/sealer/pki/ca.crt
  register: mirror

- name: Show how much it has saved
  ansible.builtin.debug:
    msg: "{{ mirror.service.bytes_saved | human_readable }} saved, {{ mirror.pulled.bytes | human_readable }} cached"
  when: mirror.service.running
"""

RETURN = r"""
exists:
  description: Whether there is a store.
  returned: success
  type: bool
  sample: true
names:
  description:
    - What is there for good, by name. C(kind) is V(cluster-image) or V(container-image), which may be one inside a
      cluster image or one that was pushed.
  returned: success
  type: list
  elements: dict
  sample:
    - name: registry.k8s.io/pause:3.10.1
      digest: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      kind: container-image
tags:
  description:
    - Tags that were pulled through, with what they were when the upstream C(from) was asked last, at C(checked) in
      seconds since 1970.
  returned: success
  type: list
  elements: dict
  sample:
    - name: docker.io/library/nginx:1.29
      digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
      checked: 1795276800
      from: https://registry-1.docker.io
pulled:
  description: How much is here of what was pulled through, as a whole and by where it came from.
  returned: success
  type: dict
  sample:
    blobs: 12
    bytes: 73400320
    origins:
      docker.io:
        blobs: 12
        bytes: 73400320
store:
  description: How much there is as a whole, and the disk that it is on.
  returned: success
  type: dict
  sample:
    blobs: 120
    bytes: 524288000
    disk_bytes: 107374182400
    disk_free_bytes: 53687091200
service:
  description:
    - The mirror's own numbers, since it was started. Nothing but C(running) and C(error) where it does not answer.
  returned: success
  type: dict
  contains:
    running:
      description: Whether it answers.
      type: bool
      sample: true
    healthy:
      description: Whether it says that it is healthy.
      type: bool
      sample: true
    error:
      description: Why it does not answer, or has no numbers; empty when all is well.
      type: str
      sample: ""
    requests:
      description: Requests answered.
      type: int
      sample: 18204
    hits:
      description: Answers with content that was here.
      type: int
      sample: 9100
    misses:
      description: Answers with content that was fetched because of them.
      type: int
      sample: 24
    bytes_served:
      description: Bytes of these answers.
      type: int
      sample: 9663676416
    bytes_fetched:
      description: Bytes that were fetched from upstreams, parents and other mirrors.
      type: int
      sample: 73400320
    bytes_saved:
      description: Bytes that were served without being fetched.
      type: int
      sample: 9590276096
    blobs_evicted:
      description: Blobs dropped to make room.
      type: int
      sample: 0
    bytes_evicted:
      description: Bytes of these blobs.
      type: int
      sample: 0
    blobs_scrubbed:
      description: Blobs hashed again.
      type: int
      sample: 120
    blobs_broken:
      description: Those of them that were broken.
      type: int
      sample: 0
    registries:
      description: By the registry that clients meant.
      type: dict
      sample:
        docker.io:
          hits: 900
          misses: 24
          bytes_served: 966367641
          coalesced: 3
          stale: 0
    upstreams:
      description: By the upstream, parent or other mirror that was asked; C(failures) are counted by reason.
      type: dict
      sample:
        docker.io:
          fetches: 24
          bytes_fetched: 73400320
          failures:
            timeout: 1
"""

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.report import contents
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics_text import parse, summary

Json = t.Dict[str, t.Any]
Fetch = t.Callable[[str], str]

_MOST_BYTES = 16 * 1024 * 1024


def service(fetch: Fetch) -> Json:
    """What the mirror says of itself."""
    try:
        health = json.loads(fetch("/healthz"))
    except (OSError, ValueError) as error:
        return {"running": False, "error": str(error)}
    found: Json = {"running": True, "healthy": health.get("status") == "ok", "error": ""}
    try:
        found.update(summary(parse(fetch("/metrics"))))
    except (OSError, ValueError) as error:
        found["error"] = f"its metrics cannot be read: {error}"
    return found


def fetcher(params: Json) -> Fetch:
    """Asks the mirror for a path."""

    def fetch(path: str) -> str:
        url = params["url"].rstrip("/") + path
        with open_url(url, timeout=params["timeout"], ca_path=params["ca_path"], use_proxy=False) as answer:
            return t.cast(bytes, answer.read(_MOST_BYTES)).decode("utf-8")

    return fetch


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "default": "/var/lib/sealer/store"},
            "url": {"type": "str", "default": "https://127.0.0.1:5000"},
            "ca_path": {"type": "path"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        result = {**contents(module.params["store"]), "service": service(fetcher(module.params))}
    except (SealerError, OSError) as error:
        module.fail_json(msg=f"The registry cannot be looked at: {error}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
