#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_request
short_description: Make a private key, and ask for a certificate
version_added: 0.1.0
author:
  - sealer.cluster contributors (@sealerio)
description:
  - Makes a private key (EC, P-256) where there is none, readable for its owner alone unless O(group) is set. Returns a
    request to sign it, which M(sealer.cluster.tls_sign) turns into a certificate.
  - Tells whether the certificate that is there is still good. The key never leaves the host.
requirements:
  - openssl >= 1.1.1
options:
  key_path:
    description:
      - The private key. Directories that are missing are made.
    type: path
    required: true
  certificate_path:
    description:
      - The certificate that goes with it, if there is one already.
    type: path
  ca_path:
    description:
      - Certificate of the CA that has to have signed it.
    type: path
  common_name:
    description:
      - Name of the certificate's owner, up to 64 characters.
    type: str
    required: true
  names:
    description:
      - Host names and addresses that the certificate has to be for.
    type: list
    elements: str
    required: true
  renew_days:
    description:
      - A certificate that is good for no more than so many days does not count as valid.
    type: int
    default: 30
  private_key:
    description:
      - A key that was made elsewhere, PEM, to put there instead of making one.
    type: str
  group:
    description:
      - A group that may read the key as well, by name.
    type: str
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
  - module: sealer.cluster.tls_sign
"""

EXAMPLES = r"""
- name: The mirror has a key
  sealer.cluster.tls_request:
    key_path: /etc/sealer/pki/registry.key
    certificate_path: /etc/sealer/pki/registry.crt
    ca_path: /etc/sealer/pki/ca.crt
    common_name: "{{ inventory_hostname }}"
    names:
      - "{{ inventory_hostname }}"
      - "{{ ansible_facts['default_ipv4']['address'] }}"
  register: request
"""

RETURN = r"""
csr:
  description: The request, PEM. Empty in check mode while there is no key.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE REQUEST-----\nMIHs...\n-----END CERTIFICATE REQUEST-----\n"
valid:
  description:
    - Whether the certificate that is there is for this key and these names, signed by the CA, and does not end soon.
  returned: success
  type: bool
  sample: true
not_after:
  description: When the certificate that is there ends, in seconds since 1970; 0 without one.
  returned: success
  type: int
  sample: 1826805210
"""

import grp
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tls import (
    KEY_MODE,
    SHARED_KEY_MODE,
    OpenSsl,
    alternative_names,
    check_common_name,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, SealerError

Result = t.Dict[str, t.Any]


def key_state(path: str, wanted: str) -> Result:
    """What there is to say about the key without telling it."""
    if not os.path.lexists(path):
        return {"key": path, "state": "absent"}
    found = os.stat(path)
    with open(path, encoding="ascii", errors="replace") as stream:
        is_other = bool(wanted) and stream.read().strip() != wanted.strip()
    state = "another" if is_other else "present"
    return {"key": path, "state": state, "mode": f"{found.st_mode & 0o7777:04o}", "group": _group_name(found.st_gid)}


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise MirrorError(f"there is no group {name}", fix="Make it, or name another one.") from None


def certificate_state(openssl: OpenSsl, params: Result, names: t.Tuple[str, ...]) -> Result:
    """Whether the certificate is good for this key, which is there."""
    path, ca_path = params["certificate_path"], params["ca_path"]
    found = openssl.certificate(path) if path else None
    if found is None:
        return {"valid": False, "not_after": 0}
    valid = found.serves(names, openssl.public_key(params["key_path"]), params["renew_days"])
    signed = not ca_path or (os.path.isfile(ca_path) and openssl.is_signed(path, ca_path))
    return {"valid": valid and signed, "not_after": found.not_after}


def run(openssl: OpenSsl, params: Result, check_mode: bool) -> Result:
    """Make what is missing, and tell."""
    key = params["key_path"]
    names = alternative_names(params["names"])
    name = check_common_name(params["common_name"])
    given, group = params["private_key"] or "", params["group"] or _group_name(os.getegid())
    before = key_state(key, given)
    mode = SHARED_KEY_MODE if params["group"] else KEY_MODE
    after = {"key": key, "state": "present", "mode": f"{mode:04o}", "group": group}
    if not check_mode and before != after:
        gid = _group_id(group) if params["group"] else os.getegid()
        if given and before["state"] != "present":
            openssl.put_key(key, given if given.endswith("\n") else f"{given}\n")
        elif before["state"] == "absent":
            openssl.make_key(key)
        os.chown(key, -1, gid)
        os.chmod(key, mode)
    result: Result = {"changed": before != after, "diff": {"before": before, "after": after}, "csr": ""}
    if not os.path.lexists(key):
        return {**result, "valid": False, "not_after": 0}
    return {**result, "csr": openssl.request(key, name), **certificate_state(openssl, params, names)}


def main() -> None:
    """The module."""
    module = AnsibleModule(
        argument_spec={
            "key_path": {"type": "path", "required": True, "no_log": False},
            "certificate_path": {"type": "path"},
            "ca_path": {"type": "path"},
            "common_name": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "renew_days": {"type": "int", "default": 30},
            "private_key": {"type": "str", "no_log": True},
            "group": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(OpenSsl(module_runner(module)), module.params, module.check_mode))
    except (SealerError, OSError) as error:
        module.fail_json(msg=f"No key or request for {module.params['key_path']}: {error}")


if __name__ == "__main__":
    main()
