# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users say about registries, parted into settings and secrets that the mirror itself then understands."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.filter.mirror_settings import mirror_settings
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config

SECRETS = {"password": "geheim", "client_certificate": "CERT", "client_key": "KEY", "ca_certificate": "CA"}


def test_secrets_stand_in_files_alone() -> None:
    upstreams = [
        {"name": "docker.io", "username": "shop", "tag_ttl": 60, "repositories": ["library/*"], **SECRETS},
        {"name": "reg.example.com:5000", "token": "t0ken", "password": ""},
        {"name": "quay.io"},
    ]
    found = mirror_settings(upstreams, "/etc/m")
    told = str(found["settings"])
    assert not any(secret in told for secret in ("geheim", "KEY", "t0ken"))
    assert found["files"] == {
        "/etc/m/docker.io/password": "geheim",
        "/etc/m/docker.io/client.crt": "CERT",
        "/etc/m/docker.io/client.key": "KEY",
        "/etc/m/docker.io/ca.crt": "CA",
        "/etc/m/reg.example.com_5000/token": "t0ken",
    }
    config = Config.parse({"store": "/s", "listen": ["0.0.0.0:5000"], "upstreams": found["settings"]})
    hub, private, quay = config.upstreams
    assert (hub.access.password_file, hub.access.ca) == ("/etc/m/docker.io/password", "/etc/m/docker.io/ca.crt")
    assert (private.access.token_file, private.access.password_file) == ("/etc/m/reg.example.com_5000/token", "")
    assert quay.access.login() is None


def test_parents_may_be_urls_alone() -> None:
    found = mirror_settings(["https://10.1.0.1:5000", {"url": "https://m.example.com", "ca_certificate": "CA"}], "/m")
    assert found == {
        "settings": [
            {"url": "https://10.1.0.1:5000"},
            {"url": "https://m.example.com", "ca": "/m/m.example.com/ca.crt"},
        ],
        "files": {"/m/m.example.com/ca.crt": "CA"},
    }


def test_what_all_have_in_common() -> None:
    assert mirror_settings(["https://a", "https://b"], "/m", {"ca": "/ca"})["settings"] == [
        {"url": "https://a", "ca": "/ca"},
        {"url": "https://b", "ca": "/ca"},
    ]


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ("docker.io", "wants a list"),
        ([{"urls": ["https://x"]}], "needs a 'name'"),
        ([5], "needs a 'name'"),
        ([{"name": "x", "password": 5}], "'password' of x has to be a text"),
        ([{"name": "x", "password": "1"}, {"name": "x", "password": "2"}], "x is there twice"),
    ],
)
def test_nonsense_is_refused(entries: t.Any, told: str) -> None:
    with pytest.raises(AnsibleFilterError, match=told):
        mirror_settings(entries, "/m")
