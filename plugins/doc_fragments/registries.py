# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options of modules that talk to registries (module_utils/_argspec.py, REGISTRY_SPEC)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  registries:
    description: What is special about single registries; a registry that is not listed needs none of it.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Host name of the registry as it stands in references, with its port if that is not 443.
        type: str
        required: true
      username:
        description: User to log in as. Beats what the O(authfile) says.
        type: str
      password:
        description: Password or token of that user.
        type: str
      ca_path:
        description: File with the certificate authorities to trust for this registry.
        type: path
      client_cert:
        description: Client certificate file in PEM form.
        type: path
      client_key:
        description: Key of the client certificate.
        type: path
      insecure:
        description: Accept certificates that cannot be verified, and plain HTTP where the registry speaks no TLS.
        type: bool
        default: false
      mirrors:
        description: Registries to ask first, in this order; a path after the host is put before the repository.
        type: list
        elements: str
        default: []
  authfile:
    description:
      - File with logins, as written by C(docker login), C(podman login) or C(skopeo login).
        Credential helpers named in it are used.
      - Without it, E(REGISTRY_AUTH_FILE), C(${XDG_RUNTIME_DIR}/containers/auth.json) and C(~/.docker/config.json)
        are tried.
    type: path
  parallel:
    description: How many blobs and manifests are transferred at the same time.
    type: int
    default: 8
"""
