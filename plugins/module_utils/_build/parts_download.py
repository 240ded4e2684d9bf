# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs from publishers' releases: checked against their checksum files, resumed where they broke off.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import errno
import http.client
import os
import posixpath
import re
import shutil
import tarfile
import threading
import time
import typing as t
import urllib.error
import urllib.parse
import zlib

from ansible.module_utils.urls import ConnectionError as UrlError
from ansible.module_utils.urls import open_url
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import Download
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import (
    Made,
    Origin,
    key_of,
    put,
    sum_of,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_sums import ListedSum
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import open_partial
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import redact_url
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url, split_login

_CHUNK = 1 << 18
_SUMS_LIMIT = 1 << 20
_SUM_LINE = re.compile(r"([0-9A-Fa-f]{64})(?:[ \t]+[*]?(\S+))?")
_ATTEMPTS = 4
_WAIT = 1.0
_TIMEOUT = 30
_PROBE_TIMEOUT = 5
_PROBE_ALL = 10.0
_ABSENT = (404, 410)
_LOGIN = 401
_FINAL = (400, _LOGIN, 403, 405, 451)
_PARTIAL_CONTENT = 206
_REDIRECTS = 5
_REDIRECT_STATUS = (301, 302, 303, 307, 308)
_RANGE_REFUSED = 416
_FAILURES = (OSError, http.client.HTTPException, UrlError)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK = (*_FULL, errno.EFBIG, errno.EIO, errno.EROFS)


class NotPublished(BuildError):
    """The publisher's site answers that there is no such file."""


class Downloader:
    """Fetches releases into a cache. Threads may share it."""

    def __init__(
        self,
        cache: str,
        mirrors: t.Sequence[t.Tuple[str, str]] = (),
        *,
        progress: Progress,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._cache = cache
        self._mirrors = mirrors
        self._progress = progress
        self._sleep = sleep
        self._sums: t.Dict[str, str] = {}
        self._lock = threading.Lock()

    def origin(self, download: Download, program: str) -> Origin:
        """Where one program comes from; ``download`` is filled in."""
        source = f"{download.url}#{download.member}" if download.member else download.url
        return Origin(download.version, source, key_of(source, program))

    def make(self, download: Download, program: str, pinned: str = "", listed: t.Optional[ListedSum] = None) -> Made:
        """One program in the cache. ``pinned`` is the sum that the release had when it was gathered first."""
        expected = pinned or self._published_sum(download, listed)
        archive = self.fetch(download.url, expected)
        if not download.member:
            sha256, size = sum_of(archive)
            return Made(archive, sha256, size, expected)
        path = os.path.join(self._cache, "program", key_of(expected, download.member), program)
        if not os.path.exists(path):
            put(path, lambda fresh: _extract(archive, download.member, fresh))
        sha256, size = sum_of(path)
        return Made(path, sha256, size, expected)

    def reachable(self, urls: t.Iterable[str], *, answers_are: t.Collection[int] = ()) -> t.Optional[str]:
        """None when every host of ``urls`` answers, else why one does not. Each host is asked once, shortly.

        An error with one of the statuses ``answers_are`` is as good as a success.
        """
        first: t.Dict[str, str] = {}
        for url in urls:
            place = self.mirrored(url)
            first.setdefault(_address(place)[0].netloc, place)
        answers: t.Dict[str, str] = {}
        threads = [
            threading.Thread(target=_probe, args=(url, host, answers, answers_are), daemon=True)
            for host, url in first.items()
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + _PROBE_ALL
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        told = [
            f"{host}: {answers.get(host, 'no answer in time')}" for host in sorted(first) if answers.get(host) != ""
        ]
        return "; ".join(told) or None

    def registries_reachable(self, hosts: t.Iterable[str]) -> t.Optional[str]:
        """None when every registry answers, be it that it wants a login."""
        return self.reachable([f"https://{host}/v2/" for host in hosts], answers_are=(_LOGIN,))

    def mirrored(self, url: str) -> str:
        """The address to ask for a publisher's address."""
        for old, new in self._mirrors:
            if url.startswith(old):
                return new + url[len(old) :]
        return url

    def fetch(self, url: str, expected: str) -> str:
        """The file of this sum, in the cache."""
        path = os.path.join(self._cache, "download", key_of(url), posixpath.basename(urllib.parse.urlsplit(url).path))
        partial_path = f"{path}.partial"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with os.fdopen(open_partial(partial_path), "r+b") as partial:
                if os.path.exists(path) and sum_of(path)[0] == expected:
                    os.unlink(partial_path)
                    return path
                self._complete(url, expected, partial, partial_path)
                os.replace(partial_path, path)
        except OSError as error:
            fix = "Make room and run it again." if error.errno in _FULL else ""
            raise BuildError(
                "cannot keep the download", where=path, why=error.strerror or str(error), fix=fix
            ) from error
        return path

    def _complete(self, url: str, expected: str, partial: t.BinaryIO, partial_path: str) -> None:
        begun = partial.seek(0, os.SEEK_END) > 0
        self._receive(url, partial)
        found = sum_of(partial_path)[0]
        if found != expected and begun:
            partial.truncate(0)
            self._receive(url, partial)
            found = sum_of(partial_path)[0]
        if found != expected:
            os.unlink(partial_path)
            raise BuildError(
                "the download has the wrong sum",
                where=redact_url(self.mirrored(url)),
                why=f"its sha256 is {found}, expected is {expected}",
                fix="Do not use it. If the publisher replaced the file on purpose, gather with `update: true`.",
            )

    def _receive(self, url: str, partial: t.BinaryIO) -> None:
        failed = 0
        while True:
            offset = partial.seek(0, os.SEEK_END)
            try:
                return self._stream(url, offset, partial)
            except _FAILURES as error:
                if isinstance(error, OSError) and error.errno in _DISK:
                    raise
                failed = 1 if partial.seek(0, os.SEEK_END) > offset else failed + 1
                refused = _refusal(error, self.mirrored(url))
                if refused or failed >= _ATTEMPTS:
                    raise (refused or _failure(error, self.mirrored(url))) from error
            self._sleep(_WAIT * 2 ** (failed - 1))

    def _stream(self, url: str, offset: int, partial: t.BinaryIO) -> None:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            response = _opened(self.mirrored(url), headers)
        except urllib.error.HTTPError as error:
            if error.code == _RANGE_REFUSED and offset:
                return
            raise
        with response:
            if offset and not _continues(response, offset):
                partial.truncate(0)
                partial.seek(0)
            lacking = int(response.headers.get("Content-Length") or -1)
            self._progress.total(max(lacking, 0), 0)
            for block in iter(lambda: response.read(_CHUNK), b""):
                partial.write(block)
                lacking -= len(block)
                self._progress.add(len(block))
            partial.flush()
            if lacking > 0:
                raise http.client.IncompleteRead(b"", lacking)

    def _published_sum(self, download: Download, listed: t.Optional[ListedSum]) -> str:
        with self._lock:
            text = self._sums.get(download.checksums)
            if text is None:
                text = self._sums[download.checksums] = self._small(download.checksums)
        name = posixpath.basename(urllib.parse.urlsplit(download.url).path)
        where = redact_url(self.mirrored(download.checksums))
        found = _sum_in(text, name, where)
        if listed is not None:
            listed.check(found, where, download.url)
        return found

    def _small(self, url: str) -> str:
        place = self.mirrored(url)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with _opened(place, {}) as response:
                    return bytes(response.read(_SUMS_LIMIT)).decode("utf-8", "replace")
            except _FAILURES as error:
                refused = _refusal(error, place)
                if refused or attempt == _ATTEMPTS:
                    raise (refused or _failure(error, place)) from error
            self._sleep(_WAIT * 2 ** (attempt - 1))
        raise BuildError("the checksum file cannot be read", where=redact_url(place))


def _opened(url: str, headers: t.Mapping[str, str], method: str = "GET", timeout: int = _TIMEOUT) -> t.Any:
    """The answer behind redirects. A login, from the address or the user's netrc file, is shown to its site alone."""
    origin, login = _address(url)
    place, own = origin, True
    for _hop in range(_REDIRECTS + 1):
        own = own and place.has_origin_of(origin)
        user, _colon, word = login.partition(":") if own else ("", "", "")
        try:
            return open_url(
                str(place),
                method=method,
                headers=dict(headers),
                timeout=timeout,
                decompress=False,
                url_username=user or None,
                url_password=word or None,
                use_netrc=own,
                follow_redirects="none",
            )
        except urllib.error.HTTPError as error:
            location = error.headers.get("Location")
            if error.code not in _REDIRECT_STATUS or not location:
                raise
            error.close()
            place = _redirected(place, location)
    raise BuildError("the download failed", where=redact_url(str(origin)), why=f"more than {_REDIRECTS} redirects")


def _address(url: str) -> t.Tuple[Url, str]:
    """The address to ask, and the login that stands in it."""
    try:
        return split_login(url)
    except OciError as error:
        raise BuildError("this cannot be downloaded from", where=redact_url(url), why=error.why) from error


def _redirected(place: Url, location: str) -> Url:
    try:
        goal = place.join(location)
        why = f"{redact_url(str(goal))} is not https" if (place.scheme, goal.scheme) == ("https", "http") else ""
    except OciError as error:
        why = f"{error.what}: {error.why}"
    if why:
        raise BuildError("will not go where the site sends us", where=redact_url(str(place)), why=why)
    return goal


def _continues(response: t.Any, offset: int) -> bool:
    begins = str(response.headers.get("Content-Range") or "").startswith(f"bytes {offset}-")
    return bool(response.status == _PARTIAL_CONTENT and begins)


def _refusal(error: BaseException, url: str) -> t.Optional[BuildError]:
    """What the site will answer again however often it is asked."""
    if not isinstance(error, urllib.error.HTTPError):
        return None
    if error.code in _ABSENT:
        return NotPublished("there is no such file", where=redact_url(url), why=f"the site answers {error.code}")
    if error.code in _FINAL:
        return BuildError("the site refuses the file", where=redact_url(url), why=f"it answers {error.code}")
    return None


def _failure(error: BaseException, url: str) -> BuildError:
    return BuildError(
        "the download failed",
        where=redact_url(url),
        why=_told(error),
        fix="Run it again: it goes on where it broke off. Without a way to the site, gather with `source: build`.",
    )


def _told(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the site answers {error.code}"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended too early"
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _probe(url: str, host: str, answers: t.Dict[str, str], answers_are: t.Collection[int]) -> None:
    try:
        _opened(url, {}, method="HEAD", timeout=_PROBE_TIMEOUT).close()
        answers[host] = ""
    except BuildError as error:
        answers[host] = error.why
    except _FAILURES as error:
        fine = isinstance(error, urllib.error.HTTPError) and error.code in answers_are
        answers[host] = "" if fine else _told(error)


def _sum_in(text: str, name: str, where: str) -> str:
    """The sum of a file in what sha256sum prints, or in a file that holds nothing but the sum."""
    bare: t.List[str] = []
    for line in text.splitlines():
        match = _SUM_LINE.fullmatch(line.strip())
        if match and match.group(2) and posixpath.basename(match.group(2)) == name:
            return match.group(1).lower()
        if match and not match.group(2):
            bare.append(match.group(1).lower())
    if len(bare) == 1:
        return bare[0]
    raise BuildError(f"the checksum file has no sha256 sum of {name}", where=where)


def _extract(archive: str, member: str, fresh: str) -> None:
    try:
        with tarfile.open(archive) as tar:
            for info in tar:
                if posixpath.normpath(info.name) == member and info.isfile():
                    source = tar.extractfile(info)
                    if source is not None:
                        with source, open(fresh, "wb") as sink:
                            shutil.copyfileobj(source, sink)
                        return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BuildError("the archive cannot be read", where=archive, why=str(error)) from error
    raise BuildError(f"the archive has no file {member}", where=archive)
