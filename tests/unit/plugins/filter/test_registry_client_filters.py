# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What container engines are told, read again by parsers of the formats."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
import tomllib
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.filter.containerd_hosts import containerd_hosts
from ansible_collections.sealer.cluster.plugins.filter.registry_client_files import registry_client_files
from ansible_collections.sealer.cluster.plugins.plugin_utils._containerd_config import with_hosts_directory
from hypothesis import given
from hypothesis import strategies as st

ONE, TWO = "https://10.0.0.11:5000", "https://[fd00::2]:5000"
HUB = {"docker.io": "harbor.example/site/docker.io"}
PASSWORD = 'quote" \\ back\u00e9'
LOGIN = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
DEFAULT = "/etc/containerd/certs.d/_default/hosts.toml"
CONFIG = "/etc/containerd/config.toml"
DAEMON = "/etc/docker/daemon.json"
LOGINS = "/root/.config/containers/auth.json"
REGISTRIES = "/etc/containers/registries.conf.d/50-sealer.conf"


def settings(**more: t.Any) -> t.Dict[str, t.Any]:
    return {"mirrors": [ONE, TWO], "ca_path": "/etc/sealer/ca.crt", **more}


def by_path(files: t.Sequence[t.Dict[str, t.Any]]) -> t.Dict[str, t.Any]:
    assert len({file["path"] for file in files}) == len(files)
    return {file["path"]: file for file in files}


def told(engine: str, existing: t.Optional[t.Dict[str, t.Any]] = None, **more: t.Any) -> t.Dict[str, t.Any]:
    contents = {path: file["content"] for path, file in (existing or {}).items()}
    modes = {path: file["mode"] for path, file in (existing or {}).items() if "mode" in file}
    return by_path(registry_client_files(settings(**more), [engine], contents, modes))


def toml(file: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    return tomllib.loads(file["content"])


def test_containerd_asks_the_mirrors_in_order_and_nobody_else() -> None:
    files = by_path(containerd_hosts(settings(ca_certificate="PEM")))
    found = toml(files[DEFAULT])
    assert found["server"] == ONE
    assert list(found["host"]) == [ONE, TWO]
    for host in (found, *found["host"].values()):
        assert (host["capabilities"], host["ca"]) == (["pull", "resolve"], "/etc/sealer/ca.crt")
        assert "override_path" not in host
    assert files["/etc/sealer/ca.crt"]["content"] == "PEM"
    assert set(files) == {DEFAULT, "/etc/sealer/ca.crt"}


def test_containerd_asks_the_registry_itself_in_the_end_when_that_is_wanted() -> None:
    found = toml(by_path(containerd_hosts(settings(airgap=False)))[DEFAULT])
    assert "server" not in found
    assert list(found["host"]) == [ONE, TWO]
    assert all("ca" not in host for host in found["host"].values())


def test_a_login_stands_in_files_of_root_alone() -> None:
    files = by_path(containerd_hosts(settings(username="robot", password=PASSWORD, registries=HUB)))
    assert all((file["mode"], file["sensitive"]) == ("0600", True) for file in files.values())
    found = toml(files[DEFAULT])
    assert [host["header"]["Authorization"] for host in (found, *found["host"].values())] == [f"Basic {LOGIN}"] * 3
    assert all(not file["sensitive"] and file["mode"] == "0644" for file in containerd_hosts(settings()))


def test_a_registry_with_a_place_of_its_own() -> None:
    files = by_path(
        containerd_hosts({"registries": {**HUB, "localhost:5000": ["http://a.example:80", "b.example/x/"]}})
    )
    found = toml(files["/etc/containerd/certs.d/docker.io/hosts.toml"])
    assert found["server"] == "https://harbor.example/v2/site/docker.io"
    assert found["host"]["https://harbor.example/v2/site/docker.io"]["override_path"] is True
    other = toml(files["/etc/containerd/certs.d/localhost:5000/hosts.toml"])
    assert {name: host.get("override_path") for name, host in other["host"].items()} == {
        "http://a.example:80": None,
        "https://b.example/v2/x": True,
    }
    # what has no place is looked for where nothing is
    assert toml(files[DEFAULT])["server"] == "https://harbor.example/v2/site/docker.io/not-mirrored"
    assert DEFAULT not in by_path(containerd_hosts({"registries": HUB, "airgap": False}))


def test_how_long_containerd_waits_for_a_mirror() -> None:
    found = toml(by_path(containerd_hosts(settings(dial_timeout="3s")))[DEFAULT])
    assert {host["dial_timeout"] for host in (found, *found["host"].values())} == {"3s"}


@pytest.mark.parametrize("airgap", [True, False])
def test_podman_and_its_like_know_registries_one_by_one(airgap: bool) -> None:
    files = told(
        "containers", airgap=airgap, path_registries=["quay.io", "docker.io"], registries=HUB, ca_certificate="P"
    )
    entries = {entry["prefix"]: entry for entry in toml(files[REGISTRIES])["registry"]}
    assert set(entries) == {"docker.io", "quay.io"}
    mirrors = [mirror["location"] for mirror in entries["quay.io"]["mirror"]]
    if airgap:
        assert (mirrors, entries["quay.io"]["location"]) == (["10.0.0.11:5000/quay.io"], "[fd00::2]:5000/quay.io")
        assert entries["docker.io"] == {"prefix": "docker.io", "location": "harbor.example/site/docker.io"}
    else:
        assert mirrors == ["10.0.0.11:5000/quay.io", "[fd00::2]:5000/quay.io"]
        assert entries["quay.io"]["location"] == "quay.io"
    for host in ("10.0.0.11:5000", "[fd00::2]:5000", "harbor.example"):
        assert files[f"/etc/containers/certs.d/{host}/ca.crt"]["content"] == "P"
    assert LOGINS not in files


def test_podman_logs_in_and_keeps_the_logins_that_are_there() -> None:
    before = {"auths": {"quay.io": {"auth": "eA=="}}, "credHelpers": {"a.example": "x"}}
    existing = {LOGINS: {"content": json.dumps(before), "mode": "0600"}}
    files = told("containers", existing, username="robot", password=PASSWORD, path_registries=["quay.io"])
    assert json.loads(files[LOGINS]["content"]) == {
        "auths": {"quay.io": {"auth": "eA=="}, "10.0.0.11:5000": {"auth": LOGIN}, "[fd00::2]:5000": {"auth": LOGIN}},
        "credHelpers": {"a.example": "x"},
    }
    assert (files[LOGINS]["mode"], files[LOGINS]["sensitive"]) == ("0600", True)
    assert LOGIN not in files[REGISTRIES]["content"]


def test_cri_o_has_a_login_file_of_its_own() -> None:
    files = told("crio", username="robot", password=PASSWORD, path_registries=["quay.io"])
    path = toml(files["/etc/crio/crio.conf.d/50-sealer-registry.conf"])["crio"]["image"]["global_auth_file"]
    assert json.loads(files[path]["content"])["auths"]["10.0.0.11:5000"] == {"auth": LOGIN}
    assert set(told("crio", path_registries=["quay.io"])) == {REGISTRIES}


def test_files_of_two_engines_are_there_once() -> None:
    files = by_path(registry_client_files(settings(path_registries=["quay.io"]), ["crio", "containers", "containerd"]))
    assert {REGISTRIES, DEFAULT, CONFIG} <= set(files)


def test_dockerd_keeps_its_other_settings() -> None:
    existing = {DAEMON: {"content": '{"log-driver": "journald", "registry-mirrors": ["https://old"]}', "mode": "0640"}}
    files = told("docker", existing, ca_certificate="PEM")
    assert json.loads(files[DAEMON]["content"]) == {"log-driver": "journald", "registry-mirrors": [ONE, TWO]}
    assert files[DAEMON]["mode"] == "0640"
    assert files["/etc/docker/certs.d/10.0.0.11:5000/ca.crt"]["content"] == "PEM"
    again = {DAEMON: {"content": files[DAEMON]["content"], "mode": "0640"}}
    assert told("docker", again, ca_certificate="PEM") == files


@pytest.mark.parametrize(
    "more, existing, message",
    [
        ({"username": "a", "password": "b"}, {}, "dockerd cannot log in at a mirror"),
        ({"registries": HUB}, {}, "have no path, and this one has: harbor.example/site/docker.io"),
        ({}, {DAEMON: {"content": "{"}}, f"{DAEMON}: the file is not JSON"),
        ({}, {DAEMON: {"content": "[]"}}, f"{DAEMON}: the file is not a JSON object"),
    ],
)
def test_what_dockerd_cannot_do(more: t.Dict[str, t.Any], existing: t.Dict[str, t.Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match="registry_client_files") as caught:
        told("docker", existing, **more)
    assert message in str(caught.value)


def test_k3s() -> None:
    files = told("k3s", registries=HUB, username="robot", password=PASSWORD, ca_certificate="PEM")
    document = yaml.safe_load(files["/etc/rancher/k3s/registries.yaml"]["content"])
    assert document["mirrors"] == {
        "docker.io": {"endpoint": ["https://harbor.example"], "rewrite": {"^(.*)$": "site/docker.io/$1"}},
        "*": {"endpoint": [ONE, TWO]},
    }
    config = {"auth": {"username": "robot", "password": PASSWORD}, "tls": {"ca_file": "/etc/sealer/ca.crt"}}
    assert document["configs"] == {"10.0.0.11:5000": config, "[fd00::2]:5000": config, "harbor.example": config}
    assert files["/etc/rancher/k3s/registries.yaml"]["mode"] == "0600"
    drop_in = "/etc/rancher/k3s/config.yaml.d/50-sealer-registry.yaml"
    assert yaml.safe_load(files[drop_in]["content"]) == {"disable-default-registry-endpoint": True}
    assert files["/etc/sealer/ca.crt"]["content"] == "PEM"
    assert set(told("k3s", airgap=False)) == {"/etc/rancher/k3s/registries.yaml"}
    with pytest.raises(AnsibleFilterError, match="several paths"):
        told("k3s", registries={"docker.io": ["a.example/x", "b.example/y"]})


@pytest.mark.parametrize("version, plugin", [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.images")])
def test_k0s(version: int, plugin: str) -> None:
    files = told("k0s", k0s_config_version=version)
    drop_in = toml(files["/etc/k0s/containerd.d/sealer-registry.toml"])
    assert drop_in == {"version": version, "plugins": {plugin: {"registry": {"config_path": "/etc/k0s/certs.d"}}}}
    assert list(toml(files["/etc/k0s/certs.d/_default/hosts.toml"])["host"]) == [ONE, TWO]


@pytest.mark.parametrize(
    "given_settings, message",
    [
        ({}, "nowhere to take images from"),
        ({"mirrors": []}, "nowhere to take images from"),
        ({"mirrors": [ONE], "surprise": 1}, "no settings of registry clients: ['surprise']"),
        ([ONE], "no settings of registry clients"),
        ({"mirrors": ["https://a b"]}, "is not where a registry is"),
        ({"mirrors": ["https://user@a.example"]}, "is not where a registry is"),
        ({"mirrors": ["ftp://a.example"]}, "is not where a registry is"),
        ({"mirrors": ["https://a.example/x?y"]}, "is not where a registry is"),
        ({"mirrors": [5000]}, "is not where a registry is"),
        ({"registries": {"docker.io": None}}, "no one name in front of all its repositories"),
        ({"registries": {"docker.io": []}}, "no one name in front of all its repositories"),
        ({"registries": {"../etc": "a.example"}}, "'../etc' is not the name of a registry"),
        ({"mirrors": [ONE], "username": "a"}, "username and password belong together"),
        ({"mirrors": [ONE], "k0s_config_version": 4}, "no version 4"),
    ],
)
def test_bad_settings(given_settings: t.Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        containerd_hosts(given_settings)
    assert message in str(caught.value)
    with pytest.raises(AnsibleFilterError) as caught:
        registry_client_files(given_settings, ["k0s"])
    assert message in str(caught.value)


@pytest.mark.parametrize("engines", ["k3s", [], ["rkt"]])
def test_bad_engines(engines: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="wants a list of engines"):
        registry_client_files(settings(), engines)


def test_a_registry_with_a_port_has_no_path_for_podman() -> None:
    with pytest.raises(AnsibleFilterError, match="its port cannot stand in the path"):
        told("containers", path_registries=["localhost:5000"])
    files = told("containers", registries={"localhost:5000": "a.example/x"})
    assert toml(files[REGISTRIES])["registry"] == [{"prefix": "localhost:5000", "location": "a.example/x"}]


CRI = "io.containerd.grpc.v1.cri"
CNI = f'version = 2\n[plugins]\n  [plugins."{CRI}"]\n    [plugins."{CRI}".cni]\n      bin_dir = "/usr/lib/cni"\n'


@pytest.mark.parametrize(
    "text, directory",
    [
        ("", "/etc/containerd/certs.d"),
        ("# nothing\n", "/etc/containerd/certs.d"),
        (CNI, "/etc/containerd/certs.d"),
        (f'{CNI}[plugins."{CRI}".registry]\n  config_path = ""\n', "/etc/containerd/certs.d"),
        (f"version = 2\n[plugins.'{CRI}'.registry] # here\n[debug]\nlevel='info'", "/etc/containerd/certs.d"),
        (
            f'version = 2\n[plugins."{CRI}".registry]\n[plugins."{CRI}".registry.headers]\na=["b"]',
            "/etc/containerd/certs.d",
        ),
        ("version = 3\n", "/etc/containerd/certs.d"),
        (
            'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = ""\n',
            "/etc/containerd/certs.d",
        ),
        (f'version = 2\n[plugins."{CRI}".registry]\nconfig_path = "/opt/hosts:/b"\n', "/opt/hosts"),
        ("oom_score = 5\n[plugins.cri]\nenable_selinux = true\n", "/etc/containerd/certs.d"),
    ],
)
def test_containerd_is_told_where_the_files_are(text: str, directory: str) -> None:
    after, where = with_hosts_directory(text)
    assert where == directory
    assert with_hosts_directory(after) == (after, where)
    before, found = tomllib.loads(text), tomllib.loads(after)
    assert {**before, "plugins": None, "version": None} == {**found, "plugins": None, "version": None}
    for line in text.splitlines():
        assert line in after.splitlines() or "config_path" in line
    if before.get("version") == 3 and "config_path" not in text:
        assert after == text
    else:
        plugin = {1: "cri", 2: CRI, 3: "io.containerd.cri.v1.images"}[found.get("version", 1)]
        assert found["plugins"][plugin]["registry"]["config_path"].startswith(directory)


def test_the_directory_that_containerd_has_is_used() -> None:
    text = f'version = 2\n[plugins."{CRI}".registry]\nconfig_path = "/opt/hosts"\n'
    files = told("containerd", {CONFIG: {"content": text, "mode": "0600"}})
    assert "/opt/hosts/_default/hosts.toml" in files
    assert (files[CONFIG]["content"], files[CONFIG]["mode"], files[CONFIG]["sensitive"]) == (text, "0600", True)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            f'version = 2\n[plugins."{CRI}".registry.mirrors."docker.io"]\nendpoint = ["https://a"]',
            "containerd has mirrors",
        ),
        (f'version = 2\n[plugins."{CRI}".registry.configs."a".auth]\nusername = "b"', "containerd has mirrors"),
        ("version = 9", "its version 9 is not known"),
        ("version = ", "cannot be changed"),
        (f'version = 2\nplugins."{CRI}".registry = 5', "registry is not a table"),
        (f'version = 2\n[plugins]\n"{CRI}" = {{registry = {{headers = {{}}}}}}', "by hand"),
    ],
)
def test_configurations_that_stay_as_they_are(text: str, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match="config.toml") as caught:
        told("containerd", {CONFIG: {"content": text}})
    assert message in str(caught.value)


WORDS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)


@given(WORDS, WORDS, WORDS)
def test_any_login_and_certificate_comes_through(username: str, password: str, certificate: str) -> None:
    given_settings = settings(username=username, password=password, ca_certificate=certificate, ca_path="/x/ca.crt")
    login = base64.b64encode(f"{username}:{password}".encode()).decode()
    files = by_path(
        registry_client_files({**given_settings, "path_registries": ["a.b"]}, ["containerd", "crio", "k3s"])
    )
    assert toml(files[DEFAULT])["header"]["Authorization"] == f"Basic {login}"
    document = yaml.safe_load(files["/etc/rancher/k3s/registries.yaml"]["content"])
    assert document["configs"]["10.0.0.11:5000"]["auth"] == {"username": username, "password": password}
    assert files["/x/ca.crt"]["content"] == certificate
