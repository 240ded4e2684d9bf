# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""hosts.toml files of containerd."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.plugin_utils._registry_clients import (
    CONTAINERD_HOSTS,
    File,
    Settings,
    hosts_files,
)

DOCUMENTATION = r"""
name: containerd_hosts
short_description: The hosts.toml files that let containerd take images from mirrors
version_added: 0.1.0
description:
  - One C(_default/hosts.toml) for the mirrors of all registries, one more for each registry that has a place of its
    own, and the file of the certificate authority.
author:
  - sealer.cluster contributors (@sealerio)
positional: directory
options:
  _input:
    description: The settings, see P(sealer.cluster.registry_client_files#filter).
    type: dict
    required: true
  directory:
    description: The directory of the files.
    type: str
    default: /etc/containerd/certs.d
seealso:
  - plugin: sealer.cluster.registry_client_files
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Send containerd to a mirror
  sealer.cluster.host_config:
    owner: mirrors
    files: "{{ {'mirrors': ['https://10.0.0.11:5000']} | sealer.cluster.containerd_hosts }}"
"""

RETURN = r"""
_value:
  description: Files, as M(sealer.cluster.host_config) takes them.
  type: list
  elements: dict
  sample:
    - path: /etc/containerd/certs.d/_default/hosts.toml
      content: 'server = "https://10.0.0.11:5000"'
      mode: "0644"
      sensitive: false
"""


def containerd_hosts(settings: t.Any, directory: str = CONTAINERD_HOSTS) -> list[File]:
    """The files for these settings."""
    try:
        return hosts_files(Settings.parse(settings), directory)
    except SealerError as error:
        raise AnsibleFilterError(f"containerd_hosts: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[File]]]:
        return {"containerd_hosts": containerd_hosts}
