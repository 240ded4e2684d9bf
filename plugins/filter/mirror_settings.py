# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of the registries that a mirror asks, and the files that hold their secrets."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: mirror_settings
short_description: Settings of registries that a mirror asks, apart from their secrets
version_added: 0.1.0
description:
  - Parts what users say about upstreams, parents or peers of a mirror into what stands in its configuration and what
    stands in files of its own. The configuration is readable for everyone, the files are not.
author:
  - sealer.cluster contributors (@sealerio)
positional: directory, common
options:
  _input:
    description:
      - Upstreams, each with a C(name), or parents or peers, each with a C(url) or nothing but that.
      - C(password), C(token), C(ca_certificate), C(client_certificate) and C(client_key) become files. Everything else
        is taken as it is.
    type: list
    required: true
  directory:
    description: Where the files will be on the host.
    type: str
    required: true
  common:
    description: Settings that each of them gets, as the mirror's configuration has them.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what a mirror is told
  ansible.builtin.debug:
    msg: "{{ (upstreams | sealer.cluster.mirror_settings('/etc/sealer/mirror')).settings }}"
  vars:
    upstreams:
      - name: docker.io
        username: shop
        password: "{{ docker_hub_password }}"
"""

RETURN = r"""
_value:
  description: C(settings), a list as the mirror's configuration has it, and C(files), contents by path.
  type: dict
  sample:
    settings:
      - name: docker.io
        username: shop
        password_file: /etc/sealer/mirror/docker.io/password
    files:
      /etc/sealer/mirror/docker.io/password: s3cret
"""

# what users say: the setting, and the file's name
IN_FILES = {
    "password": ("password_file", "password"),
    "token": ("token_file", "token"),
    "ca_certificate": ("ca", "ca.crt"),
    "client_certificate": ("client_certificate", "client.crt"),
    "client_key": ("client_key", "client.key"),
}

Json = t.Dict[str, t.Any]


def mirror_settings(entries: t.Sequence[t.Any], directory: str, common: t.Mapping[str, t.Any] | None = None) -> Json:
    """The settings and the files."""
    if isinstance(entries, str) or not isinstance(entries, t.Sequence):
        raise AnsibleFilterError("mirror_settings wants a list of upstreams, parents or peers")
    settings: list[Json] = []
    files: dict[str, str] = {}
    for entry in entries:
        given = {"url": str(entry)} if isinstance(entry, str) else entry
        if not isinstance(given, t.Mapping) or not (given.get("name") or given.get("url")):
            raise AnsibleFilterError("an upstream needs a 'name', a parent or peer a 'url'")
        name = str(given.get("name") or given["url"])
        place = f"{directory}/{re.sub(r'[^A-Za-z0-9.-]+', '_', name.rpartition('://')[2])}"
        settings.append({**_one(name, given, place, files), **(common or {})})
    return {"settings": settings, "files": files}


def _one(name: str, given: t.Mapping[str, t.Any], place: str, files: dict[str, str]) -> Json:
    found: Json = {}
    for key, value in given.items():
        if key not in IN_FILES:
            found[str(key)] = value
        elif value:
            if not isinstance(value, str):
                raise AnsibleFilterError(f"'{key}' of {name} has to be a text")
            setting, file_name = IN_FILES[key]
            path = f"{place}/{file_name}"
            if path in files:
                raise AnsibleFilterError(f"{name} is there twice")
            found[setting] = path
            files[path] = value
    return found


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., Json]]:
        return {"mirror_settings": mirror_settings}
