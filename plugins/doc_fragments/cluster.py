# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what a cluster is meant to be (module_utils/_argspec.py, CLUSTER_SPEC)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the cluster.
    type: str
    required: true
  image:
    description: The cluster image that this cluster is made from, for the record. Not given where it is made from none.
    type: dict
    suboptions:
      reference:
        description: Name of the image.
        type: str
        required: true
      digest:
        description: Digest of the image.
        type: str
        required: true
  version:
    description: Version of the runtime, as the label C(io.sealer.runtime.version) of the image has it.
    type: str
    required: true
  endpoint:
    description: Address and port under which all nodes reach the API server.
    type: str
    required: true
  control_planes:
    description: Names of the control planes that the cluster is meant to have, for the record.
    type: list
    elements: str
    default: []
  workers:
    description: Names of the workers that the cluster is meant to have, for the record.
    type: list
    elements: str
    default: []
  addresses:
    description:
      - Addresses of the cluster's hosts by name in the inventory, for the record. A later run with C(--limit) reads
        there where the hosts are that it leaves out. An address stays recorded until there is another for that name.
    type: dict
    default: {}
  pod_subnet:
    description: Networks of pods, separated by commas, for the record.
    type: str
    default: ""
  service_subnet:
    description: Networks of Services, separated by commas, for the record.
    type: str
    default: ""
"""
