# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store, a registry and contexts for tests of the builder."""

from __future__ import annotations

import io
import json
import os
import pathlib
import posixpath
import signal
import tarfile
import typing as t
from unittest import mock

from ansible_collections.sealer.cluster.plugins.module_utils._build.builder import BuildRequest, build
from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Document
from ansible_collections.sealer.cluster.plugins.module_utils._build.report import BuildResult
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ClusterImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    LABEL_DESCRIPTION,
    LAYER_TAR,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Manifest,
    Platform,
    canonical_json,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.sample_image import DESCRIPTION, put_container_image, put_lock

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
NAME = "registry.example.com/clusters/shop:1.0"
BASE_NAME = "registry.example.com/base:1"


# kind, mode, user, group, time, and content of a file or target of a link
Unpacked = t.Tuple[str, int, int, int, float, str]


def write(root: pathlib.Path, files: t.Mapping[str, str]) -> pathlib.Path:
    """Files with their content below a directory."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def packed(*names: str) -> bytes:
    """An archive as helm makes it, of files that are empty."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return raw.getvalue()


def unpacked(layout: Layout, name: str, platform: Platform = AMD64) -> t.Dict[str, Unpacked]:
    """The tree that a node has of the image, by path."""
    result: t.Dict[str, Unpacked] = {}
    image = ClusterImage.read(layout, layout.resolve(Reference.parse(name)))
    manifest = layout.read_document(image.rootfs[platform])
    assert isinstance(manifest, Manifest)
    for layer in manifest.layers:
        with tarfile.open(fileobj=io.BytesIO(layout.read_blob(layer.digest))) as archive:
            _unpack(archive, result)
    return result


def _unpack(archive: tarfile.TarFile, tree: t.Dict[str, Unpacked]) -> None:
    members = [(posixpath.normpath(member.name), member) for member in archive]
    for path, _member in members:
        directory, base = posixpath.split(path)
        if base == ".wh..wh..opq":
            _drop(tree, f"{directory}/")
        elif base.startswith(".wh."):
            _drop(tree, posixpath.join(directory, base[4:]))
    for path, member in members:
        if path == "." or posixpath.basename(path).startswith(".wh."):
            continue
        stream = archive.extractfile(member) if member.isreg() else None
        kind = "file" if stream else "directory" if member.isdir() else "link"
        content = stream.read().decode() if stream else member.linkname
        if kind != "directory" or tree.get(path, ("",))[0] != "directory":
            _drop(tree, path)
        tree[path] = (kind, member.mode, member.uid, member.gid, member.mtime, content)


def _drop(tree: t.Dict[str, Unpacked], path: str) -> None:
    """Take a path away with all below it; what ends with / loses what is below alone."""
    for one in [one for one in tree if one == path or one.startswith(f"{path.rstrip('/')}/")]:
        del tree[one]


def killed_before_replacing(name: str, action: t.Callable[[], object]) -> None:
    """Do this in a process that gets kill -9 right before it puts a file of this name in its place."""
    replace = os.replace

    def replace_or_die(source: str, target: str) -> None:
        if os.path.basename(target) == name:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    child = os.fork()
    if not child:
        try:
            with mock.patch("os.replace", replace_or_die):
                action()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def add_image(layout: Layout, name: str, *, size: int = 100, index: bool = True) -> Descriptor:
    """A container image for both platforms under a name; without index its linux/amd64 manifest alone."""
    reference = str(Reference.parse(name))
    images, top = put_container_image(layout, reference, [str(AMD64), str(ARM64)], size)
    descriptor = top if index else images[0].descriptor
    layout.tag(Reference.parse(name), Descriptor(descriptor.media_type, descriptor.digest, descriptor.size))
    return descriptor


def tar(entries: t.Mapping[str, str], mtime: int = 1_000_000_000) -> bytes:
    """An archive of entries as `snapshot` tells them: `dir MODE UID:GID`, `link TARGET` or `file MODE UID:GID CONTENT`."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, text in entries.items():
            member = tarfile.TarInfo(path)
            member.mtime = mtime
            kind, rest = text.split(" ", 1)
            if kind == "link":
                member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, rest
                archive.addfile(member)
                continue
            mode, owner, content = (rest.split(" ", 2) + [""])[:3]
            member.type = tarfile.DIRTYPE if kind == "dir" else tarfile.REGTYPE
            member.mode = int(mode, 8)
            member.uid, member.gid = map(int, owner.split(":"))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return raw.getvalue()


def snapshot(layout: Layout, name: str, platform: Platform = AMD64) -> t.Dict[str, str]:
    """The tree that a node has of the image, as text by path."""
    result = {}
    for path, (kind, mode, uid, gid, _mtime, content) in unpacked(layout, name, platform).items():
        if kind == "link":
            result[path] = f"link {content}"
        else:
            result[path] = f"{kind.replace('directory', 'dir')} {mode:o} {uid}:{gid} {content}".rstrip()
    return result


def add_base(
    layout: Layout,
    layers: t.Sequence[bytes],
    *,
    media_type: str = LAYER_TAR,
    platforms: t.Sequence[Platform] = (AMD64,),
    name: str = BASE_NAME,
) -> t.List[Digest]:
    """A cluster image with these layers, as somebody else's tool may have made them; gives their digests."""
    descriptors = [Descriptor(media_type, layout.put_bytes(data), len(data)) for data in layers]
    diff_ids = [str(one.digest) for one in descriptors]
    rootfs, locks = [], []
    for platform in platforms:
        config = canonical_json(
            {
                **platform.to_json(),
                "config": {"Labels": {LABEL_DESCRIPTION: json.dumps(DESCRIPTION)}},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }
        )
        manifest = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": Descriptor(OCI_CONFIG, layout.put_bytes(config), len(config)).to_json(),
                "layers": [one.to_json() for one in descriptors],
            }
        )
        rootfs.append((platform, Descriptor(OCI_MANIFEST, layout.put_bytes(manifest), len(manifest))))
        locks.append((platform, put_lock(layout, str(platform), [])))
    index = ClusterImage.assemble(rootfs=rootfs, locks=locks, images=[])
    layout.tag(Reference.parse(name), Descriptor(OCI_INDEX, layout.put_bytes(index), len(index)))
    return [one.digest for one in descriptors]


class FakeRegistry:
    """Serves what lies in a layout of its own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.asked: t.List[str] = []

    def document(self, reference: Reference) -> Document:
        self.asked.append(str(reference))
        return self._document(reference)

    def blob(self, reference: Reference, descriptor: Descriptor) -> bytes:
        self.asked.append(f"{reference} {descriptor.digest}")
        return self.layout.read_blob(descriptor.digest)

    def open_blob(self, reference: Reference, descriptor: Descriptor) -> t.BinaryIO:
        self.asked.append(f"{reference} {descriptor.digest}")
        return self.layout.open_blob(descriptor.digest)

    def pull_cluster_image(self, layout: Layout, reference: Reference, platform: Platform) -> Descriptor:
        return self._pull(layout, reference)

    def pull_container_image(
        self, layout: Layout, reference: Reference, platform: Platform, parallel: int
    ) -> Descriptor:
        return self._pull(layout, reference)

    def _document(self, reference: Reference) -> Document:
        if reference.digest:
            return self.layout.read_document(reference.digest)
        found = self.layout.find(reference)
        if not found:
            raise OciError(f"{reference} is unknown to the registry")
        return self.layout.read_document(found)

    def _pull(self, layout: Layout, reference: Reference) -> Descriptor:
        self.asked.append(f"pull {reference}")
        top = self._document(reference).descriptor()
        for blob in self.layout.reachable(top):
            layout.put_bytes(self.layout.read_blob(blob.digest))
        return top


class Site:
    """One store, one registry, any number of contexts."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.store = Layout.open(str(root / "store"), create=True)
        self.registry = FakeRegistry(Layout.open(str(root / "registry"), create=True))

    def context(self, name: str, files: t.Mapping[str, str]) -> pathlib.Path:
        return write(self.root / name, files)

    def build(
        self,
        context: pathlib.Path,
        *,
        check: bool = False,
        name: str = NAME,
        platforms: t.Sequence[Platform] = (AMD64,),
        **options: t.Any,
    ) -> BuildResult:
        request = BuildRequest(
            name=Reference.parse(name),
            path=str(context),
            file=str(context / "Kubefile"),
            platforms=platforms,
            **options,
        )
        return build(request, self.store, self.registry, NullProgress(), write=not check)
