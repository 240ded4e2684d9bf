# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store, a registry and contexts for tests of the builder."""

from __future__ import annotations

import io
import os
import pathlib
import signal
import tarfile
import typing as t
from unittest import mock

from ansible_collections.sealer.cluster.plugins.module_utils._build.builder import BuildRequest, build
from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Document
from ansible_collections.sealer.cluster.plugins.module_utils._build.report import BuildResult
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.sample_image import put_container_image

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
NAME = "registry.example.com/clusters/shop:1.0"


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
