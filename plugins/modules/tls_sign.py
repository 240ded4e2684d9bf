#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_sign
short_description: Sign a certificate with the cluster's own CA
version_added: 0.1.0
author:
  - sealer.cluster contributors (@sealerio)
description:
  - Signs a request of M(sealer.cluster.tls_request). The CA is made where there is none; its key stays on this host, so
    the task is to be delegated to one and the same host for a whole cluster.
  - A certificate that was signed before is returned again as long as it is for the same key and the same names and does
    not end soon.
  - Key and CA are EC (P-256). Certificates are for servers and clients.
requirements:
  - openssl >= 1.1.1
options:
  csr:
    description:
      - The request, PEM. Empty is allowed in check mode only.
    type: str
    required: true
  common_name:
    description:
      - Name of the certificate's owner; the request has to be for it.
    type: str
    required: true
  names:
    description:
      - Host names and addresses that the certificate is for. Names inside the request do not count.
    type: list
    elements: str
    required: true
  directory:
    description:
      - Where the CA is kept, with C(ca.key), C(ca.crt), and what it signed in C(issued).
    type: path
    default: /etc/sealer/pki
  ca_name:
    description:
      - Common name of a CA that is made.
    type: str
    default: sealer CA
  ca_days:
    description:
      - How long a CA that is made is good for.
    type: int
    default: 3650
  days:
    description:
      - How long a certificate is good for.
    type: int
    default: 365
  renew_days:
    description:
      - A certificate that is good for no more than so many days is replaced.
    type: int
    default: 30
  replace_lost_ca:
    description:
      - Where the CA's certificate is in O(directory) and its key is not, as after the loss of the host that had it,
        make a new CA. Everybody who trusts the old one has to be given the new one.
    type: bool
    default: false
  ca_certificate:
    description:
      - Certificate of a CA that was made elsewhere, PEM.
    type: str
  ca_private_key:
    description:
      - Key of this CA, PEM. Both are put into O(directory), and sign from then on.
    type: str
  certificate:
    description:
      - A certificate that was made elsewhere, PEM, with the intermediate ones behind it. Nothing is signed and nothing
        is written. It has to be for the key of the request, not ended, and signed by O(ca_certificate).
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
notes:
  - Who has C(ca.key) can make certificates that all nodes of the cluster trust when they pull images.
seealso:
  - module: sealer.cluster.tls_request
"""

EXAMPLES = r"""
- name: The mirror has a certificate
  sealer.cluster.tls_sign:
    csr: "{{ request.csr }}"
    common_name: "{{ inventory_hostname }}"
    names:
      - "{{ inventory_hostname }}"
      - "{{ ansible_facts['default_ipv4']['address'] }}"
    ca_name: sealer CA shop
  delegate_to: "{{ groups['sealer_registry'] | first }}"
  register: signed
"""

RETURN = r"""
certificate:
  description: The certificate, PEM. In check mode, the one that is there; empty when there is none.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----\nMIIB...\n-----END CERTIFICATE-----\n"
ca_certificate:
  description: The CA's certificate, PEM. Empty in check mode while there is none.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----\nMIIB...\n-----END CERTIFICATE-----\n"
not_after:
  description: When the certificate ends, in seconds since 1970; 0 without one.
  returned: success
  type: int
  sample: 1826805210
"""

import contextlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tls import (
    OpenSsl,
    alternative_names,
    check_common_name,
    exclusive,
    make_directory,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, SealerError

Result = t.Dict[str, t.Any]


class Signer:
    """One request, and the CA that answers it."""

    def __init__(self, openssl: OpenSsl, params: Result, check_mode: bool) -> None:
        self._openssl = openssl
        self._params = params
        self._check_mode = check_mode
        self._name = check_common_name(params["common_name"])
        self._names = alternative_names(params["names"])
        directory = params["directory"]
        self._ca_key = os.path.join(directory, "ca.key")
        self._ca = os.path.join(directory, "ca.crt")
        self._issued = os.path.join(directory, "issued", f"{self._name}.crt")

    def run(self) -> Result:
        """Make what is missing, and tell."""
        before = self._state()
        after = {**before, "ca": {"path": self._ca, "state": "present"}}
        is_new = before["ca"]["state"] == "another"
        if is_new or not self._is_good():
            wanted = {"names": list(self._names), "days": self._params["days"]}
            after["certificate"] = {"path": self._issued, "state": "present", **wanted}
        if not self._check_mode and before != after:
            self._make()
        found = self._openssl.certificate(self._issued)
        return {
            "changed": before != after,
            "diff": {"before": before, "after": after},
            "certificate": _text(self._issued),
            "ca_certificate": _text(self._ca),
            "not_after": found.not_after if found else 0,
        }

    def given(self) -> Result:
        """Look at a certificate that was made elsewhere."""
        text, ca = self._params["certificate"], self._params["ca_certificate"]
        found = self._openssl.given(text, ca)
        if self._params["csr"] and found.public_key != self._openssl.requested_key(self._params["csr"], self._name):
            raise MirrorError(
                "the certificate that was given is for another key", fix="Give the key that goes with it."
            )
        if found.days_left() <= 0:
            raise MirrorError("the certificate that was given has ended", fix="Give a new one.")
        state = {"certificate": {"names": list(found.names), "not_after": found.not_after}}
        missing = [name for name in self._names if name not in found.names]
        warnings = [f"The certificate that was given is not for {', '.join(missing)}"] if missing else []
        diff = {"before": state, "after": state}
        told = {"certificate": text, "ca_certificate": ca, "not_after": found.not_after, "warnings": warnings}
        return {"changed": False, "diff": diff, **told}

    def _lost(self) -> str:
        """Why nobody can sign with the CA whose certificate is here; empty where that is possible."""
        if not os.path.lexists(self._ca) or self._params["ca_private_key"]:
            return ""
        if not os.path.lexists(self._ca_key):
            return "the CA's key is missing"
        found = self._openssl.certificate(self._ca)
        is_another = found is not None and found.public_key != self._openssl.public_key(self._ca_key)
        return "the CA's key is that of another CA" if is_another else ""

    def _state(self) -> Result:
        has_given = bool(self._params["ca_private_key"])
        lost = self._lost()
        if lost and not self._params["replace_lost_ca"]:
            raise MirrorError(
                lost,
                where=self._ca_key,
                why=f"there is {self._ca}",
                fix="Run this for all hosts, without --limit, so that a new CA is made and all nodes get it; or put the"
                " key back.",
            )
        found = self._openssl.certificate(self._issued)
        certificate: Result = {"path": self._issued, "state": "absent"}
        if found is not None:
            certificate = {"path": self._issued, "state": "present", "names": list(found.names)}
            certificate["not_after"] = found.not_after
        ca = "present" if os.path.lexists(self._ca) else "absent"
        if lost or (has_given and ca == "present" and not self._is_given_ca()):
            ca = "another"
        return {"ca": {"path": self._ca, "state": ca}, "certificate": certificate}

    def _is_good(self) -> bool:
        request = self._params["csr"]
        found = self._openssl.certificate(self._issued)
        if not request:
            if not self._check_mode:
                raise MirrorError("the certificate request is empty")
            return False
        key = self._openssl.requested_key(request, self._name)
        return (
            found is not None
            and found.serves(self._names, key, self._params["renew_days"])
            and os.path.isfile(self._ca)
            and self._openssl.is_signed(self._issued, self._ca)
        )

    def _is_given_ca(self) -> bool:
        wanted = ((self._ca_key, "ca_private_key"), (self._ca, "ca_certificate"))
        return all(_text(path).strip() == self._params[option].strip() for path, option in wanted)

    def _make(self) -> None:
        if self._lost():
            os.unlink(self._ca)
        if self._params["ca_private_key"] and not self._is_given_ca():
            texts = (self._params["ca_private_key"].strip() + "\n", self._params["ca_certificate"].strip() + "\n")
            self._openssl.put_ca(self._ca_key, self._ca, texts)
        if not os.path.lexists(self._ca_key):
            self._openssl.make_key(self._ca_key)
        if not os.path.lexists(self._ca):
            name = check_common_name(self._params["ca_name"])
            self._openssl.make_ca(self._ca_key, self._ca, name, self._params["ca_days"])
        if not self._is_good():
            days = self._params["days"]
            self._openssl.sign(self._params["csr"], (self._ca_key, self._ca), self._issued, self._names, days)


def _text(path: str) -> str:
    if not os.path.lexists(path):
        return ""
    with open(path, encoding="ascii") as stream:
        return stream.read()


def run(openssl: OpenSsl, params: Result, check_mode: bool) -> Result:
    """Sign, one at a time: the hosts of a cluster come here in parallel."""
    if params["certificate"]:
        return Signer(openssl, params, check_mode).given()
    with contextlib.ExitStack() as stack:
        if not check_mode:
            make_directory(params["directory"])
            stack.enter_context(exclusive(params["directory"]))
        return Signer(openssl, params, check_mode).run()


def main() -> None:
    """The module."""
    module = AnsibleModule(
        argument_spec={
            "csr": {"type": "str", "required": True},
            "common_name": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "directory": {"type": "path", "default": "/etc/sealer/pki"},
            "ca_name": {"type": "str", "default": "sealer CA"},
            "ca_days": {"type": "int", "default": 3650},
            "days": {"type": "int", "default": 365},
            "renew_days": {"type": "int", "default": 30},
            "replace_lost_ca": {"type": "bool", "default": False},
            "ca_certificate": {"type": "str"},
            "ca_private_key": {"type": "str", "no_log": True},
            "certificate": {"type": "str"},
        },
        required_by={"ca_private_key": ["ca_certificate"], "certificate": ["ca_certificate"]},
        mutually_exclusive=[["ca_private_key", "certificate"]],
        supports_check_mode=True,
    )
    try:
        result = run(OpenSsl(module_runner(module)), module.params, module.check_mode)
        for warning in result.pop("warnings", []):
            module.warn(warning)
        module.exit_json(**result)
    except (SealerError, OSError) as error:
        module.fail_json(msg=f"No certificate for {module.params['common_name']}: {error}")


if __name__ == "__main__":
    main()
