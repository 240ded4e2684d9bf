# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration file."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config

GOOD: dict[str, t.Any] = {"store": "/s", "listen": ["0.0.0.0:5000"]}


def load(directory: pathlib.Path, value: t.Any) -> Config:
    path = directory / "mirror.json"
    path.write_text(json.dumps(value))
    return Config.load(str(path))


def test_defaults(tmp_path: pathlib.Path) -> None:
    config = load(tmp_path, {**GOOD, "instance": "here:5000"})
    assert config == Config(store="/s", listen=["0.0.0.0:5000"], instance="here:5000")
    assert load(tmp_path, GOOD).instance.endswith(":5000")
    assert 1 <= config.worker_count <= 4


def test_environment_in_paths(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    pair = {"certificate": "$CREDENTIALS_DIRECTORY/a.crt", "key": "$CREDENTIALS_DIRECTORY/a.key"}
    config = load(tmp_path, {**GOOD, **pair, "workers": 3})
    assert (config.certificate, config.key) == ("/run/credentials/x/a.crt", "/run/credentials/x/a.key")
    assert config.worker_count == 3


UPSTREAM: dict[str, t.Any] = {"name": "quay.io"}
PEER: dict[str, t.Any] = {"url": "https://10.0.0.11:5000"}


def test_the_upstream_side(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS", str(tmp_path))
    (tmp_path / "word").write_text("s3cret\n")
    named = {
        "name": "docker.io",
        "urls": ["https://registry-1.docker.io", "https://harbor.example.com/hub"],
        "username": "jane",
        "password_file": "$SECRETS/word",
        "requests_per_second": 1.5,
        "repositories": ["library/*"],
        "tag_ttl": 0,
    }
    config = load(
        tmp_path,
        {**GOOD, "pull_through": "any", "upstreams": [named, UPSTREAM], "peers": [PEER], "self_url": PEER["url"] + "/"},
    )
    first, second = config.upstreams
    assert first.urls == ("https://registry-1.docker.io", "https://harbor.example.com/hub")
    assert (first.tag_ttl, first.requests_per_second, first.concurrency) == (0.0, 1.5, 16)
    login = first.access.login()
    assert login is not None and (login.username, login.password) == ("jane", "s3cret")
    assert "s3cret" not in repr(config) and "s3cret" not in repr(login)
    assert (second.urls, second.tag_ttl, second.access.login()) == (("https://quay.io",), None, None)
    assert config.self_url == config.peers[0].url


def test_docker_hub_is_found_where_it_is(tmp_path: pathlib.Path) -> None:
    config = load(tmp_path, {**GOOD, "upstreams": [{"name": "docker.io"}]})
    assert config.upstreams[0].urls == ("https://registry-1.docker.io",)


@pytest.mark.parametrize(
    ("username", "user", "password", "identity"), [("", "", "", "the-token"), ("AWS", "AWS", "the-token", "")]
)
def test_tokens(tmp_path: pathlib.Path, username: str, user: str, password: str, identity: str) -> None:
    (tmp_path / "token").write_text("the-token")
    upstream = {**UPSTREAM, "username": username, "token_file": str(tmp_path / "token")}
    login = load(tmp_path, {**GOOD, "upstreams": [upstream]}).upstreams[0].access.login()
    assert login is not None and (login.username, login.password, login.identity_token) == (user, password, identity)


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff", b"x" * 70_000])
def test_secrets_that_cannot_be_used(tmp_path: pathlib.Path, content: bytes | None) -> None:
    path = tmp_path / "word"
    if content is not None:
        path.write_bytes(content)
    upstream = {**UPSTREAM, "username": "jane", "password_file": str(path)}
    access = load(tmp_path, {**GOOD, "upstreams": [upstream]}).upstreams[0].access
    with pytest.raises(MirrorError, match="the file of a secret cannot be used") as caught:
        access.login()
    assert caught.value.where == str(path)
    assert "lines" not in str(caught.value)


def test_a_key_that_stands_twice(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mirror.json"
    path.write_text('{"store": "/a", "store": "/b", "listen": ["x:1"]}')
    with pytest.raises(MirrorError, match="'store' stands twice"):
        Config.load(str(path))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "not a JSON object"),
        ({}, "'store' is missing"),
        ({"store": "/s", "listen": []}, "'listen' is missing"),
        ({**GOOD, "store": 1}, "'store' has to be"),
        ({**GOOD, "listen": "0.0.0.0:5000"}, "'listen' has to be"),
        ({**GOOD, "listen": ["5000"]}, "'listen' has to be"),
        ({**GOOD, "listen": ["x:65536"]}, "'listen' has to be"),
        ({**GOOD, "workers": -1}, "'workers' has to be"),
        ({**GOOD, "workers": True}, "'workers' has to be"),
        ({**GOOD, "threads": 0}, "'threads' has to be"),
        ({**GOOD, "access_log": "yes"}, "'access_log' has to be"),
        ({**GOOD, "certificate": "/c"}, "go together"),
        ({**GOOD, "key": "/k"}, "go together"),
        ({**GOOD, "thread": 3, "a": 1}, "unknown settings: a, thread"),
        ({**GOOD, "listen": ["x:1", "x:1"]}, "'listen' names 'x:1' twice"),
        ({**GOOD, "name": "a b"}, "'name' has to be a registry's name"),
        ({**GOOD, "names": ["x/y"]}, "'names' has to be a list of registry names"),
        ({**GOOD, "instance": "a, b"}, "'instance' has to be"),
        ({**GOOD, "pull_through": "all"}, "'pull_through' has to be one of off, configured, any"),
        ({**GOOD, "pull_through": ["any"]}, "'pull_through' has to be one of off, configured, any"),
        ({**GOOD, "tag_ttl": -1}, "'tag_ttl' has to be a number from 0"),
        ({**GOOD, "negative_ttl": "1"}, "'negative_ttl' has to be a number from 0"),
        ({**GOOD, "cache_size": 1.5}, "'cache_size' has to be a number from 0"),
        ({**GOOD, "allow": ["https://x"]}, "'allow' has to be a list of host patterns"),
        ({**GOOD, "deny": "x"}, "'deny' has to be a list of host patterns"),
        ({**GOOD, "upstreams": {}}, "'upstreams' has to be a list of objects"),
        ({**GOOD, "upstreams": ["docker.io"]}, r"'upstreams\[0\]' is not a JSON object"),
        ({**GOOD, "upstreams": [UPSTREAM, UPSTREAM]}, "'upstreams' names 'quay.io' twice"),
        ({**GOOD, "upstreams": [{"name": "registry.sealer.local"}]}, "this mirror's own name"),
        ({**GOOD, "upstreams": [{}]}, r"'upstreams\[0\].name' is missing"),
        ({**GOOD, "upstreams": [{"name": "x/y"}]}, r"'upstreams\[0\].name' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "url": ""}]}, r"unknown settings: upstreams\[0\].url"),
        ({**GOOD, "upstreams": [UPSTREAM, {"name": "x", "urls": ["quay.io"]}]}, r"'upstreams\[1\].urls' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "urls": ["https://u:p@quay.io"]}]}, "urls' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "urls": ["https://quay.io?x=1"]}]}, "urls' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "urls": ["https://quay.io/../x"]}]}, "urls' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "urls": ["https://quay.io:x"]}]}, "urls' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "urls": ["https://evil.example\\@quay.io"]}]}, "urls' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "urls": ["https://0x7f.1"]}]}, "urls' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "urls": ["http://quay.io"]}]}, "without TLS"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "proxy": "http://u:p@y\\x:3128"}]}, "proxy' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "username": "u"}]}, "needs a 'password_file' or"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "password_file": "/f"}]}, "needs a 'username'"),
        (
            {**GOOD, "upstreams": [{**UPSTREAM, "username": "u", "password_file": "/f", "token_file": "/f"}]},
            "there can be one only",
        ),
        ({**GOOD, "upstreams": [{**UPSTREAM, "client_key": "/k"}]}, "go together"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "concurrency": 0}]}, "concurrency' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "proxy": "socks5://x"}]}, "proxy' has to be"),
        ({**GOOD, "upstreams": [{**UPSTREAM, "repositories": ["a b"]}]}, "repositories' has to be"),
        ({**GOOD, "parents": [{"url": "10.0.0.1"}]}, r"'parents\[0\].url' has to be the URL of a mirror"),
        ({**GOOD, "parents": [{"url": "http://10.0.0.1"}]}, "without TLS"),
        ({**GOOD, "parents": [PEER, PEER]}, "'parents' names 'https://10.0.0.11:5000' twice"),
        ({**GOOD, "peers": [PEER]}, "needs 'self_url'"),
        ({**GOOD, "self_url": "x"}, "'self_url' has to be the URL of a mirror"),
    ],
)
def test_wrong_settings(tmp_path: pathlib.Path, value: t.Any, told: str) -> None:
    with pytest.raises(MirrorError, match=told) as caught:
        load(tmp_path, value)
    assert caught.value.where == str(tmp_path / "mirror.json")


def test_no_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MirrorError, match="cannot be read"):
        Config.load(str(tmp_path / "none"))
