# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Downloads, against a site of the publishers' layout."""

from __future__ import annotations

import hashlib
import os
import pathlib
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build import parts_download
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import Download
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_download import Downloader, NotPublished
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import key_of
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.release_site import (
    PUBLIC,
    ReleaseSite,
    archive,
    running_site,
)

DATA = bytes(range(256)) * 4096
TOOL = Download("1.0", f"{PUBLIC}v1.0/tool", f"{PUBLIC}v1.0/tool.sha256", "")
PACKED = Download("1.0", f"{PUBLIC}v1.0/tools.tgz", f"{PUBLIC}v1.0/SUMS", "bin/tool")


@pytest.fixture
def downloader(site: ReleaseSite, tmp_path: pathlib.Path) -> Downloader:
    return Downloader(str(tmp_path / "cache"), site.mirrors, progress=NullProgress(), sleep=lambda _seconds: None)


def leave_half(cache: pathlib.Path, url: str, data: bytes) -> pathlib.Path:
    """What a download that was killed leaves."""
    path = cache / "download" / key_of(url) / (url.rpartition("/")[2] + ".partial")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def test_a_program_is_checked_against_the_published_sum(site: ReleaseSite, downloader: Downloader) -> None:
    digest = site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    made = downloader.make(TOOL, "tool")
    assert pathlib.Path(made.path).read_bytes() == DATA
    assert (made.sha256, made.size, made.source_sha256) == (digest, len(DATA), digest)


def test_a_full_disk_is_no_fault_of_the_site(
    site: ReleaseSite, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    monkeypatch.setattr(parts_download, "open_partial", lambda _path: os.open("/dev/full", os.O_RDWR))
    with pytest.raises(BuildError, match="cannot keep the download: No space left on device. Make room"):
        downloader.make(TOOL, "tool")
    assert len(site.gets("/v1.0/tool")) == 1


def test_what_is_in_the_cache_is_not_fetched_again(site: ReleaseSite, downloader: Downloader) -> None:
    digest = site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    downloader.make(TOOL, "tool")
    site.requests.clear()
    downloader.make(TOOL, "tool", pinned=digest)
    assert site.requests == []


def test_a_damaged_file_in_the_cache_is_fetched_again(site: ReleaseSite, downloader: Downloader) -> None:
    digest = site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    path = pathlib.Path(downloader.make(TOOL, "tool").path)
    path.write_bytes(DATA[:-1] + b"x")
    assert downloader.make(TOOL, "tool").sha256 == digest
    assert path.read_bytes() == DATA


@pytest.mark.parametrize(
    "text",
    [
        "{sum}",
        "{sum}\n",
        "{SUM}  tool\n",
        "{sum} *tool\n",
        "{sum}  ./release/tool\n",
        "{other}  tool.asc\n{sum}  tool\n{other}  atool\n",
        "a heading\n\n{sum}\ttool\n",
    ],
)
def test_checksum_files_have_many_forms(site: ReleaseSite, downloader: Downloader, text: str) -> None:
    digest = site.publish("/v1.0/tool", DATA)
    site.files["/v1.0/tool.sha256"] = text.format(sum=digest, SUM=digest.upper(), other="0" * 64).encode()
    assert downloader.make(TOOL, "tool").source_sha256 == digest


@pytest.mark.parametrize("text", ["", "{other}  atool\n", "{sum} {sum} tool", "{short}  tool", "{other}\n{other}\n"])
def test_a_checksum_file_without_the_sum_is_refused(site: ReleaseSite, downloader: Downloader, text: str) -> None:
    digest = site.publish("/v1.0/tool", DATA)
    site.files["/v1.0/tool.sha256"] = text.format(sum=digest, other="0" * 64, short=digest[:40]).encode()
    with pytest.raises(BuildError, match="the checksum file has no sha256 sum of tool"):
        downloader.make(TOOL, "tool")
    assert site.gets("/v1.0/tool") == []


def test_a_missing_checksum_file_is_told(site: ReleaseSite, downloader: Downloader) -> None:
    site.publish("/v1.0/tool", DATA)
    with pytest.raises(NotPublished, match=r"v1.0/tool.sha256: there is no such file: the site answers 404"):
        downloader.make(TOOL, "tool")


def test_a_missing_release_is_told(site: ReleaseSite, downloader: Downloader) -> None:
    site.files["/v1.0/tool.sha256"] = b"0" * 64
    with pytest.raises(NotPublished, match=r"v1.0/tool: there is no such file: the site answers 404"):
        downloader.make(TOOL, "tool")
    assert len(site.gets("/v1.0/tool")) == 1


def test_a_refusal_is_not_asked_again(site: ReleaseSite, downloader: Downloader) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    site.answers["/v1.0/tool"] = [403]
    with pytest.raises(BuildError, match="the site refuses the file: it answers 403"):
        downloader.make(TOOL, "tool")


def test_a_wrong_sum_leaves_nothing(site: ReleaseSite, downloader: Downloader, tmp_path: pathlib.Path) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    site.files["/v1.0/tool"] = DATA[::-1]
    with pytest.raises(BuildError, match="the download has the wrong sum"):
        downloader.make(TOOL, "tool")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_half_download_goes_on(site: ReleaseSite, downloader: Downloader, tmp_path: pathlib.Path) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    half = leave_half(tmp_path / "cache", TOOL.url, DATA[:300_000])
    assert pathlib.Path(downloader.make(TOOL, "tool").path).read_bytes() == DATA
    assert site.gets("/v1.0/tool") == ["bytes=300000-"]
    assert not half.exists()


def test_a_whole_partial_file_is_taken(site: ReleaseSite, downloader: Downloader, tmp_path: pathlib.Path) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    leave_half(tmp_path / "cache", TOOL.url, DATA)
    assert pathlib.Path(downloader.make(TOOL, "tool").path).read_bytes() == DATA


@pytest.mark.parametrize("half", [b"x" * 300_000, DATA + b"x", DATA[::-1]])
def test_half_of_something_else_is_thrown_away(
    site: ReleaseSite, downloader: Downloader, tmp_path: pathlib.Path, half: bytes
) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    leave_half(tmp_path / "cache", TOOL.url, half)
    assert pathlib.Path(downloader.make(TOOL, "tool").path).read_bytes() == DATA
    assert len(site.gets("/v1.0/tool")) == 2


def test_a_site_without_ranges_sends_everything_again(
    site: ReleaseSite, downloader: Downloader, tmp_path: pathlib.Path
) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    site.ignores_range = True
    leave_half(tmp_path / "cache", TOOL.url, DATA[:300_000])
    assert pathlib.Path(downloader.make(TOOL, "tool").path).read_bytes() == DATA


def test_a_connection_that_breaks_is_taken_up_where_it_broke(site: ReleaseSite, downloader: Downloader) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    site.break_after["/v1.0/tool"] = [400_000, 0, 300_000]
    assert pathlib.Path(downloader.make(TOOL, "tool").path).read_bytes() == DATA
    assert site.gets("/v1.0/tool") == ["", "bytes=400000-", "bytes=400000-", "bytes=700000-"]


def test_a_connection_that_breaks_too_often_leaves_what_came(site: ReleaseSite, downloader: Downloader) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    site.break_after["/v1.0/tool"] = [400_000, 0, 0, 0]
    with pytest.raises(BuildError, match="the connection ended too early. Run it again"):
        downloader.make(TOOL, "tool")
    assert pathlib.Path(downloader.make(TOOL, "tool").path).read_bytes() == DATA
    assert site.gets("/v1.0/tool")[-1] == "bytes=400000-"


@pytest.mark.parametrize("path", ["/v1.0/tool", "/v1.0/tool.sha256"])
def test_what_may_pass_is_asked_again(site: ReleaseSite, downloader: Downloader, path: str) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    site.answers[path] = [503, 500, 429]
    assert downloader.make(TOOL, "tool").size == len(DATA)


@pytest.mark.parametrize("path", ["/v1.0/tool", "/v1.0/tool.sha256"])
def test_what_does_not_pass_is_told(site: ReleaseSite, downloader: Downloader, path: str) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    site.answers[path] = [503] * 4
    with pytest.raises(BuildError, match="the download failed: the site answers 503"):
        downloader.make(TOOL, "tool")


@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_member_of_an_archive_is_taken(site: ReleaseSite, downloader: Downloader, prefix: str) -> None:
    digest = site.publish("/v1.0/tools.tgz", archive({"bin/tool": DATA, "tool": b"no"}, prefix), "/v1.0/SUMS")
    made = downloader.make(PACKED, "tool")
    assert pathlib.Path(made.path).read_bytes() == DATA
    assert (made.sha256, made.source_sha256) == (hashlib.sha256(DATA).hexdigest(), digest)
    assert made.path.endswith("/tool") and pathlib.Path(made.path).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (archive({"bin/other": b"x"}), "the archive has no file bin/tool"),
        (b"no archive at all" * 99, "the archive cannot be read"),
        (archive({"bin/tool": DATA})[:200], "the archive cannot be read"),
    ],
)
def test_bad_archives_are_told(site: ReleaseSite, downloader: Downloader, data: bytes, told: str) -> None:
    site.publish("/v1.0/tools.tgz", data, "/v1.0/SUMS")
    with pytest.raises(BuildError, match=told):
        downloader.make(PACKED, "tool")


def test_many_programs_of_one_archive_are_one_download(site: ReleaseSite, downloader: Downloader) -> None:
    names = [f"tool{number}" for number in range(8)]
    site.publish("/v1.0/tools.tgz", archive({name: name.encode() * 9999 for name in names}), "/v1.0/SUMS")

    def make(name: str) -> None:
        download = Download("1.0", PACKED.url, PACKED.checksums, name)
        assert pathlib.Path(downloader.make(download, name).path).read_bytes() == name.encode() * 9999

    threads = [threading.Thread(target=make, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site.gets("/v1.0/tools.tgz")) == len(site.gets("/v1.0/SUMS")) == 1


def test_each_host_is_asked_once_whether_it_answers(site: ReleaseSite, downloader: Downloader) -> None:
    site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    assert downloader.reachable([TOOL.checksums, f"{PUBLIC}other"]) is None
    assert site.requests == [("HEAD", "/v1.0/tool.sha256", "")]


def test_hosts_that_do_not_answer_are_named(site: ReleaseSite, downloader: Downloader) -> None:
    told = downloader.reachable([TOOL.checksums, "http://127.0.0.1:1/tool"])
    assert told is not None
    assert f"{site.url.split('/')[2]}: the site answers 404" in told
    assert "127.0.0.1:1: " in told


def test_addresses_of_mirrors_are_told_without_secrets(tmp_path: pathlib.Path) -> None:
    mirrors = [(PUBLIC, "http://user:secret@127.0.0.1:1/")]
    downloader = Downloader(str(tmp_path), mirrors, progress=NullProgress(), sleep=lambda _seconds: None)
    with pytest.raises(BuildError) as caught:
        downloader.make(TOOL, "tool")
    assert "secret" not in str(caught.value)


@pytest.fixture
def other_site() -> t.Iterator[ReleaseSite]:
    with running_site() as made:
        yield made


@pytest.fixture
def netrc(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login for the host localhost alone."""
    (tmp_path / "netrc").write_text("machine localhost login jane password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.usefixtures("netrc")
def test_a_login_is_shown_to_its_site_alone(site: ReleaseSite, other_site: ReleaseSite, tmp_path: pathlib.Path) -> None:
    own = site.url.replace("127.0.0.1", "localhost")
    digest = other_site.publish("/elsewhere", DATA)
    site.redirects = {"/v1.0/tool": "/moved", "/moved": f"{other_site.url}elsewhere"}
    downloader = Downloader(str(tmp_path / "cache"), [(PUBLIC, own)], progress=NullProgress())
    assert pathlib.Path(downloader.fetch(TOOL.url, digest)).read_bytes() == DATA
    assert [login[:6] for login in site.logins] == ["Basic ", "Basic "]
    assert other_site.logins == [""]


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize(
    "goal",
    ["{other}\\@{own}/x", "http://{other}\\@{own}/x", "//{other}\\@{own}/x", "http://u:p@{other}/x", "ftp://{other}/x"],
)
def test_a_redirect_that_may_be_read_in_two_ways_is_not_followed(
    site: ReleaseSite, other_site: ReleaseSite, tmp_path: pathlib.Path, goal: str
) -> None:
    own = site.url.replace("127.0.0.1", "localhost")
    hosts = {"own": own.split("/")[2], "other": other_site.url.split("/")[2]}
    site.redirects = {"/v1.0/tool": goal.format(**hosts)}
    downloader = Downloader(
        str(tmp_path / "cache"), [(PUBLIC, own)], progress=NullProgress(), sleep=lambda _seconds: None
    )
    with pytest.raises(BuildError, match="will not go where the site sends us: invalid URL"):
        downloader.fetch(TOOL.url, "0" * 64)
    assert other_site.requests == []


def test_redirects_come_to_an_end(site: ReleaseSite, downloader: Downloader) -> None:
    site.redirects = {"/v1.0/tool": "tool"}
    with pytest.raises(BuildError, match="more than 5 redirects"):
        downloader.fetch(TOOL.url, "0" * 64)


def test_no_redirect_from_https_to_http() -> None:
    with pytest.raises(BuildError, match=r"http://b\.example/x is not https"):
        parts_download._redirected(Url.parse("https://a.example/x"), "http://b.example/x")


def test_a_login_in_a_mirrors_address_is_not_told(tmp_path: pathlib.Path) -> None:
    mirrors = [(PUBLIC, "http://jane:s3cret@127.0.0.1:1/")]
    told = Downloader(str(tmp_path / "cache"), mirrors, progress=NullProgress()).reachable([TOOL.url])
    assert told is not None
    assert told.startswith("127.0.0.1:1: ")
