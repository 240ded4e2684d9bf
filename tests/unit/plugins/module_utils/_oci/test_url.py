# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""URLs of others: what is refused, and that no other reader finds another host in what is taken."""

from __future__ import annotations

import contextlib
import http.client
import typing as t
import urllib.request
from urllib.parse import urljoin, urlsplit

import pytest
import urllib3.util
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import URL_LIMIT, Url
from hypothesis import example, given
from hypothesis import strategies as st

GOOD = [
    ("https://quay.io", Url("https", "quay.io", 443, "/")),
    ("https://quay.io/v2/?a=b/c?d@e", Url("https", "quay.io", 443, "/v2/?a=b/c?d@e")),
    ("HTTPS://Quay.IO:443/V2/", Url("https", "quay.io", 443, "/V2/")),
    ("http://localhost:5000?x", Url("http", "localhost", 5000, "/?x")),
    ("https://quay.io#@other.example/", Url("https", "quay.io", 443, "/")),
    ("https://quay.io?@other.example/", Url("https", "quay.io", 443, "/?@other.example/")),
    ("https://10.0.0.1:8443/x", Url("https", "10.0.0.1", 8443, "/x")),
    ("https://[2001:DB8::1]:8443/", Url("https", "2001:db8::1", 8443, "/")),
    ("https://[::ffff:10.0.0.1]/", Url("https", "::ffff:a00:1", 443, "/")),
    ("https://a_b.xn--bcher-kva.example/", Url("https", "a_b.xn--bcher-kva.example", 443, "/")),
    ("https://1.2.3.4.example/", Url("https", "1.2.3.4.example", 443, "/")),
    ("https://0x7f.example/", Url("https", "0x7f.example", 443, "/")),
    ("https://quay.io/a|b%20c%5c", Url("https", "quay.io", 443, "/a|b%20c%5c")),
]

BAD = [
    "http://evil.example\\@registry.example/",
    "http://evil.example\\.registry.example/",
    "https:\\\\evil.example/",
    "https://registry.example/a\\b",
    "https://user@registry.example/",
    "https://user:word@registry.example/",
    "https://a@b@registry.example/",
    "https://@registry.example/",
    "https://evil.example%2f@registry.example/",
    "https://evil.example%2eregistry.example/",
    "https://%72egistry.example/",
    "https://registry.example /",
    " https://registry.example/",
    "https://registry.example/ x",
    "https://registry.example/\r\nX: y",
    "https://registry.example\t/",
    "https://regi\nstry.example/",
    "https://registry.example/\x00",
    "https://registry.example/\x7f",
    "https://b\xfccher.example/",
    "https://registry\u3002example/",
    "https://\u24e1egistry.example/",
    "https://registry.example\uff0fevil.example/",
    "https://registry.example/\xfc",
    "https://registry.example:0/",
    "https://registry.example:65536/",
    "https://registry.example:99999999999/",
    "https://registry.example:/",
    "https://registry.example:+443/",
    "https://registry.example:44\u0663/",
    "https://registry.example:0443/",
    "https://registry.example:443:443/",
    "https://registry.example./",
    "https://registry..example/",
    "https://.registry.example/",
    "https://-registry.example/",
    "https://registry-.example/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 130}example/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.0x1/",
    "https://127.0.0.256/",
    "https://127.0.0.1.1/",
    "https://example.0x/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1/",
    "https://::1/",
    "https://[::1].example/",
    "https://[127.0.0.1]/",
    "https://[v1.fe80::a]/",
    "https://a[b]c/",
    "https://",
    "https:///registry.example/",
    "https:/registry.example/",
    "https:registry.example",
    "//registry.example/",
    "registry.example",
    "ftp://registry.example/",
    "file:///etc/passwd",
    "httpx://registry.example/",
    "",
    "https://registry.example/" + "a" * URL_LIMIT,
]


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_urls(text: str, expected: Url) -> None:
    assert Url.parse(text) == expected
    assert Url.parse(str(expected)) == expected


@pytest.mark.parametrize("text", BAD)
def test_what_may_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(OciError, match="invalid URL") as caught:
        Url.parse(text)
    assert len(str(caught.value)) < 400


def test_an_error_shows_no_secret() -> None:
    for text in ("https://jane:s3cret@r.example/x?sig=s3cret", "https://jane:s3cret\\@r.example/?s3cret#s3cret"):
        with pytest.raises(OciError) as caught:
            Url.parse(text)
        assert "s3cret" not in str(caught.value)


BASE = Url.parse("https://registry.example:8443/v2/a/blobs/uploads/?_state=x")
SAME = "https://registry.example:8443"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/v2/b?c=d", f"{SAME}/v2/b?c=d"),
        ("x/y", f"{SAME}/v2/a/blobs/uploads/x/y"),
        ("../x", f"{SAME}/v2/a/blobs/x"),
        ("../../../../../x/.", f"{SAME}/x/"),
        ("./", f"{SAME}/v2/a/blobs/uploads/"),
        ("/a/../b/./c/..", f"{SAME}/b/"),
        ("?n=1", f"{SAME}/v2/a/blobs/uploads/?n=1"),
        ("", f"{SAME}/v2/a/blobs/uploads/?_state=x"),
        ("#part", f"{SAME}/v2/a/blobs/uploads/?_state=x"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example/x#y", "http://other.example/x"),
        ("HTTPS://REGISTRY.EXAMPLE:8443/x", f"{SAME}/x"),
        ("/x@y:1/z", f"{SAME}/x@y:1/z"),
        ("/.//other.example/x", f"{SAME}//other.example/x"),
    ],
)
def test_references(reference: str, expected: str) -> None:
    assert str(BASE.join(reference)) == expected


@pytest.mark.parametrize(
    "reference", [*BAD[:-3], "/\\evil.example/", "\\\\evil.example\\x", "///evil.example/", "x:y", "/a b"]
)
def test_references_that_may_be_read_in_two_ways_are_refused(reference: str) -> None:
    if reference in ("//registry.example/", "registry.example"):
        assert BASE.join(reference).host == "registry.example"
        return
    with pytest.raises(OciError, match="invalid URL"):
        BASE.join(reference)


def test_origins() -> None:
    def same(text: str) -> bool:
        return Url.parse(text).has_origin_of(Url.parse("https://registry.example"))

    assert same("https://REGISTRY.example:443/x?y")
    assert not any(map(same, ["http://registry.example", "https://registry.example:444", "https://b.registry.example"]))


def test_fields_go_behind_the_query() -> None:
    url = Url.parse("https://r.example/x").with_query([("digest", "sha256:00"), ("a b", "&")])
    assert str(url) == "https://r.example/x?digest=sha256:00&a+b=%26"
    assert str(url.with_query([("n", "1")])) == f"{url}&n=1"
    assert url.with_query([]) is url


def readers(text: str) -> t.Iterator[t.Tuple[str, str, t.Optional[int]]]:
    """Scheme, host and port as other programs of this process read them."""
    split = urlsplit(text)
    yield split.scheme, split.hostname or "", split.port
    parsed = urllib3.util.parse_url(text)
    yield parsed.scheme or "", (parsed.host or "").strip("[]"), parsed.port
    request = urllib.request.Request(text)
    connection = http.client.HTTPConnection(request.host)
    port = connection.port if request.host.endswith(f":{connection.port}") else None
    yield request.type, connection.host, port


ODD = st.text("aA1.0x:/?#@\\[]%- \t\n\u3002\xfc_", max_size=24)


@given(st.sampled_from(["http", "https", "HTTP", ""]), st.sampled_from(["://", ":", ":/", ":\\\\", "//"]), ODD, ODD)
@example("http", "://", "evil\\", "@registry/")
@example("http", "://", "//[", "")
def test_no_other_reader_finds_another_host(scheme: str, mark: str, one: str, other: str) -> None:
    texts = [scheme + mark + one + other]
    # The library refuses some itself.
    with contextlib.suppress(ValueError):
        texts.append(urljoin("https://r.example/", one))
    for text in texts:
        try:
            url = Url.parse(text)
        except OciError:
            continue
        port = None if url.port == {"https": 443, "http": 80}[url.scheme] else url.port
        assert set(readers(str(url))) == {(url.scheme, url.host, port)}
        assert Url.parse(str(url)) == url


@given(ODD)
def test_a_reference_stays_at_its_origin_or_names_another_one(reference: str) -> None:
    try:
        url = BASE.join(reference)
    except OciError:
        return
    if not url.has_origin_of(BASE):
        assert "//" in reference
        assert url.host in reference.lower()
    assert Url.parse(str(url)) == url
