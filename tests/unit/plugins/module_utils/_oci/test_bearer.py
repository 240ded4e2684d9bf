# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from urllib.parse import parse_qs, parse_qsl

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Credentials, RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.bearer import (
    Authorizer,
    Challenge,
    TokenRequest,
    parse_challenges,
    pull_scope,
    push_scope,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url
from hypothesis import given
from hypothesis import strategies as st

CHALLENGES = [
    ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
    (
        'Bearer realm="https://a/t",service="s, t",scope="repository:a/b:pull,push"',
        [Challenge("bearer", {"realm": "https://a/t", "service": "s, t", "scope": "repository:a/b:pull,push"})],
    ),
    ('BEARER Realm=https://a/t , service="a\\"b"', [Challenge("bearer", {"realm": "https://a/t", "service": 'a"b'})]),
    ('Negotiate, Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
    ('Negotiate YWJj==, Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
    ('Basic realm="x", Bearer realm="y"', [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})]),
    ("", []),
    ('="', []),
]


@pytest.mark.parametrize(("header", "expected"), CHALLENGES)
def test_challenges(header: str, expected: t.List[Challenge]) -> None:
    found = parse_challenges([header])
    assert [one for one in found if one.scheme != "negotiate"] == expected


@given(st.text())
def test_any_header_is_read_without_failing(header: str) -> None:
    parse_challenges([header])


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text('ab,=" \\:/', max_size=12), min_size=1))
def test_quoted_parameters_come_back(parameters: t.Dict[str, str]) -> None:
    quoted = ",".join(
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"')) for name, value in parameters.items()
    )
    assert parse_challenges([f"Bearer {quoted}"]) == [Challenge("bearer", parameters)]


class Server:
    """A token server that counts, and a clock."""

    def __init__(self, life: t.Any = 300) -> None:
        self.asked: t.List[TokenRequest] = []
        self.life = life
        self.now = 1000.0

    def fetch(self, request: TokenRequest) -> bytes:
        self.asked.append(request)
        return json.dumps({"token": f"t{len(self.asked)}", "expires_in": self.life}).encode()

    def scopes(self, number: int) -> t.List[str]:
        return [value for name, value in parse_qsl(self.asked[number].url.query) if name == "scope"]

    def authorizer(self, *settings: RegistrySettings, plain_realm: bool = False) -> Authorizer:
        return Authorizer(
            "r.example",
            Credentials(settings, None, {"HOME": "/nonexistent"}),
            self.fetch,
            plain_realm=plain_realm,
            clock=lambda: self.now,
        )


BEARER = 'Bearer realm="https://auth.example/token?x=1",service="r"'


def test_no_header_before_the_registry_asks() -> None:
    assert Server().authorizer().header("a", [pull_scope("a")]) is None


def test_a_token_is_kept_until_its_life_ends() -> None:
    server = Server(life=100)
    authorizer = server.authorizer()
    assert authorizer.challenged("a", [BEARER], None)
    headers = []
    for passed in (0, 89, 1.5, 1):
        server.now += passed
        headers.append(authorizer.header("a", [pull_scope("a")]))
    assert headers == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]
    assert server.asked[0] == TokenRequest(
        Url.parse("https://auth.example/token?x=1&service=r&scope=repository:a:pull")
    )


def test_scopes_add_up_in_one_token() -> None:
    server = Server()
    authorizer = server.authorizer()
    authorizer.challenged("a", [BEARER], None)
    for scopes in ([pull_scope("a")], [push_scope("a"), pull_scope("b")], [pull_scope("a")]):
        authorizer.header("a", scopes)
    assert len(server.asked) == 2
    assert server.scopes(1) == ["repository:a:pull,push", "repository:b:pull"]


def test_a_refused_token_is_replaced_once_for_all() -> None:
    server = Server()
    authorizer = server.authorizer()
    authorizer.challenged("a", [BEARER], None)
    first = authorizer.header("a", [pull_scope("a")])
    assert authorizer.challenged("a", [BEARER], first)
    second = authorizer.header("a", [pull_scope("a")])
    assert authorizer.challenged("a", [BEARER], first)
    assert authorizer.header("a", [pull_scope("a")]) == second != first


def test_password_and_identity_token_go_to_the_token_server() -> None:
    server = Server()
    authorizer = server.authorizer(RegistrySettings("r.example", "u", "p"))
    authorizer.challenged("a", [BEARER], None)
    authorizer.header("a", [pull_scope("a")])
    assert server.asked[0].authorization == "Basic dTpw"


def test_identity_token_is_sent_in_a_form(tmp_path: t.Any) -> None:
    (tmp_path / "a.json").write_text('{"auths": {"r.example": {"identitytoken": "I"}}}')
    server = Server()
    authorizer = Authorizer("r.example", Credentials((), str(tmp_path / "a.json")), server.fetch)
    authorizer.challenged("a", [BEARER], None)
    authorizer.header("a", [push_scope("a")])
    form = parse_qs(server.asked[0].form)
    assert (form["refresh_token"], form["scope"], server.asked[0].authorization) == (
        ["I"],
        ["repository:a:pull,push"],
        "",
    )


def test_basic_is_sent_once_and_not_again_when_refused() -> None:
    authorizer = Server().authorizer(RegistrySettings("r.example", "u", "p"))
    assert authorizer.challenged("a", ['Basic realm="x"'], None)
    header = authorizer.header("a", [])
    assert header == "Basic dTpw"
    assert not authorizer.challenged("a", ['Basic realm="x"'], header)


def test_a_challenge_nobody_knows_is_not_answered() -> None:
    assert not Server().authorizer().challenged("a", ["Negotiate abc"], None)


REALMS = [
    ("http://auth.example/token", False),
    ("ftp://auth.example/token", True),
    ("/token", True),
    ("", True),
    ("https:///token", False),
    ("https://u:p@auth.example/token", False),
    ("https://[::1/token", False),
]


@pytest.mark.parametrize(("realm", "plain"), REALMS)
def test_passwords_go_to_no_strange_realm(realm: str, plain: bool) -> None:
    server = Server()
    authorizer = server.authorizer(RegistrySettings("r.example", "u", "p"), plain_realm=plain)
    authorizer.challenged("a", [f'Bearer realm="{realm}"'], None)
    with pytest.raises(RegistryError, match="r.example: will not ask its token server: the registry names "):
        authorizer.header("a", [pull_scope("a")])
    assert not server.asked


def test_a_token_server_that_moves_is_found_again() -> None:
    server = Server()
    authorizer = server.authorizer()
    authorizer.challenged("a", ['Bearer realm="ftp://former.example/token"'], None)
    with pytest.raises(RegistryError):
        authorizer.header("a", [pull_scope("a")])
    assert authorizer.header("a", [pull_scope("a")]) is None
    assert authorizer.challenged("a", [BEARER], None)
    assert authorizer.header("a", [pull_scope("a")]) == "Bearer t1"


def test_plain_realm_where_it_is_wanted() -> None:
    server = Server()
    authorizer = server.authorizer(plain_realm=True)
    authorizer.challenged("a", ['Bearer realm="http://auth.example/token"'], None)
    assert authorizer.header("a", [pull_scope("a")]) == "Bearer t1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 1}',
        b'{"token": "a\\r\\nX: y"}',
        b"\xff",
        b'{"token": "a", "token": "b"}',
        b'{"token": "a", "expires_in": %s}' % (b"9" * 400),
        b'{"token": "a", "expires_in": 1e999}',
        b'{"token": "a", "x": %s}' % (b"[" * 5000 + b"]" * 5000),
    ],
)
def test_answers_without_a_token_are_told(body: bytes) -> None:
    authorizer = Authorizer("r.example", Credentials((), None, {"HOME": "/nonexistent"}), lambda _request: body)
    authorizer.challenged("a", [BEARER], None)
    with pytest.raises(
        RegistryError, match=r"^https://auth.example/token\?x=REDACTED: the token server's answer cannot"
    ):
        authorizer.header("a", [pull_scope("a")])


@pytest.mark.parametrize("life", [None, 5, True, "300", -1])
def test_a_token_without_a_good_life_is_kept_for_a_minute(life: t.Any) -> None:
    server = Server(life=life)
    authorizer = server.authorizer()
    authorizer.challenged("a", [BEARER], None)
    for passed in (0, 53, 2):
        server.now += passed
        authorizer.header("a", [pull_scope("a")])
    assert len(server.asked) == 2


def test_repositories_not_used_for_longest_are_forgotten() -> None:
    server = Server()
    authorizer = server.authorizer()
    authorizer.challenged("often", [BEARER], None)
    for number in range(3000):
        authorizer.header(f"r{number}", [pull_scope(f"r{number}")])
        authorizer.header("often", [pull_scope("often")])
    assert len(server.asked) == 3001
    authorizer.header("r0", [pull_scope("r0")])
    assert len(server.asked) == 3002
    authorizer.header("r2999", [pull_scope("r2999")])
    assert len(server.asked) == 3002
