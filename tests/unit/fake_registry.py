# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A registry that does what the distribution specification says, over real HTTP, and misbehaves on demand.

Uses nothing of the collection, so that both cannot be wrong in the same way.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import ssl
import threading
import typing as t
import uuid
from dataclasses import dataclass, field
from urllib.parse import parse_qs, parse_qsl, urlsplit

USER, PASSWORD, IDENTITY = "jane", "s3cret-word", "identity-token-of-jane"

_ROUTE = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|blobs/uploads)/(?P<what>[^/]*)")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


def digest_of(data: bytes) -> str:
    """The digest of these bytes, as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Seen:
    """A request that came, and the status it was answered with."""

    method: str
    path: str
    query: t.Mapping[str, str]
    headers: t.Mapping[str, str]
    status: int


@dataclass
class Fault:
    """What goes wrong with requests of a method whose path is found by a pattern, the first ``times`` times."""

    method: str
    path: str
    times: int = 1
    status: int = 0
    body: bytes = b""
    headers: t.Mapping[str, str] = field(default_factory=dict)
    redirect: str = ""
    cut_after: t.Optional[int] = None
    read_only: t.Optional[int] = None
    ignore_range: bool = False
    wrong_bytes: bool = False
    fewer_bytes: bool = False
    wait_for: t.Optional[threading.Event] = None


@dataclass
class Repository:
    """What one repository holds."""

    blobs: t.Dict[str, bytes] = field(default_factory=dict)
    manifests: t.Dict[str, t.Tuple[str, bytes]] = field(default_factory=dict)
    tags: t.Dict[str, str] = field(default_factory=dict)
    uploads: t.Dict[str, bytearray] = field(default_factory=dict)


class Gate:
    """Holds requests until so many of them are there at once."""

    def __init__(self, wanted: int, patience: float = 20.0) -> None:
        self._barrier = threading.Condition()
        self._wanted = wanted
        self._patience = patience
        self._inside = 0
        self.peak = 0

    @contextlib.contextmanager
    def passing(self) -> t.Iterator[None]:
        with self._barrier:
            self._inside += 1
            self.peak = max(self.peak, self._inside)
            self._barrier.notify_all()
            self._barrier.wait_for(lambda: self.peak >= self._wanted, self._patience)
        yield
        with self._barrier:
            self._inside -= 1


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Clients that hang up are part of the tests."""


class Loopback:
    """A server on a free port of the loopback interface."""

    def __init__(self, tls: t.Optional[ssl.SSLContext] = None, name: str = "127.0.0.1") -> None:
        owner = self

        class Handler(_Handler):
            registry = owner

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"{name}:{self._server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self.seen: t.List[Seen] = []
        self.faults: t.List[Fault] = []
        self.lock = threading.RLock()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, method: str, path: str, **what: t.Any) -> Fault:
        """Let requests go wrong, see Fault."""
        fault = Fault(method, path, **what)
        self.faults.append(fault)
        return fault

    def fault_for(self, method: str, path: str) -> t.Optional[Fault]:
        """The fault that strikes this request."""
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def requests(self, method: str = "", path: str = "") -> t.List[Seen]:
        """What came of a method, under a path pattern."""
        return [seen for seen in self.seen if method in ("", seen.method) and re.search(path, seen.path)]

    def answer(self, request: _Handler) -> None:
        """Answer one request."""
        raise NotImplementedError


class TokenServer(Loopback):
    """Gives tokens to USER, and to nobody in particular where that is allowed."""

    def __init__(self, *, anonymous: bool = False, life: t.Optional[int] = 300, **where: t.Any) -> None:
        self.anonymous = anonymous
        self.life = life
        self.granted: t.Dict[str, t.Set[str]] = {}
        super().__init__(**where)

    def answer(self, request: _Handler) -> None:
        if request.command == "POST":
            form = dict(parse_qs(request.body.decode()))
            known = form.get("refresh_token") == [IDENTITY] and form.get("grant_type") == ["refresh_token"]
            scopes = " ".join(form.get("scope", [])).split()
        else:
            known = request.headers.get("Authorization") == basic()
            scopes = [value for name, value in request.pairs if name == "scope"]
        if not known and not (self.anonymous and "Authorization" not in request.headers):
            request.reply(401, b'{"details": "wrong password"}')
            return
        token = f"token-{uuid.uuid4()}"
        self.granted[token] = {
            f"{scope.rpartition(':')[0]}:{action}" for scope in scopes for action in scope.rpartition(":")[2].split(",")
        }
        document = {"token": token, **({"expires_in": self.life} if self.life is not None else {})}
        request.reply(200, json.dumps(document).encode())


def basic(user: str = USER, password: str = PASSWORD) -> str:
    """The header of a basic login."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class FakeRegistry(Loopback):
    """The registry. ``auth`` is "basic", or the token server whose tokens are good."""

    def __init__(self, *, auth: t.Union[None, str, TokenServer] = None, **where: t.Any) -> None:
        self.auth = auth
        self.repositories: t.Dict[str, Repository] = {}
        self.gate: t.Optional[Gate] = None
        self.mounts = True
        self.etags = True
        self.realm = f"{auth.url}/token" if isinstance(auth, TokenServer) else ""
        super().__init__(**where)

    def repository(self, name: str) -> Repository:
        """The repository of this name, made when missing."""
        with self.lock:
            return self.repositories.setdefault(name, Repository())

    def add_blob(self, name: str, data: bytes) -> str:
        """Put a blob there."""
        self.repository(name).blobs[digest_of(data)] = data
        return digest_of(data)

    def add_manifest(self, name: str, raw: bytes, media_type: str, tag: str = "") -> str:
        """Put a manifest or an index there."""
        repository = self.repository(name)
        repository.manifests[digest_of(raw)] = (media_type, raw)
        if tag:
            repository.tags[tag] = digest_of(raw)
        return digest_of(raw)

    def add_image(self, name: str, tag: str, layers: t.Sequence[bytes], architecture: str = "amd64") -> str:
        """Put a whole image there; gives the digest of its manifest."""
        config = json.dumps({"os": "linux", "architecture": architecture}).encode()
        parts = [(data, "application/vnd.oci.image.layer.v1.tar+gzip") for data in layers]
        described = [
            {"mediaType": kind, "digest": self.add_blob(name, data), "size": len(data)}
            for data, kind in [(config, "application/vnd.oci.image.config.v1+json"), *parts]
        ]
        media_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": described[0], "layers": described[1:]}
        return self.add_manifest(name, json.dumps(manifest, indent=2).encode(), media_type, tag)

    def add_index(self, name: str, tag: str, architectures: t.Mapping[str, str]) -> str:
        """Put an index of manifests that are there; gives its digest."""
        entries = [
            {
                "mediaType": self.repository(name).manifests[digest][0],
                "digest": digest,
                "size": len(self.repository(name).manifests[digest][1]),
                "platform": {"os": "linux", "architecture": architecture},
            }
            for architecture, digest in architectures.items()
        ]
        index = {"schemaVersion": 2, "mediaType": _INDEXES[0], "manifests": entries}
        return self.add_manifest(name, json.dumps(index, indent=1).encode(), _INDEXES[0], tag)

    def answer(self, request: _Handler) -> None:
        route = _ROUTE.fullmatch(request.path_only)
        name = route.group("name") if route else ""
        if not self._allowed(request, name):
            request.refuse(401, "UNAUTHORIZED", {"WWW-Authenticate": self._challenge(name)})
        elif route is None:
            request.reply(200 if request.path_only == "/v2/" else 404, b"{}")
        else:
            kind = "uploads" if route.group("kind").endswith("uploads") else route.group("kind")
            handler = getattr(self, f"_{request.command.lower()}_{kind}", None)
            if handler is None:
                request.refuse(405, "UNSUPPORTED")
            else:
                handler(request, self.repository(name), route.group("what"))

    def _challenge(self, name: str) -> str:
        if self.auth == "basic":
            return 'Basic realm="fake"'
        scope = f',scope="repository:{name}:pull"' if name else ""
        return f'Bearer realm="{self.realm}",service="fake, registry"{scope}'

    def _allowed(self, request: _Handler, name: str) -> bool:
        shown = request.headers.get("Authorization", "")
        if self.auth is None:
            return True
        if isinstance(self.auth, str):
            return shown == basic()
        granted = self.auth.granted.get(shown.partition(" ")[2])
        action = "pull" if request.command in ("GET", "HEAD") else "push"
        return granted is not None and (not name or f"repository:{name}:{action}" in granted)

    def _get_manifests(self, request: _Handler, repository: Repository, what: str) -> None:
        found = repository.manifests.get(repository.tags.get(what, what))
        if found is None:
            request.refuse(404, "MANIFEST_UNKNOWN")
            return
        media_type, raw = found
        headers = {"Content-Type": media_type, "Docker-Content-Digest": digest_of(raw)}
        if self.etags:
            headers["ETag"] = f'"{digest_of(raw)}"'
            if request.headers.get("If-None-Match") == headers["ETag"]:
                request.reply(304, b"", headers)
                return
        request.reply(200, raw, headers)

    _head_manifests = _get_manifests

    def _put_manifests(self, request: _Handler, repository: Repository, what: str) -> None:
        document = json.loads(request.body)
        if document["mediaType"] in _INDEXES:
            needed, there = [one["digest"] for one in document["manifests"]], set(repository.manifests)
        else:
            needed, there = [one["digest"] for one in [document["config"], *document["layers"]]], set(repository.blobs)
        digest = digest_of(request.body)
        if set(needed) - there:
            request.refuse(404, "MANIFEST_BLOB_UNKNOWN")
        elif ":" in what and what != digest:
            request.refuse(400, "DIGEST_INVALID")
        else:
            repository.manifests[digest] = (request.headers["Content-Type"], request.body)
            if ":" not in what:
                repository.tags[what] = digest
            request.reply(201, b"", {"Docker-Content-Digest": digest})

    def _get_blobs(self, request: _Handler, repository: Repository, what: str) -> None:
        data = repository.blobs.get(what)
        if data is None:
            request.refuse(404, "BLOB_UNKNOWN")
            return
        with self.gate.passing() if self.gate and request.command == "GET" else contextlib.nullcontext():
            request.reply_range(data)

    _head_blobs = _get_blobs

    def _post_uploads(self, request: _Handler, repository: Repository, _what: str) -> None:
        query = dict(request.pairs)
        source = self.repositories.get(query.get("from", ""), Repository())
        if self.mounts and query.get("mount") in source.blobs:
            repository.blobs[query["mount"]] = source.blobs[query["mount"]]
            request.reply(201)
            return
        session = uuid.uuid4().hex
        repository.uploads[session] = bytearray()
        self._reply_upload(request, repository, session, 202)

    def _reply_upload(self, request: _Handler, repository: Repository, session: str, status: int) -> None:
        path = request.path_only.rpartition("/")[0]
        headers = {
            "Location": f"{path}/{session}?_state=secret-state",
            "Range": f"0-{max(0, len(repository.uploads[session]) - 1)}",
        }
        request.reply(status, b"", headers)

    def _get_uploads(self, request: _Handler, repository: Repository, session: str) -> None:
        if session not in repository.uploads:
            request.refuse(404, "BLOB_UPLOAD_UNKNOWN")
        else:
            self._reply_upload(request, repository, session, 204)

    def _patch_uploads(self, request: _Handler, repository: Repository, session: str) -> None:
        upload = repository.uploads.get(session)
        if upload is None:
            request.refuse(404, "BLOB_UPLOAD_UNKNOWN")
            return
        asked = request.headers.get("Content-Range", f"{len(upload)}-")
        if int(asked.partition("-")[0]) != len(upload):
            request.refuse(416, "BLOB_UPLOAD_INVALID")
            return
        upload.extend(request.body)
        if not request.body_broke:
            self._reply_upload(request, repository, session, 202)

    def _put_uploads(self, request: _Handler, repository: Repository, session: str) -> None:
        upload = repository.uploads.get(session)
        if upload is None or ("_state", "secret-state") not in request.pairs:
            request.refuse(404, "BLOB_UPLOAD_UNKNOWN")
            return
        upload.extend(request.body)
        if request.body_broke:
            return
        digest = digest_of(bytes(upload))
        if dict(request.pairs).get("digest") != digest:
            request.refuse(400, "DIGEST_INVALID")
            return
        repository.blobs[digest] = bytes(repository.uploads.pop(session))
        request.reply(201, b"", {"Docker-Content-Digest": digest})


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    registry: Loopback

    def log_message(self, *_arguments: t.Any) -> None:
        """Keep quiet; requests are in Loopback.seen."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.path_only = parts.path
        self.pairs = parse_qsl(parts.query, keep_blank_values=True)
        self.fault = self.registry.fault_for(self.command, self.path_only) or Fault("", "")
        self.body_broke = False
        self.body = self._read_body(self.fault.read_only)
        if self.fault.wait_for is not None:
            self.fault.wait_for.wait(30)
        if self.fault.redirect:
            self.reply(307, b"", {"Location": self.fault.redirect})
        elif self.fault.status:
            self.reply(self.fault.status, self.fault.body, self.fault.headers)
        else:
            self.registry.answer(self)
        if self.body_broke:
            self._hang_up()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _serve

    def _read_body(self, only: t.Optional[int]) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        if only is not None and only < length:
            self.body_broke = True
            return self.rfile.read(only)
        return self.rfile.read(length)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.registry.seen.append(self._seen(0))
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    def _seen(self, status: int) -> Seen:
        return Seen(self.command, self.path_only, dict(self.pairs), dict(self.headers.items()), status)

    def reply(self, status: int, body: bytes = b"", headers: t.Optional[t.Mapping[str, str]] = None) -> None:
        """Send an answer, or as much of it as the fault allows."""
        self.registry.seen.append(self._seen(status))
        if self.fault.wrong_bytes:
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.fault.fewer_bytes:
            body = body[:-1]
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault.cut_after is not None:
            self.wfile.write(body[: self.fault.cut_after])
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(2)
        else:
            self.wfile.write(body)

    def refuse(self, status: int, code: str, headers: t.Optional[t.Mapping[str, str]] = None) -> None:
        """Send an error in the form of the specification."""
        body = json.dumps({"errors": [{"code": code, "message": f"no: {code.lower()}"}]}).encode()
        self.reply(status, body, headers)

    def reply_range(self, data: bytes) -> None:
        """Send a blob, or the part of it that is asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None or self.fault.ignore_range:
            self.reply(200, data)
            return
        start = int(asked.group(1))
        if start >= len(data):
            self.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        else:
            self.reply(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
