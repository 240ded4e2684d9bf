#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give a host files, links, kernel settings and units, and take exactly them away again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_config
short_description: Give a host files, links, kernel settings and units, and take exactly them away again
version_added: 0.1.0
description:
  - Brings everything that one O(owner) needs on a host to the wanted state in one step.
  - What is made, and what had been there before, is written to the O(journal) before anything is changed.
    O(state=absent) brings exactly that back, also after a run that was interrupted at any point.
  - The options describe all that the owner has. What it had in an earlier run and is not named any more is undone.
  - What others changed since is left as it is when undoing, with a warning.
  - Directories above files and links are made where they are missing.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  owner:
    description:
      - Name under which all this is kept in the journal. Use one task an owner.
      - It stands in the names of the files for O(sysctls) and O(kernel_modules).
    type: str
    required: true
  state:
    description: Whether the owner's things are there, or what was there before them.
    type: str
    choices: [present, absent]
    default: present
  users:
    description: System users for services, with a group of the same name; nobody can log in as them.
    type: list
    elements: str
    default: []
  files:
    description: Files, owned by the user who runs the module.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where.
        type: str
        required: true
      content:
        description: The whole content, at most 1 MiB.
        type: str
        required: true
      mode:
        description: Its mode, in octal digits.
        type: str
        default: '0644'
      group:
        description: Its group, by name; that of the user who runs the module unless set.
        type: str
      sensitive:
        description:
          - Keep the content out of results and diffs.
          - Set C(no_log) on the task as well, to keep it out of the host's log.
        type: bool
        default: false
  secrets:
    description:
      - Files whose content is a secret, by path. Neither contents nor hashes of them are told or logged.
      - Only their owner can read them, and O(secrets_group) when it is set.
    type: dict
    default: {}
  secrets_group:
    description: A group that may read the O(secrets), by name.
    type: str
  blocks:
    description:
      - Lines in files of others, as C(/etc/hosts), between two comments that tell whose they are. The rest is left.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where.
        type: str
        required: true
      content:
        description: Whole lines without comments.
        type: str
        required: true
  links:
    description: Symbolic links. Something else in their place is kept in the journal.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where.
        type: str
        required: true
      target:
        description: Where to.
        type: str
        required: true
  directories:
    description: Directories. Undoing removes those that were made, once they are empty.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where.
        type: str
        required: true
      mode:
        description: Its mode, in octal digits. Without it, a new one gets C(0755), and one that is there is left.
        type: str
  state_directories:
    description:
      - Directories in which the owner's programs keep data; made where they are missing, then left to the programs.
      - Undoing removes them with all that is in them; one that was there before and was empty is emptied, one that held
        something is never touched.
      - What others have mounted in one stays with its mount point. One on which something was mounted since, or in
        which a program of others listens at a socket, stays with all that is in it. Either is a warning.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where.
        type: str
        required: true
      mode:
        description: Mode it is made with, in octal digits.
        type: str
        default: '0755'
      user:
        description:
          - A user who gets the directory with all that is in it, where it is not the user's already.
          - Undoing gives back what is not removed.
        type: str
  keep_state:
    description: With O(state=absent), leave the data in O(state_directories) where it is.
    type: bool
    default: false
  sysctls:
    description: Kernel parameters and their values, set now and in C(/etc/sysctl.d) for the next start of the host.
    type: dict
    default: {}
  kernel_modules:
    description:
      - Kernel modules, loaded now and by C(/etc/modules-load.d) at the next start.
      - One that is built in is there already.
    type: list
    elements: str
    default: []
  units:
    description: Units of systemd. Its manager reads unit files again whenever they changed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the unit, with its ending.
        type: str
        required: true
      enabled:
        description: Whether it starts with the host.
        type: bool
        default: true
      state:
        description: Whether it runs.
        type: str
        choices: [started, stopped]
        default: started
      restart_on:
        description: Paths of files and links; the unit is restarted when one of them changed, and only then.
        type: list
        elements: str
        default: []
      reload_on:
        description: Paths of files and links; the unit is reloaded when one of them changed, unless it is restarted.
        type: list
        elements: str
        default: []
  wait_url:
    description: URL that has to answer with status 200 in the end.
    type: str
  ca_path:
    description: File with the certificate authorities to trust for O(wait_url).
    type: path
  wait_port:
    description: TCP port that has to be open in the end.
    type: int
  wait_address:
    description: Address at which O(wait_port) has to be open, where it is not this host alone that answers there.
    type: str
    default: 127.0.0.1
  wait_socket:
    description: Unix socket that has to be open in the end.
    type: path
  wait_timeout:
    description: How many seconds to wait for each of these. A unit that fails ends the waiting.
    type: int
    default: 60
  journal:
    description: The file that remembers what was there before.
    type: path
    default: /var/lib/sealer/host.json
"""

EXAMPLES = r"""
- name: Run a small service
  sealer.cluster.host_config:
    owner: hello
    files:
      - path: /etc/systemd/system/hello.service
        content: |
          [Service]
          ExecStart=/usr/bin/python3 -m http.server 8080
          [Install]
          WantedBy=multi-user.target
    sysctls:
      net.ipv4.ip_forward: 1
    units:
      - name: hello.service
        restart_on: [/etc/systemd/system/hello.service]
    wait_port: 8080

- name: Make the host what it was before
  sealer.cluster.host_config:
    owner: hello
    state: absent
"""

RETURN = r"""
restarted:
  description: Units that were restarted, or would be.
  returned: success
  type: list
  elements: str
  sample: [hello.service]
reloaded:
  description: Units that were reloaded, or would be.
  returned: success
  type: list
  elements: str
  sample: []
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_units, host_wait, host_wanted
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host, Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import (
    DEFAULT_JOURNAL,
    Journal,
    locked,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_steward import Outcome, Steward
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

_PLACE = {"path": {"type": "str", "required": True}}
_DIRECTORY = {**_PLACE, "mode": {"type": "str", "default": "0755"}, "user": {"type": "str"}}
_FILE = {
    **_PLACE,
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "group": {"type": "str"},
    "sensitive": {"type": "bool", "default": False},
}
_UNIT = {
    "name": {"type": "str", "required": True},
    "enabled": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "restart_on": {"type": "list", "elements": "str", "default": []},
    "reload_on": {"type": "list", "elements": "str", "default": []},
}


def _list_of(options: Json) -> Json:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


ARGUMENT_SPEC: Json = {
    "owner": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "users": {"type": "list", "elements": "str", "default": []},
    "files": _list_of(_FILE),
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "secrets_group": {"type": "str", "no_log": False},
    "blocks": _list_of({**_PLACE, "content": {"type": "str", "required": True}}),
    "links": _list_of({**_PLACE, "target": {"type": "str", "required": True}}),
    "directories": _list_of({**_PLACE, "mode": {"type": "str"}}),
    "state_directories": _list_of(_DIRECTORY),
    "keep_state": {"type": "bool", "default": False},
    "sysctls": {"type": "dict", "default": {}},
    "kernel_modules": {"type": "list", "elements": "str", "default": []},
    "units": _list_of(_UNIT),
    "wait_url": {"type": "str"},
    "ca_path": {"type": "path"},
    "wait_port": {"type": "int"},
    "wait_address": {"type": "str", "default": "127.0.0.1"},
    "wait_socket": {"type": "path"},
    "wait_timeout": {"type": "int", "default": 60},
    "journal": {"type": "path", "default": DEFAULT_JOURNAL},
}


def apply(host: Host, params: Json) -> Outcome:
    """Bring the host to the wanted state."""
    steward = Steward(host, Journal.read(params["journal"]), params["owner"])
    if params["state"] == "absent":
        return steward.absent(params["keep_state"])
    return steward.present(host_wanted.wanted_items(params["owner"], params), host_wanted.wanted_units(params))


def wait(host: Host, params: Json) -> None:
    """Wait for whatever is asked to answer; a failed unit makes it hopeless."""
    names = [unit["name"] for unit in params["units"] if unit["state"] == "started"]
    probes = {}
    if params["wait_url"]:
        probes[params["wait_url"]] = host_wait.url_answers(params["wait_url"], params["ca_path"])
    if params["wait_port"]:
        port, address = params["wait_port"], params["wait_address"]
        probes[f"port {port} of {address}"] = host_wait.port_answers(port, address)
    if params["wait_socket"]:
        probes[params["wait_socket"]] = host_wait.socket_answers(params["wait_socket"])
    for what, probe in probes.items():
        host_wait.wait_until(
            probe,
            what,
            params["wait_timeout"],
            hopeless=lambda: host_units.failure(host, names),
            last_words=lambda: "".join(host_units.last_words(host, name) for name in names),
        )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    module.no_log_values.update(item["content"] for item in params["files"] if item["sensitive"] and item["content"])
    host = Host(module_runner(module), check=module.check_mode)
    try:
        with contextlib.nullcontext() if module.check_mode else locked(params["journal"]):
            outcome = apply(host, params)
        if params["state"] == "present" and not module.check_mode:
            wait(host, params)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in host.warnings:
        module.warn(warning)
    done = {"restarted": outcome.restarted, "reloaded": outcome.reloaded}
    module.exit_json(changed=outcome.changed, diff=outcome.diff, **done)


if __name__ == "__main__":
    main()
