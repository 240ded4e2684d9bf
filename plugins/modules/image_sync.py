#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images into another registry, and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_sync
short_description: Bring the container images of a store into another registry, or back
description:
  - Sends the container images of cluster images, or any images of a store, to another registry under names that rules
    make, byte for byte, so that digests stay. Each layer is sent once to a registry, however many images have it.
  - What the registry has is not sent again. No name is given before all that belongs to it is there.
  - With O(direction=pull), images come from there into the store, under the names that they had before the rules.
author:
  - sealer.cluster contributors (@sealerio)
version_added: 0.1.0
requirements:
  - urllib3 >= 2.0, < 3
extends_documentation_fragment:
  - sealer.cluster.attributes
  - sealer.cluster.store
  - sealer.cluster.registries
attributes:
  check_mode:
    support: full
    details: The registry is asked for what the names stand for there and nothing else.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  names:
    description:
      - Names of images. A cluster image's name stands for the container images inside it, see O(cluster_images).
      - When empty, all container images of the store are sent. With O(direction=pull) there has to be at least one, and
        a cluster image's name stands for itself.
    type: list
    elements: str
    default: []
  cluster_images:
    description:
      - Whether cluster images are sent themselves as well, as one artifact with all in it, so that hosts can take their
        root file systems from there, and O(direction=pull) can bring them back. Rules name them like other images.
      - M(sealer.cluster.image_push) sends a single one, without its container images under names of their own.
    type: bool
    default: false
  destination:
    description: The other registry, as C(HOST[:PORT][/PATH]).
    type: str
    required: true
  rules:
    description:
      - How images are called there. The first rule that matches an image names it.
      - An image that none matches becomes C({destination}/{registry}/{repository}) with its own tag, so
        C(quay.io/a/b:1) becomes C(harbor.example.com/site/quay.io/a/b:1) with O(destination=harbor.example.com/site).
      - It is an error when two images would get one name.
    type: list
    elements: dict
    default: []
    suboptions:
      match:
        description:
          - A pattern for all of the image's registry and repository, as in C(docker.io/library/*). A C(*) stands for
            any characters, C(?) for one.
          - After C(~), a regular expression.
        type: str
        required: true
      to:
        description:
          - The name there. Its fields are C({destination}), C({registry}), C({repository}), C({name}), which is the
            repository's last part, C({tag}), and C({1}), C({2}) and so on for what each C(*) and C(?), or each group of
            the regular expression, stood for. Groups with names are fields of these names.
          - In C({registry}), a character that cannot stand in a repository becomes a C(-).
          - Without a tag, the image's own is kept. When empty, these images are left out.
        type: str
        default: ""
  direction:
    description: V(push) sends images of the store, V(pull) brings images into the store.
    type: str
    choices: [push, pull]
    default: push
  platforms:
    description: With O(direction=pull), the platforms to bring, for instance C(linux/amd64); all there are when empty.
    type: list
    elements: str
    default: []
  incomplete:
    description:
      - What is sent for an index that names images of platforms that the store does not have.
      - V(reduce) sends the image itself when it is here for one platform, else an index of those that are here. Every
        registry takes that. It is an error for a name that is pinned to the index's digest.
      - V(keep) sends the index as it is. Many registries refuse it then; zot and quay take it, and distribution 3 where
        its C(validation) is off.
    type: str
    choices: [reduce, keep]
    default: reduce
seealso:
  - module: sealer.cluster.image_push
  - module: sealer.cluster.image_pull
"""

EXAMPLES = r"""
---
- name: Send the container images of a cluster image to Harbor
  sealer.cluster.image_sync:
    names: [registry.example.com/clusters/shop:1.0]
    destination: harbor.example.com/site
    registries:
      - host: harbor.example.com
        username: robot
        password: "{{ vault_harbor_password }}"

- name: The same with other names for some of them, and without others
  sealer.cluster.image_sync:
    names: [registry.example.com/clusters/shop:1.0]
    destination: harbor.example.com/site
    rules:
      - match: docker.io/library/*
        to: "{destination}/hub/{1}"
      - match: ~quay\.io/(?P<team>[^/]+)/.*
        to: "harbor.example.com/{team}/{name}:{tag}"
      - match: registry.example.com/internal/*

- name: Bring an image back
  sealer.cluster.image_sync:
    direction: pull
    names: [registry.k8s.io/pause:3.10.1]
    destination: harbor.example.com/site
"""

RETURN = r"""
images:
  description: The images, in the order of their names.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: Its name in the store.
      type: str
      sample: registry.k8s.io/pause:3.10.1
    destination:
      description: Its name in the other registry.
      type: str
      sample: harbor.example.com/site/registry.k8s.io/pause:3.10.1
    digest:
      description: What the names stand for afterwards.
      type: str
      sample: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    size:
      description: Bytes of all that belongs to it; null in check mode with O(direction=pull), before it is here.
      type: int
      sample: 320000
    action:
      description: What happened to its name, V(added), V(changed) or V(unchanged).
      type: str
      sample: added
left_out:
  description: Images that a rule leaves out.
  returned: success
  type: list
  elements: str
  sample: [registry.example.com/internal/tool:1]
registries:
  description:
    - By registry of container images, what stands in front of its repositories in the other one; null where rules do
      not only put something in front. The role registry_client takes it to send clients there.
  returned: success
  type: dict
  sample: {registry.k8s.io: harbor.example.com/site/registry.k8s.io}
stats:
  description: What it took.
  returned: success
  type: dict
  contains:
    bytes_pushed:
      description: Bytes that were sent.
      type: int
      sample: 524288000
    bytes_mounted:
      description: Bytes that the registry took from another of its repositories.
      type: int
      sample: 0
    bytes_downloaded:
      description: Bytes that came.
      type: int
      sample: 0
    bytes_reused:
      description: Bytes that were where they should be.
      type: int
      sample: 73400320
    requests:
      description: HTTP requests that were sent.
      type: int
      sample: 42
    seconds:
      description: Time that it took.
      type: float
      sample: 12.5
diff:
  description: The digests that the names stand for.
  returned: success
  type: dict
  sample:
    before: {harbor.example.com/site/quay.io/a/b:1: null}
    after:
      harbor.example.com/site/quay.io/a/b:1: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import (
    REGISTRY_SPEC,
    STORE_SPEC,
    ArgumentSpec,
    merged,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import total_size
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import HAS_URLLIB3, URLLIB3_IMPORT_ERROR
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.name_map import (
    Destinations,
    NameMap,
    Rule,
    prefixes,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import from_environment
from ansible_collections.sealer.cluster.plugins.module_utils._oci.sync import (
    Incoming,
    Outgoing,
    Sent,
    fetch,
    plan_fetch,
    plan_send,
    send,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.sync_plan import KEEP, REDUCE, named_images
from ansible_collections.sealer.cluster.plugins.module_utils._registries import registry_client

SPEC: ArgumentSpec = {
    "names": {"type": "list", "elements": "str", "default": []},
    "cluster_images": {"type": "bool", "default": False},
    "destination": {"type": "str", "required": True},
    "rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"match": {"type": "str", "required": True}, "to": {"type": "str", "default": ""}},
    },
    "direction": {"type": "str", "choices": ["push", "pull"], "default": "push"},
    "platforms": {"type": "list", "elements": "str", "default": []},
    "incomplete": {"type": "str", "choices": [REDUCE, KEEP], "default": REDUCE},
}
Result = t.Dict[str, t.Any]


def push_images(client: RegistryClient, params: t.Mapping[str, t.Any], mapping: NameMap, check_mode: bool) -> Result:
    """Send what the registry has not; gives what the module returns."""
    layout = Layout.open(params["store"] or default_store())
    with layout.session():
        how = (params["incomplete"], params["parallel"])
        images, places = plan_send(client, layout, params["names"], mapping, *how, whole=params["cluster_images"])
        inside = named_images(layout, params["names"])
        sent = Sent()
        if not check_mode:
            progress = from_environment("sending")
            sent = send(client, layout, images, params["parallel"], progress)
            progress.done()
    return {
        **_told(images, places, [(image.tree.top.digest, image.tree.size) for image in images], "destination"),
        "registries": prefixes({source: place for source, place in places.items() if source in inside}),
        "stats": {
            "bytes_pushed": sent.pushed,
            "bytes_mounted": sent.mounted,
            "bytes_downloaded": 0,
            "bytes_reused": sent.reused,
        },
    }


def pull_images(client: RegistryClient, params: t.Mapping[str, t.Any], mapping: NameMap, check_mode: bool) -> Result:
    """Bring what the store has not; gives what the module returns."""
    if not params["names"]:
        raise OciError("there is nothing to pull", why="`names` is empty", fix="Name the images.")
    platforms = [Platform.parse(text) for text in params["platforms"]]
    store = params["store"] or default_store()
    layout = Layout.open(store) if Layout.exists(store) else None
    images, places = plan_fetch(client, layout, params["names"], mapping, platforms, params["parallel"])
    reused, before = 0, client.bytes_downloaded
    if not check_mode and any(image.wanted for image in images):
        layout = Layout.open(store, create=True)
        progress = from_environment("fetching")
        reused = fetch(client, layout, images, platforms, params["parallel"], progress)
        progress.done()
    entries = layout.names() if layout is not None else {}
    states = []
    for image in images:
        entry = entries.get(str(image.source))
        known = layout is not None and entry is not None and not (check_mode and image.wanted)
        digest = image.there.digest if image.wanted or entry is None else entry.digest
        states.append((digest, total_size(layout, entry) if known and layout and entry else None))
    return {
        **_told(images, places, states, "source"),
        "stats": {
            "bytes_pushed": 0,
            "bytes_mounted": 0,
            "bytes_downloaded": client.bytes_downloaded - before,
            "bytes_reused": reused,
        },
    }


def _told(
    images: t.Sequence[t.Union[Outgoing, Incoming]],
    places: Destinations,
    states: t.Sequence[t.Tuple[t.Any, t.Optional[int]]],
    changing: str,
) -> Result:
    """What both directions return; `changing` says which of the two names gets a new meaning."""
    told = [
        {
            "source": str(image.source),
            "destination": str(image.destination),
            "digest": str(digest),
            "size": size,
            "action": ("added" if image.before is None else "changed") if image.wanted else "unchanged",
        }
        for image, (digest, size) in zip(images, states)
    ]
    before = [str(image.before) if image.before else None for image in images]
    return {
        "changed": any(image.wanted for image in images),
        "images": told,
        "left_out": [str(source) for source, place in places.items() if place is None],
        "registries": prefixes(places),
        "diff": {
            "before": {one[changing]: digest for one, digest in zip(told, before)},
            "after": {one[changing]: one["digest"] for one in told},
        },
    }


def sync(client: RegistryClient, params: t.Mapping[str, t.Any], check_mode: bool) -> Result:
    """Do as the options say; gives what the module returns."""
    started = time.monotonic()
    mapping = NameMap(params["destination"], [Rule(rule["match"], rule["to"] or "") for rule in params["rules"]])
    work = push_images if params["direction"] == "push" else pull_images
    result = work(client, params, mapping, check_mode)
    result["stats"].update(requests=client.requests, seconds=round(time.monotonic() - started, 3))
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, REGISTRY_SPEC, SPEC), supports_check_mode=True)
    if not HAS_URLLIB3:
        module.fail_json(msg=missing_required_lib("urllib3>=2.0,<3"), exception=URLLIB3_IMPORT_ERROR)
    try:
        with registry_client(module.params) as client:
            result = sync(client, module.params, module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
