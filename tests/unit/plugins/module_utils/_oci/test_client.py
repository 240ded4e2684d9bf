# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import socket
import threading
import typing as t
from dataclasses import replace

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Manifest, parse_document
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.retry import RetryPolicy
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import (
    IDENTITY,
    PASSWORD,
    USER,
    FakeRegistry,
    TokenServer,
    basic,
)

Make = t.Callable[..., FakeRegistry]
MakeTokens = t.Callable[..., TokenServer]
WAITS: t.List[float] = []
POLICY = RetryPolicy(attempts=4, jitter=lambda: 1.0, sleep=lambda wait, _cancel: WAITS.append(wait))
LAYER = bytes(range(256)) * 1024


class Meter(NullProgress):
    """Adds up what progress is told."""

    def __init__(self) -> None:
        self.bytes = 0

    def add(self, size: int) -> None:
        self.bytes += size


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """No logins and no proxies of whoever runs the tests."""
    WAITS.clear()
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def plain(host: str, **more: t.Any) -> RegistrySettings:
    return RegistrySettings(host, insecure=True, **more)


def client_of(*settings: t.Union[RegistrySettings, FakeRegistry], **more: t.Any) -> RegistryClient:
    listed = [plain(one.host) if isinstance(one, FakeRegistry) else one for one in settings]
    return RegistryClient(listed, policy=POLICY, **more)


def image(registry: FakeRegistry, name: str = "team/app", tag: str = "1") -> t.Tuple[Reference, Descriptor]:
    """An image of one layer; gives its name and the layer."""
    registry.add_image(name, tag, [LAYER])
    return Reference.parse(f"{registry.host}/{name}:{tag}"), Descriptor("application/x", Digest.of(LAYER), len(LAYER))


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


def fetch(client: RegistryClient, layout: Layout, reference: Reference, blob: Descriptor) -> int:
    meter = Meter()
    with layout.writer(blob.digest, blob.size) as writer:
        client.fetch_blob(reference, blob, writer, meter)
    assert layout.read_blob(blob.digest) == LAYER
    return meter.bytes


def leave_partial(layout: Layout, blob: Descriptor, data: bytes) -> None:
    with layout.writer(blob.digest, blob.size) as writer:
        writer.write(data)


class TestLogin:
    def test_plain_http_is_spoken_only_where_asked(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        with pytest.raises(RegistryError, match="a TLS connection cannot be made. If the registry speaks plain HTTP"):
            RegistryClient(policy=POLICY).get_manifest(reference)
        assert (registry.seen, WAITS) == ([], [])
        assert isinstance(client_of(registry).get_manifest(reference), Manifest)

    def test_basic(self, fake_registry: Make) -> None:
        registry = fake_registry(auth="basic")
        reference, _layer = image(registry)
        client = client_of(plain(registry.host, username=USER, password=PASSWORD))
        for _time in range(3):
            client.get_manifest(reference)
        shown = [seen.headers.get("Authorization") for seen in registry.requests("GET", "manifests")]
        assert shown == [None, basic(), basic(), basic()]

    @pytest.mark.parametrize("login", [{}, {"username": USER, "password": "wrong-word"}])
    def test_basic_refused(self, fake_registry: Make, login: t.Dict[str, str]) -> None:
        registry = fake_registry(auth="basic")
        reference, _layer = image(registry)
        with pytest.raises(RegistryError) as caught:
            client_of(plain(registry.host, **login)).get_manifest(reference)
        assert str(caught.value) == (
            f"{reference}: cannot get the manifest: GET http://{registry.host}/v2/team/app/manifests/1 answered 401 "
            "(UNAUTHORIZED: no: unauthorized). Give a username and password for it in `registries`, or log in with "
            "`podman login` or `docker login`."
        )
        assert not WAITS

    def test_bearer_asks_one_token_for_a_repository(self, fake_registry: Make, token_server: MakeTokens) -> None:
        tokens = token_server(name="localhost")
        registry = fake_registry(auth=tokens)
        client = client_of(plain(registry.host, username=USER, password=PASSWORD))
        for name in ("a/one", "a/two"):
            reference, _layer = image(registry, name)
            for _time in range(2):
                client.get_manifest(reference)
        assert [(seen.query["scope"], seen.query["service"]) for seen in tokens.seen] == [
            ("repository:a/one:pull", "fake, registry"),
            ("repository:a/two:pull", "fake, registry"),
        ]
        assert [seen.status for seen in registry.requests("GET", "/manifests/")] == [401, 200, 200, 200, 200]
        assert not [seen for seen in registry.seen if "Basic" in seen.headers.get("Authorization", "")]

    def test_bearer_for_nobody_in_particular(self, fake_registry: Make, token_server: MakeTokens) -> None:
        registry = fake_registry(auth=token_server(anonymous=True))
        reference, _layer = image(registry)
        assert isinstance(client_of(registry).get_manifest(reference), Manifest)

    def test_identity_token(self, fake_registry: Make, token_server: MakeTokens, tmp_path: pathlib.Path) -> None:
        tokens = token_server()
        registry = fake_registry(auth=tokens)
        reference, _layer = image(registry)
        file = tmp_path / "auth.json"
        file.write_text(json.dumps({"auths": {registry.host: {"identitytoken": IDENTITY}}}))
        assert isinstance(client_of(registry, authfile=str(file)).get_manifest(reference), Manifest)
        assert [seen.method for seen in tokens.seen] == ["POST"]

    def test_revoked_token_is_replaced(self, fake_registry: Make, token_server: MakeTokens) -> None:
        tokens = token_server(anonymous=True)
        registry = fake_registry(auth=tokens)
        reference, _layer = image(registry)
        client = client_of(registry)
        client.get_manifest(reference)
        tokens.granted.clear()
        client.get_manifest(reference)
        assert len(tokens.seen) == 2

    def test_refused_by_the_token_server(self, fake_registry: Make, token_server: MakeTokens) -> None:
        registry = fake_registry(auth=token_server(name="localhost"))
        reference, _layer = image(registry)
        with pytest.raises(RegistryError, match="cannot log in: GET http://localhost.* answered 401") as caught:
            client_of(plain(registry.host, username=USER, password="wrong-word")).get_manifest(reference)
        assert "wrong-word" not in str(caught.value)

    def test_no_password_for_a_plain_realm(
        self, fake_registry: Make, token_server: MakeTokens, certificates: Certificates
    ) -> None:
        tokens = token_server()
        registry = fake_registry(auth=tokens, tls=certificates.server_context())
        reference, _layer = image(registry)
        settings = RegistrySettings(registry.host, USER, PASSWORD, ca_path=str(certificates.ca))
        with pytest.raises(RegistryError, match="will not ask its token server.*it is not an https address"):
            client_of(settings).get_manifest(reference)
        assert not tokens.seen

    def test_docker_hub_is_asked_under_its_api_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nowhere(host: str, *_how: object) -> t.NoReturn:
            looked_up.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        looked_up: t.List[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", nowhere)
        with pytest.raises(RegistryError, match=r"GET https://registry-1\.docker\.io/v2/library/x/manifests/1"):
            RegistryClient(policy=replace(POLICY, attempts=1)).get_manifest(Reference.parse("docker.io/library/x:1"))
        assert looked_up == ["registry-1.docker.io"]


class TestTls:
    def test_own_authority(self, fake_registry: Make, certificates: Certificates) -> None:
        registry = fake_registry(tls=certificates.server_context())
        reference, _layer = image(registry)
        settings = RegistrySettings(registry.host, ca_path=str(certificates.ca))
        assert isinstance(client_of(settings).get_manifest(reference), Manifest)
        with pytest.raises(RegistryError, match="certificate is not trusted .*`ca_path`"):
            RegistryClient(policy=POLICY).get_manifest(reference)
        assert not WAITS

    def test_a_certificate_for_another_host_is_not_taken(self, fake_registry: Make, certificates: Certificates) -> None:
        registry = fake_registry(tls=certificates.server_context(other=True))
        reference, _layer = image(registry)
        with pytest.raises(RegistryError, match="cannot get the manifest: .*(certificate|the connection broke|no TLS)"):
            client_of(RegistrySettings(registry.host, ca_path=str(certificates.ca))).get_manifest(reference)
        assert not registry.seen

    def test_insecure_takes_any_certificate(self, fake_registry: Make, certificates: Certificates) -> None:
        registry = fake_registry(tls=certificates.server_context())
        reference, _layer = image(registry)
        assert isinstance(client_of(plain(registry.host)).get_manifest(reference), Manifest)

    def test_client_certificate(self, fake_registry: Make, certificates: Certificates) -> None:
        registry = fake_registry(tls=certificates.server_context(ask_client=True))
        reference, _layer = image(registry)
        settings = RegistrySettings(
            registry.host,
            ca_path=str(certificates.ca),
            client_cert=str(certificates.client),
            client_key=str(certificates.client_key),
        )
        assert isinstance(client_of(settings).get_manifest(reference), Manifest)
        with pytest.raises(RegistryError):
            client_of(RegistrySettings(registry.host, ca_path=str(certificates.ca))).get_manifest(reference)

    @pytest.mark.parametrize("field", ["ca_path", "client_cert"])
    def test_unreadable_files(self, field: str) -> None:
        settings = RegistrySettings("r.example", **t.cast("t.Dict[str, t.Any]", {field: "/nonexistent.pem"}))
        with pytest.raises(
            OciError, match="^registries: r.example: cannot read its .*: /nonexistent.pem: No such file"
        ):
            client_of(settings).ping("r.example")


class TestRetries:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_again(self, fake_registry: Make, status: int) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        registry.fail("GET", "manifests", times=2, status=status, headers={"Retry-After": "7"})
        client_of(registry).get_manifest(reference)
        assert WAITS == [7.0, 7.0]

    def test_again_for_the_registrys_code(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        registry.fail("GET", "manifests", status=403, body=b'{"errors": [{"code": "TOOMANYREQUESTS"}]}')
        client_of(registry).get_manifest(reference)
        assert WAITS == [0.5]

    @pytest.mark.parametrize("status", [400, 403, 404, 410, 451, 501])
    def test_not_again(self, fake_registry: Make, status: int) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        registry.fail("GET", "manifests", status=status)
        with pytest.raises(RegistryError) as caught:
            client_of(registry).get_manifest(reference)
        assert (caught.value.status, WAITS) == (status, [])

    def test_not_for_ever(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        registry.fail("GET", "manifests", times=-1, status=503)
        with pytest.raises(RegistryError, match="answered 503"):
            client_of(registry).get_manifest(reference)
        assert len(registry.seen) - len(registry.requests("GET", "/v2/$")) == POLICY.attempts

    def test_cut_manifest(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        registry.fail("GET", "manifests", times=2, cut_after=20)
        assert isinstance(client_of(registry).get_manifest(reference), Manifest)

    def test_nobody_there(self, fake_registry: Make) -> None:
        registry = fake_registry()
        registry.close()
        with pytest.raises(
            RegistryError, match="cannot reach the registry: .*the connection was refused. Check the address"
        ):
            client_of(registry).ping(registry.host)
        assert len(WAITS) == POLICY.attempts - 1

    def test_no_answer_in_time(self, fake_registry: Make) -> None:
        """The one that is never answered is given up; on a busy machine others may be too late as well."""
        registry = fake_registry()
        reference, _layer = image(registry)
        never = threading.Event()
        registry.fail("GET", "manifests", wait_for=never)
        client = RegistryClient([plain(registry.host)], policy=replace(POLICY, attempts=1000), read_timeout=0.2)
        assert isinstance(client.get_manifest(reference), Manifest)
        assert WAITS[:1] == [0.5]
        never.set()


class TestManifests:
    def test_bytes_are_the_registrys(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        document = client_of(registry).get_manifest(reference)
        assert document.raw == registry.repository("team/app").manifests[str(document.digest)][1]

    @pytest.mark.parametrize("pinned", [True, False])
    def test_wrong_bytes(self, fake_registry: Make, pinned: bool) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        digest = Digest.parse(registry.repository("team/app").tags["1"])
        registry.fail("GET", "manifests", times=-1, wrong_bytes=True)
        with pytest.raises(DigestMismatch, match=f"content does not match {digest}"):
            client_of(registry).get_manifest(reference.with_digest(digest) if pinned else reference)

    def test_too_large(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        registry.fail("GET", "manifests", status=200, body=b" " * (16 * 1024 * 1024 + 1))
        with pytest.raises(RegistryError, match="answered with more than 16777216 bytes"):
            client_of(registry).get_manifest(reference)

    def test_head(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        client = client_of(registry)
        assert client.head_manifest(reference) == client.get_manifest(reference).descriptor()
        assert client.head_manifest(reference.with_tag("none")) is None

    def test_absent(self, fake_registry: Make) -> None:
        registry = fake_registry()
        with pytest.raises(
            RegistryError, match=r"answered 404 \(MANIFEST_UNKNOWN: .*\)\. Check the name, the tag"
        ) as caught:
            client_of(registry).get_manifest(Reference.parse(f"{registry.host}/a/b:1"))
        assert caught.value.not_found

    def test_registry_that_changes_what_is_put(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _layer = image(registry)
        client = client_of(registry)
        document = client.get_manifest(reference)
        registry.fail("PUT", "manifests", status=201, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})
        with pytest.raises(RegistryError, match="the registry changed sha256"):
            client.put_manifest(reference, document)


class TestBlobs:
    def test_resumes_where_it_broke(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        reference, blob = image(registry)
        registry.fail("GET", "blobs", cut_after=100_000)
        registry.fail("GET", "blobs", cut_after=50_000)
        client = client_of(registry)
        assert fetch(client, layout, reference, blob) == blob.size
        starts = [seen.headers.get("Range") for seen in registry.requests("GET", "blobs")]
        assert starts == [None, "bytes=100000-", "bytes=150000-"]
        assert client.bytes_downloaded == blob.size

    def test_resumes_what_an_earlier_run_left(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        reference, blob = image(registry)
        leave_partial(layout, blob, LAYER[:7])
        assert fetch(client_of(registry), layout, reference, blob) == blob.size
        assert [seen.headers.get("Range") for seen in registry.requests("GET", "blobs")] == ["bytes=7-"]

    def test_begins_anew_where_ranges_are_ignored(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        reference, blob = image(registry)
        leave_partial(layout, blob, b"not the begin of the layer")
        registry.fail("GET", "blobs", ignore_range=True)
        assert fetch(client_of(registry), layout, reference, blob) == blob.size
        assert len(registry.requests("GET", "blobs")) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            {"status": 416},
            {"status": 206, "body": LAYER[8:], "headers": {"Content-Range": f"bytes 8-{len(LAYER) - 1}/{len(LAYER)}"}},
            {"status": 206, "body": LAYER[7:]},
        ],
    )
    def test_begins_anew_after_a_strange_range(
        self, fake_registry: Make, layout: Layout, answer: t.Dict[str, t.Any]
    ) -> None:
        registry = fake_registry()
        reference, blob = image(registry)
        leave_partial(layout, blob, LAYER[:7])
        registry.fail("GET", "blobs", **answer)
        assert fetch(client_of(registry), layout, reference, blob) == blob.size
        assert [seen.headers.get("Range") for seen in registry.requests("GET", "blobs")] == ["bytes=7-", None]

    @pytest.mark.parametrize("wrong", ["wrong_bytes", "fewer_bytes"])
    def test_wrong_bytes_never_come_in(self, fake_registry: Make, layout: Layout, wrong: str) -> None:
        registry = fake_registry()
        reference, blob = image(registry)
        registry.fail("GET", "blobs", times=-1, **{wrong: True})
        meter = Meter()
        with pytest.raises(DigestMismatch) as caught, layout.writer(blob.digest, blob.size) as writer:
            client_of(registry).fetch_blob(reference, blob, writer, meter)
        assert str(caught.value).startswith(f"{registry.host}/team/app: content ")
        assert not layout.has(blob.digest)
        assert meter.bytes == 0

    def test_another_host_does_not_see_the_login(self, fake_registry: Make, layout: Layout) -> None:
        registry, storage = fake_registry(auth="basic"), fake_registry()
        reference, blob = image(registry)
        image(storage)
        registry.fail("GET", "blobs", redirect=f"{storage.url}/v2/team/app/blobs/{blob.digest}?signature=s", times=-1)
        fetch(client_of(plain(registry.host, username=USER, password=PASSWORD)), layout, reference, blob)
        assert [seen.query for seen in storage.seen] == [{"signature": "s"}]
        assert not [seen for seen in storage.seen if "Authorization" in seen.headers]

    def test_a_redirect_back_does_not_get_the_login_either(self, fake_registry: Make) -> None:
        registry, other = fake_registry(auth="basic"), fake_registry()
        reference, _blob = image(registry)
        registry.fail("GET", "manifests/1$", redirect=f"{other.url}/v2/a/manifests/x", times=-1)
        other.fail("GET", "manifests/x", redirect=f"{registry.url}/v2/private/manifests/2", times=-1)
        image(registry, "private", "2")
        with pytest.raises(RegistryError):
            client_of(plain(registry.host, username=USER, password=PASSWORD)).get_manifest(reference)
        assert not [seen for seen in registry.requests("GET", "private") if "Authorization" in seen.headers]

    def test_no_redirect_from_https_to_http(
        self, fake_registry: Make, certificates: Certificates, layout: Layout
    ) -> None:
        registry, storage = fake_registry(tls=certificates.server_context()), fake_registry()
        reference, blob = image(registry)
        registry.fail("GET", "blobs", redirect=f"{storage.url}/x?signature=secret", times=-1)
        with pytest.raises(RegistryError, match="which is not https") as caught:
            fetch(client_of(RegistrySettings(registry.host, ca_path=str(certificates.ca))), layout, reference, blob)
        assert not storage.seen
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("goal", ["https://[/", "https://host:port/", "//a:99999999/"])
    def test_no_redirect_to_what_is_no_address(self, goal: str, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, _blob = image(registry)
        registry.fail("GET", "manifests", redirect=goal, times=-1)
        with pytest.raises(RegistryError, match="sends us to"):
            client_of(registry).get_manifest(reference)

    def test_no_endless_redirects(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        reference, blob = image(registry)
        registry.fail("GET", "blobs", redirect="/v2/team/app/blobs/x", times=-1)
        with pytest.raises(RegistryError, match="more than 5 redirects"):
            fetch(client_of(registry), layout, reference, blob)

    def test_has_blob(self, fake_registry: Make) -> None:
        registry = fake_registry()
        reference, blob = image(registry)
        client = client_of(registry)
        assert client.has_blob(reference, blob)
        assert not client.has_blob(Reference.parse(f"{registry.host}/other:1"), blob)


class TestMirrors:
    def test_in_their_order_and_then_the_registry(self, fake_registry: Make, layout: Layout) -> None:
        registry, first, second = fake_registry(), fake_registry(), fake_registry()
        reference, blob = image(registry)
        image(second, "hub/team/app")
        mirrors = (first.host, f"{second.host}/hub")
        client = client_of(plain(registry.host, mirrors=mirrors), first, second)
        client.get_manifest(reference)
        fetch(client, layout, reference, blob)
        assert [seen.path.rpartition("/")[0] for seen in first.seen if seen.path != "/v2/"] == [
            "/v2/team/app/manifests",
            "/v2/team/app/blobs",
        ]
        assert [seen.path.rpartition("/")[0] for seen in second.seen if seen.path != "/v2/"] == [
            "/v2/hub/team/app/manifests",
            "/v2/hub/team/app/blobs",
        ]
        assert not registry.seen

    def test_a_dead_mirror_is_left_alone_for_a_while(self, fake_registry: Make, layout: Layout) -> None:
        registry, dead = fake_registry(), fake_registry()
        reference, blob = image(registry)
        dead.close()
        client = client_of(plain(registry.host, mirrors=(dead.host,)), dead)
        client.get_manifest(reference)
        assert WAITS == [0.5]
        fetch(client, layout, reference, blob)
        assert WAITS == [0.5]

    def test_a_mirror_with_wrong_bytes_is_not_asked_for_them_again(self, fake_registry: Make, layout: Layout) -> None:
        registry, mirror = fake_registry(), fake_registry()
        reference, blob = image(registry)
        image(mirror)
        mirror.fail("GET", "blobs", times=-1, wrong_bytes=True)
        client = client_of(plain(registry.host, mirrors=(mirror.host,)), mirror)
        with pytest.raises(DigestMismatch):
            fetch(client, layout, reference, blob)
        fetch(client, layout, reference, blob)
        assert len(mirror.requests("GET", "blobs")) == 1

    def test_all_that_failed_is_told(self, fake_registry: Make) -> None:
        registry, mirror = fake_registry(), fake_registry()
        client = client_of(plain(registry.host, mirrors=(mirror.host,)), mirror)
        with pytest.raises(RegistryError, match=rf"; before that, mirror {mirror.host}: GET .* answered 404"):
            client.get_manifest(Reference.parse(f"{registry.host}/a:1"))

    def test_the_registrys_login_is_not_the_mirrors(self, fake_registry: Make) -> None:
        registry, mirror = fake_registry(auth="basic"), fake_registry(auth="basic")
        reference, _blob = image(registry)
        settings = plain(registry.host, username=USER, password=PASSWORD, mirrors=(mirror.host,))
        client_of(settings, mirror).get_manifest(reference)
        assert not [seen for seen in mirror.seen if "Authorization" in seen.headers]


class TestUploads:
    def push(self, registry: FakeRegistry, layout: Layout, *mount_from: str) -> t.Tuple[str, int]:
        blob = Descriptor("application/x", layout.put_bytes(LAYER), len(LAYER))
        meter = Meter()
        reference = Reference.parse(f"{registry.host}/new/app:1")
        how = client_of(registry).push_blob(reference, blob, layout, mount_from, meter)
        assert registry.repository("new/app").blobs[str(blob.digest)] == LAYER
        return how, meter.bytes

    def methods(self, registry: FakeRegistry) -> t.List[str]:
        return [f"{seen.method} {seen.status}" for seen in registry.requests("", "blobs")]

    def test_whole(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        assert self.push(registry, layout) == ("pushed", len(LAYER))
        assert self.methods(registry) == ["HEAD 404", "POST 202", "PUT 201"]

    def test_not_again(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        registry.add_blob("new/app", LAYER)
        assert self.push(registry, layout) == ("present", len(LAYER))
        assert self.methods(registry) == ["HEAD 200"]

    def test_mounted(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        registry.add_blob("old/app", LAYER)
        assert self.push(registry, layout, "old/app") == ("mounted", len(LAYER))
        assert self.methods(registry) == ["HEAD 404", "POST 201"]

    @pytest.mark.parametrize("fault", [{}, {"status": 405}, {"status": 403}])
    def test_uploaded_where_mounting_does_not_work(
        self, fake_registry: Make, layout: Layout, fault: t.Dict[str, t.Any]
    ) -> None:
        registry = fake_registry()
        registry.mounts = False
        registry.add_blob("old/app", LAYER)
        if fault:
            registry.fail("POST", "uploads", **fault)
        assert self.push(registry, layout, "old/app") == ("pushed", len(LAYER))

    def test_mounting_asks_for_both_scopes(self, fake_registry: Make, token_server: MakeTokens, layout: Layout) -> None:
        tokens = token_server(anonymous=True)
        registry = fake_registry(auth=tokens)
        registry.add_blob("old/app", LAYER)
        assert self.push(registry, layout, "old/app")[0] == "mounted"
        assert sorted(set().union(*tokens.granted.values())) == [
            "repository:new/app:pull",
            "repository:new/app:push",
            "repository:old/app:pull",
        ]

    def test_goes_on_where_it_broke(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        registry.fail("PUT", "uploads", read_only=100_000)
        assert self.push(registry, layout) == ("pushed", len(LAYER))
        patches = registry.requests("PATCH", "uploads")
        assert [seen.headers["Content-Range"] for seen in patches] == [f"100000-{len(LAYER) - 1}"]

    def test_goes_on_again_when_the_rest_breaks_too(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        registry.fail("PUT", "uploads", read_only=100_000)
        registry.fail("PATCH", "uploads", read_only=50_000)
        assert self.push(registry, layout) == ("pushed", len(LAYER))
        starts = [seen.headers["Content-Range"].partition("-")[0] for seen in registry.requests("PATCH", "uploads")]
        assert starts == ["100000", "150000"]

    @pytest.mark.parametrize("status", [404, 405])
    def test_begins_anew_when_the_upload_is_forgotten(self, fake_registry: Make, layout: Layout, status: int) -> None:
        registry = fake_registry()
        registry.fail("PUT", "uploads", read_only=100_000)
        registry.fail("GET", "uploads", status=status)
        assert self.push(registry, layout) == ("pushed", len(LAYER))
        assert len(registry.requests("POST", "uploads")) == 2

    def test_busy_registry(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        for method in ("HEAD", "POST", "PUT"):
            registry.fail(method, "blobs", status=503)
        assert self.push(registry, layout) == ("pushed", len(LAYER))

    def test_state_in_locations_is_not_told(self, fake_registry: Make, layout: Layout) -> None:
        registry = fake_registry()
        registry.fail("PUT", "uploads", times=-1, status=403)
        with pytest.raises(RegistryError, match="_state=REDACTED&digest=sha256:") as caught:
            self.push(registry, layout)
        assert "secret-state" not in str(caught.value)


def test_put_manifest_goes_under_the_digest_or_the_tag(fake_registry: Make) -> None:
    registry = fake_registry()
    reference, _blob = image(registry)
    client = client_of(registry)
    document = parse_document(registry.repository("team/app").manifests[registry.repository("team/app").tags["1"]][1])
    client.put_manifest(reference.with_tag("two"), document)
    client.put_manifest(Reference(reference.registry, reference.repository, digest=document.digest), document)
    assert [seen.path.rpartition("/")[2] for seen in registry.requests("PUT")] == ["two", str(document.digest)]


def test_a_registry_listed_twice_is_refused() -> None:
    with pytest.raises(OciError, match="registries: r.example: a registry is listed twice"):
        RegistryClient([RegistrySettings("r.example"), RegistrySettings("r.example")])
