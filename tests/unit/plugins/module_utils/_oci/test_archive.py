# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives: the same bytes every time, loaded as a stream, and never trusted."""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import pathlib
import stat
import tarfile
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci import archive, media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit import sample_image
from hypothesis import given, settings
from hypothesis import strategies as st

NAME = Reference.parse("quay.io/t/cluster:1")
Entry = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def source(tmp_path: pathlib.Path) -> Layout:
    layout = Layout.open(str(tmp_path / "source"), create=True)
    sample_image.sample(layout, str(NAME))
    return layout


@pytest.fixture
def target(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "target"), create=True)


@pytest.fixture
def saved(source: Layout, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "image.tar"
    archive.save(source, source.resolve(NAME), NAME, str(path))
    return path


def entries(path: pathlib.Path) -> list[Entry]:
    with tarfile.open(path) as opened:
        found = []
        for member in opened.getmembers():
            stream = opened.extractfile(member)
            found.append((member, stream.read() if stream else b""))
        return found


def write(path: pathlib.Path, content: t.Iterable[Entry]) -> pathlib.Path:
    with tarfile.open(path, "w") as opened:
        for member, data in content:
            opened.addfile(member, io.BytesIO(data))
    return path


def file_entry(name: str, data: bytes, **more: t.Any) -> Entry:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in more.items():
        setattr(member, key, value)
    return member, data


def assert_untouched(layout: Layout) -> None:
    assert layout.names() == {}
    assert layout.verify() == []
    assert list(pathlib.Path(layout.path).rglob(".*.partial")) == []


class Counter(NullProgress):
    def __init__(self) -> None:
        self.expected = 0
        self.seen = 0
        self.items = 0

    def total(self, size: int, items: int) -> None:
        self.expected += size
        self.items -= items

    def add(self, size: int) -> None:
        self.seen += size

    def item(self, name: str) -> None:
        self.items += bool(name)


class PruneProbe(NullProgress):
    """Fails when prune could begin at a moment when progress is told."""

    def __init__(self, layout: Layout) -> None:
        self.path = os.path.join(layout.path, ".session.lock")

    def add(self, size: int) -> None:
        with open(self.path) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        raise AssertionError(f"prune may begin after {size} bytes")


def test_an_archive_is_the_same_bytes_wherever_it_is_made(
    source: Layout, target: Layout, saved: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    counter = Counter()
    archive.load(target, str(saved))
    size = archive.save(target, target.resolve(NAME), NAME, str(tmp_path / "again.tar"), counter)
    assert (tmp_path / "again.tar").read_bytes() == saved.read_bytes()
    assert size == saved.stat().st_size
    blobs = {blob.digest: blob.size for blob in source.reachable(source.resolve(NAME))}
    assert (counter.expected, counter.seen, counter.items) == (sum(blobs.values()), sum(blobs.values()), 0)
    assert target.names() == source.names()
    assert target.verify() == []


def test_an_archive_tells_nothing_about_who_made_it(saved: pathlib.Path) -> None:
    with tarfile.open(saved) as opened:
        members = opened.getmembers()
    told = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members if m.isfile()}
    assert told == {(0, 0, 0, "", "", 0o644)}
    assert [m.name for m in members][:4] == ["oci-layout", "index.json", "blobs", "blobs/sha256"]
    assert [m.name for m in members][4:] == sorted(m.name for m in members if m.name.count("/") == 2)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_an_archive_has_the_mode_of_new_files(source: Layout, tmp_path: pathlib.Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        archive.save(source, source.resolve(NAME), NAME, str(tmp_path / "image.tar"))
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE((tmp_path / "image.tar").stat().st_mode) == mode


def test_a_loaded_archive_is_not_read_again(target: Layout, saved: pathlib.Path) -> None:
    first, second = Counter(), Counter()
    assert archive.contents(str(saved)) == archive.load(target, str(saved), first)
    assert first.seen == first.expected == saved.stat().st_size
    with saved.open("r+b") as stream:
        stream.truncate(2 << 10)
        stream.truncate(4 << 20)
    assert archive.load(target, str(saved), second)
    assert second.seen < second.expected


def test_a_wrong_rest_of_a_broken_off_write_does_no_harm(target: Layout, saved: pathlib.Path) -> None:
    member, data = entries(saved)[-1]
    with target.writer(Digest("sha256", member.name.rpartition("/")[2]), len(data)) as writer:
        writer.write(b"X")
    archive.load(target, str(saved))
    assert target.verify() == []


def test_prune_is_kept_away_while_saving_and_loading(source: Layout, target: Layout, tmp_path: pathlib.Path) -> None:
    archive.save(source, source.resolve(NAME), NAME, str(tmp_path / "a.tar"), PruneProbe(source))
    archive.load(target, str(tmp_path / "a.tar"), PruneProbe(target))
    with pytest.raises(AssertionError):
        PruneProbe(source).add(1)


def test_order_compression_and_dots_do_not_matter(target: Layout, saved: pathlib.Path, tmp_path: pathlib.Path) -> None:
    turned = []
    for member, data in reversed(entries(saved)):
        member.name = f"./{member.name}"
        turned.append((member, data))
    plain = write(tmp_path / "turned.tar", turned)
    packed = tmp_path / "turned.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert [str(name) for name, _descriptor in archive.load(target, str(packed))] == [str(NAME)]
    assert target.verify() == []


def test_a_partial_cluster_image_stays_partial(source: Layout, target: Layout, tmp_path: pathlib.Path) -> None:
    entry = source.resolve(NAME)
    wanted = Reference.parse("quay.io/t/small:1")
    source.tag(wanted, entry, platforms=[Platform.parse("linux/amd64")])
    archive.save(source, source.resolve(wanted), wanted, str(tmp_path / "small.tar"))
    archive.load(target, str(tmp_path / "small.tar"))
    assert target.resolve(wanted).annotations[media.ANNOTATION_PLATFORM] == "linux/amd64"
    assert target.verify() == []


def test_the_name_can_be_given(target: Layout, saved: pathlib.Path) -> None:
    other = Reference.parse("other:2")
    assert [name for name, _descriptor in archive.load(target, str(saved), reference=other)] == [other]
    assert target.find(NAME) is None and target.find(other) is not None


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        ({media.ANNOTATION_REF: "web:1"}, "docker.io/library/web:1"),
        ({media.ANNOTATION_REF: "1.0", "io.containerd.image.name": "docker.io/a/b:1.0"}, "docker.io/a/b:1.0"),
        ({media.ANNOTATION_REF: "latest"}, "which is a bare tag"),
        ({}, "has no name"),
        ({media.ANNOTATION_REF: "Bad/:"}, "invalid image name"),
    ],
)
def test_names_of_other_tools(
    target: Layout, source: Layout, tmp_path: pathlib.Path, annotations: dict[str, str], name: str
) -> None:
    path = tmp_path / "other.tar"
    archive.save(source, source.resolve(NAME), NAME, str(path))
    index = {
        "schemaVersion": 2,
        "manifests": [{**source.resolve(NAME).to_json(), "annotations": annotations}],
    }
    changed = [
        (file_entry("index.json", canonical_json(index)) if member.name == "index.json" else (member, data))
        for member, data in entries(path)
    ]
    write(path, changed)
    if name.startswith("docker.io"):
        assert [str(found) for found, _descriptor in archive.load(target, str(path))] == [name]
    else:
        with pytest.raises(OciError, match=name):
            archive.load(target, str(path))
        assert target.names() == {}


EVIL = b"evil"
EVIL_PATH = f"blobs/sha256/{Digest.of(EVIL).hex}"
OTHER_INDEX = canonical_json(
    {
        "schemaVersion": 2,
        "manifests": [Descriptor(media.OCI_MANIFEST, Digest.of(EVIL), 4, {media.ANNOTATION_REF: "evil:1"}).to_json()],
    }
)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (file_entry("../outside", EVIL), "points outside"),
        (file_entry("/etc/outside", EVIL), "points outside"),
        (file_entry("blobs/sha256/../../outside", EVIL), "points outside"),
        (file_entry(EVIL_PATH, b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "neither a plain file"),
        (file_entry(EVIL_PATH, b"", type=tarfile.LNKTYPE, linkname="index.json"), "neither a plain file"),
        (file_entry("notes", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "neither a plain file"),
        (file_entry("notes", b"", type=tarfile.FIFOTYPE), "neither a plain file"),
        (file_entry(EVIL_PATH, b"evi1"), "does not match"),
        (file_entry(f"{EVIL_PATH}0", EVIL), "not named by a digest"),
        (file_entry("blobs/md5/d41d8cd98f00b204e9800998ecf8427e", b""), "not named by a digest"),
        (file_entry("blobs/sha256", EVIL), "not named by a digest"),
        (file_entry("index.json", OTHER_INDEX), "two different index.json"),
        (file_entry("index.json", b" " * ((16 << 20) + 1)), "more than 16777216"),
        (file_entry("oci-layout", b"{}"), "two different oci-layout"),
        (file_entry("blobs", b"", type=tarfile.XHDTYPE, size=2 << 20), "a header claims 2097152 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_archives_are_refused(
    target: Layout, saved: pathlib.Path, tmp_path: pathlib.Path, extra: Entry, why: str
) -> None:
    content = entries(saved)
    for place in (0, len(content) - 1):
        if extra[0].type == tarfile.XHDTYPE:
            raw = write(tmp_path / "evil.tar", []).read_bytes()
            (tmp_path / "evil.tar").write_bytes(extra[0].tobuf() + raw)
        else:
            write(tmp_path / "evil.tar", [*content[:place], extra, *content[place:]])
        with pytest.raises(OciError, match=why):
            archive.load(target, str(tmp_path / "evil.tar"))
        assert_untouched(target)
        assert not (tmp_path / "outside").exists()


def test_a_blob_twice_with_other_content_is_refused(
    target: Layout, saved: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    content = entries(saved)
    member, data = content[-1]
    same = write(tmp_path / "same.tar", [content[-1], *content])
    other = write(tmp_path / "other.tar", [content[-1], file_entry(member.name, data[::-1]), *content])
    with pytest.raises(OciError, match="does not match"):
        archive.load(target, str(other))
    assert_untouched(target)
    assert len(archive.load(target, str(same))) == 1


@pytest.mark.parametrize("lacking", ["index.json", "oci-layout", "blobs"])
def test_a_lacking_part_is_told(target: Layout, saved: pathlib.Path, tmp_path: pathlib.Path, lacking: str) -> None:
    content = entries(saved)
    kept = content[:-1] if lacking == "blobs" else [item for item in content if item[0].name != lacking]
    write(tmp_path / "short.tar", kept)
    with pytest.raises(OciError, match=lacking):
        archive.load(target, str(tmp_path / "short.tar"))
    assert_untouched(target)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty file|could not be opened|end is missing"),
        (b"not a tar at all" * 100, "could not be opened|cannot be read"),
        (b"\0" * 20480, "has no oci-layout and index.json"),
        (b"\x1f\x8b\x08\x00garbage", "cannot be read"),
    ],
)
def test_what_is_no_archive_is_refused(target: Layout, tmp_path: pathlib.Path, content: bytes, why: str) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(OciError, match=why):
        archive.load(target, str(tmp_path / "x.tar"))
    with pytest.raises(OciError, match="No such file"):
        archive.load(target, str(tmp_path / "gone.tar"))


def test_the_format_that_podman_saves_unless_told_is_told(target: Layout, tmp_path: pathlib.Path) -> None:
    link = tarfile.TarInfo("0f3c/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, "../4711.tar"
    with tarfile.open(tmp_path / "podman.tar", "w") as stream:
        stream.addfile(link)
    with pytest.raises(OciError, match="docker's own format.*skopeo copy"):
        archive.load(target, str(tmp_path / "podman.tar"))


def test_dockers_own_format_is_told(target: Layout, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "docker.tar", [file_entry("manifest.json", b"[]")])
    with pytest.raises(OciError, match="docker's own format.*skopeo copy"):
        archive.load(target, str(tmp_path / "docker.tar"))


@settings(max_examples=60)
@given(st.data())
def test_a_cut_or_changed_archive_is_an_error_or_the_image(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("damaged")
    source = Layout.open(str(place / "source"), create=True)
    sample_image.sample(source, str(NAME), size=16, platforms=["linux/amd64"])
    archive.save(source, source.resolve(NAME), NAME, str(place / "a.tar"))
    raw = bytearray((place / "a.tar").read_bytes())
    for _change in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    (place / "a.tar").write_bytes(raw[:cut] if data.draw(st.booleans()) else raw)
    target = Layout.open(str(place / "target"), create=True)
    try:
        archive.load(target, str(place / "a.tar"))
    except OciError:
        assert_untouched(target)
    else:
        assert target.entries() and target.verify() == []


def test_saving_leaves_a_whole_file_or_none(source: Layout, saved: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = saved.read_bytes()
    layer = next(blob for blob in source.reachable(source.resolve(NAME)) if blob.media_type == media.LAYER_TAR_GZIP)
    path = pathlib.Path(source.blob_path(layer.digest))
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    with pytest.raises(OciError, match="does not match"):
        archive.save(source, source.resolve(NAME), NAME, str(saved))
    path.unlink()
    with pytest.raises(OciError, match="not whole in the store"):
        archive.save(source, source.resolve(NAME), NAME, str(saved))
    path.write_bytes(good)
    with pytest.raises(OciError, match="it is a directory"):
        archive.save(source, source.resolve(NAME), NAME, str(tmp_path))
    with pytest.raises(OciError, match="No such file"):
        archive.save(source, source.resolve(NAME), NAME, str(tmp_path / "gone" / "a.tar"))
    assert saved.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["image.tar", "source"]
