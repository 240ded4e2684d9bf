# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a delivery to a host consists of, and the one file that its parcels are made in.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import socket
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import (
    ClusterImage,
    platform_of,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    make_directories,
    open_partial,
    os_errors,
    remove_if_free,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_walk import joined_platforms, wanted_platforms
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import is_foreign
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._parcel import Range, write_parcel


@dataclass(frozen=True)
class Shipment:
    """An image as a host needs it: its index whole, and the blobs of some of its platforms (all when none is given)."""

    reference: Reference
    descriptor: Descriptor
    index: Index
    platforms: t.Sequence[Platform]
    blobs: t.Sequence[Descriptor]

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)

    def platforms_after(self, digest: t.Optional[str], platforms: t.Sequence[str]) -> t.List[str]:
        """The platforms on the host afterwards, when the name stood for this digest and these platforms before."""
        several = [list(self.platforms)]
        if digest == str(self.descriptor.digest):
            several.append([Platform.parse(text) for text in platforms])
        return [text for text in joined_platforms(self.index, *several).split(",") if text]


def plan_shipment(layout: Layout, reference: Reference, platforms: t.Sequence[str]) -> Shipment:
    """Find everything that hosts of these platforms need of an image; all of it has to be in the controller's store."""
    descriptor = layout.resolve(reference)
    image = ClusterImage.read(layout, descriptor)
    wanted = [_own_platform(image, Platform.parse(text)) for text in platforms] or wanted_platforms(descriptor)
    index = layout.read_document(descriptor)
    if not isinstance(index, Index):
        raise OciError(f"{descriptor.digest} is not an index", where=layout.path)
    if not joined_platforms(index, wanted):
        wanted = []
    blobs: t.Dict[str, Descriptor] = {}
    for entry in index.children:
        platform = platform_of(entry)
        if not wanted or platform is None or any(platform.matches(one) for one in wanted):
            blobs.update((str(blob.digest), blob) for blob in _blobs_of(layout, entry))
    blobs[str(descriptor.digest)] = descriptor
    _require(layout, reference, blobs.values())
    return Shipment(reference, descriptor, index, wanted, list(blobs.values()))


def _own_platform(image: ClusterImage, platform: Platform) -> Platform:
    for own in image.platforms:
        if own.matches(platform):
            return own
    raise OciError(
        f"the image has nothing for {platform}",
        why=f"it is made for {', '.join(map(str, image.platforms))}",
        fix="Build it for that platform too, or deliver it to hosts of these platforms only.",
    )


def _blobs_of(layout: Layout, entry: Descriptor) -> t.List[Descriptor]:
    """An entry of the image and what it needs; an upstream's index in a lock is a plain blob here."""
    if not layout.has(entry.digest):
        return [entry]
    document = layout.read_document(entry)
    if not isinstance(document, Manifest):
        return list(layout.reachable(entry))
    return [*(child for child in document.children if not is_foreign(child.media_type)), entry]


def _require(layout: Layout, reference: Reference, blobs: t.Iterable[Descriptor]) -> None:
    absent = [blob for blob in blobs if not layout.has(blob.digest, blob.size)]
    if absent:
        raise OciError(
            f"{reference} is not whole in the controller's store",
            where=layout.path,
            why=f"{len(absent)} of its blobs are missing, the first is {absent[0].digest}",
            fix="Pull it for these platforms, or build it again.",
        )


def parcel_name(host: str, store: str) -> str:
    """The name of the parcel files between this controller's user and a host's store, the same in every run."""
    parts = (socket.gethostname(), str(os.getuid()), host, store)
    return f"sealer-parcel-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


class ParcelFile:
    """The file on the controller that parcels are made in, one after the other.

    Its lock keeps a second delivery between the same two places waiting; what a killed run left is written over.
    """

    def __init__(self, directory: str, name: str) -> None:
        self.path = os.path.join(directory, name)
        self._handle = -1

    def __enter__(self) -> ParcelFile:
        with os_errors("cannot make the parcel file", self.path):
            make_directories(os.path.dirname(self.path))
            self._handle = open_partial(self.path, 0o600)
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        os.close(self._handle)

    def discard(self) -> None:
        """Remove what is left where the delivery was killed, unless another one has gone on with it."""
        with contextlib.suppress(FileNotFoundError):
            remove_if_free(self.path)

    def fill(self, layout: Layout, ranges: t.Sequence[Range]) -> str:
        """Make the next parcel; gives its SHA-256 sum."""
        with os_errors("cannot write the parcel file", self.path):
            os.ftruncate(self._handle, 0)
            with open(os.dup(self._handle), "wb") as stream:
                stream.seek(0)
                return write_parcel(layout, ranges, stream)


class Connection(t.Protocol):
    """What is asked of Ansible's connection plugins."""

    @property
    def transport(self) -> str: ...

    def get_option(self, option: str) -> t.Any: ...

    def set_option(self, option: str, value: t.Any) -> None: ...


def send_as_it_is(connection: Connection) -> None:
    """Let SSH carry blobs as they are: they are compressed, and trying it again is slower than most networks.

    Ansible's default arguments ask for compression, which is agreed when a connection begins, so this takes one of its
    own.
    """
    if connection.transport != "ssh":
        return
    arguments = shlex.split(connection.get_option("ssh_args") or "")
    if "-C" not in arguments:
        return
    connection.set_option("ssh_args", shlex.join(argument for argument in arguments if argument != "-C"))
    connection.set_option("control_path", (connection.get_option("control_path") or "%(directory)s/%%C") + "-blobs")
