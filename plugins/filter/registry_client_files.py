# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of container engines that take images from mirrors."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.plugin_utils import _containerd_config
from ansible_collections.sealer.cluster.plugins.plugin_utils._registry_clients import (
    Existing,
    File,
    Settings,
    containers_files,
    crio_files,
    docker_files,
    hosts_files,
    k0s_files,
    k3s_files,
)

DOCUMENTATION = r"""
name: registry_client_files
short_description: The files that let container engines take images from mirrors
version_added: 0.1.0
description:
  - What each engine has to be told, from one description. Files that several engines read are there once.
author:
  - sealer.cluster contributors (@sealerio)
positional: engines, existing, modes
options:
  _input:
    description:
      - The settings. There has to be a mirror or a registry.
      - C(mirrors) are URLs that have the images of all registries, as the role registry runs them.
      - C(registries) are registries with places of their own, by name; a place is C(HOST[:PORT][/PATH]), or a list of
        them, as in RV(sealer.cluster.image_sync#module:registries).
      - C(path_registries) are the registries whose images podman, buildah, skopeo and CRI-O take from the mirrors.
      - C(airgap), V(true) by default, tells to ask nobody else.
      - C(ca_certificate) is the certificate authority to trust in PEM form, C(ca_path) where its file is put.
      - C(username) and C(password) log in at all of these places.
      - C(dial_timeout) is how long containerd 2.1 and newer waits for a connection, for instance V(3s).
      - C(k0s_config_version) is V(2) up to k0s 1.35 and V(3) from 1.36 on.
    type: dict
    required: true
  engines:
    description:
      - The engines, out of C(containerd), C(containers), which is podman, buildah and skopeo, C(crio), C(docker),
        C(k0s) and C(k3s).
    type: list
    elements: str
    required: true
  existing:
    description:
      - By path, the content of files that are not only ours, C(/etc/containerd/config.toml),
        C(/etc/docker/daemon.json) and C(/root/.config/containers/auth.json). What is missing does not exist.
    type: dict
    default: {}
  modes:
    description: By path, the modes of these files, in octal digits, to be kept.
    type: dict
    default: {}
seealso:
  - plugin: sealer.cluster.containerd_hosts
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what k3s would be told
  ansible.builtin.debug:
    msg: "{{ {'mirrors': ['https://10.0.0.11:5000']} | sealer.cluster.registry_client_files(['k3s']) }}"
"""

RETURN = r"""
_value:
  description: Files, as M(sealer.cluster.host_config) takes them.
  type: list
  elements: dict
  sample:
    - path: /etc/rancher/k3s/registries.yaml
      content: 'mirrors: {"*": {endpoint: ["https://10.0.0.11:5000"]}}'
      mode: "0644"
      sensitive: false
"""


def _containerd_files(settings: Settings, existing: t.Mapping[str, t.Any]) -> list[File]:
    before = Existing.of(existing, _containerd_config.PATH)
    content, directory = _containerd_config.with_hosts_directory(before.content)
    config = {"path": _containerd_config.PATH, "content": content, "mode": before.mode, "sensitive": before.secret}
    return [config, *hosts_files(settings, directory)]


ENGINES: dict[str, t.Callable[[Settings, t.Mapping[str, t.Any]], list[File]]] = {
    "containerd": _containerd_files,
    "containers": containers_files,
    "crio": lambda settings, _existing: crio_files(settings),
    "docker": docker_files,
    "k0s": lambda settings, _existing: k0s_files(settings),
    "k3s": lambda settings, _existing: k3s_files(settings),
}


def registry_client_files(
    settings: t.Any,
    engines: t.Sequence[str],
    existing: t.Optional[t.Mapping[str, str]] = None,
    modes: t.Optional[t.Mapping[str, str]] = None,
) -> list[File]:
    """The files for these settings and engines."""
    if isinstance(engines, str) or not engines or not set(engines) <= set(ENGINES):
        raise AnsibleFilterError(f"registry_client_files wants a list of engines out of {', '.join(sorted(ENGINES))}")
    try:
        parsed = Settings.parse(settings)
        here = {
            path: {"content": content, "mode": (modes or {}).get(path)} for path, content in (existing or {}).items()
        }
        files = [file for engine in engines for file in ENGINES[engine](parsed, here)]
    except SealerError as error:
        raise AnsibleFilterError(f"registry_client_files: {error}") from error
    return list({file["path"]: file for file in files}.values())


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[File]]]:
        return {"registry_client_files": registry_client_files}
