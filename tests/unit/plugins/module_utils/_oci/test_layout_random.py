# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any order of operations: the store always agrees with a plain dictionary of names."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci import archive
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit import sample_image
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._oci import layout_worker
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

numbers = st.integers(0, 3)
names = st.sampled_from(["quay.io/t/a:1", "quay.io/t/b:1", sample_image.CONTAINER_IMAGES[0]]).map(Reference.parse)


class StoreMachine(RuleBasedStateMachine):
    """Names images of two kinds and checks that nothing named is lost and nothing else outlives a prune."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.layout = Layout.open(str(self.directory / "store"), create=True)
        self.own: dict[str, Digest] = {}
        self.clusters: set[Digest] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    @rule(name=names, number=numbers)
    def name_an_image(self, name: Reference, number: int) -> None:
        self.layout.tag(name, layout_worker.put_image(self.layout, number))
        self.own[str(name)] = self.layout.resolve(name).digest

    @rule(name=names, seed=st.sampled_from(["x", "y"]))
    def name_a_cluster_image(self, name: Reference, seed: str) -> None:
        sample = sample_image.sample(self.layout, str(name), seed=seed, size=64)
        self.own[str(name)] = sample.descriptor.digest
        self.clusters.add(sample.descriptor.digest)

    @rule(name=names, other=names)
    def name_again(self, name: Reference, other: Reference) -> None:
        found = self.layout.find(name)
        if found is not None:
            self.layout.tag(other, found)
            self.own[str(other)] = found.digest

    @rule(name=names)
    def take_a_name_away(self, name: Reference) -> None:
        if str(name) in self.own:
            assert self.layout.untag(name)
            del self.own[str(name)]

    @rule(number=numbers, count=st.integers(0, layout_worker.STEP))
    def break_a_write_off(self, number: int, count: int) -> None:
        data = layout_worker.content(number)
        with self.layout.writer(Digest.of(data), len(data)) as writer:
            if not writer.done:
                writer.write(data[writer.offset : writer.offset + count])

    @rule(number=numbers)
    def bring_a_blob_nobody_names(self, number: int) -> None:
        self.layout.put_bytes(layout_worker.content(number + 100))

    @rule()
    def prune(self) -> None:
        told = self.layout.prune(dry_run=True)
        assert self.layout.prune() == told
        kept = {blob.digest.hex for entry in self.layout.entries() for blob in self.layout.reachable(entry)}
        assert {path.name for path in (self.directory / "store/blobs/sha256").iterdir()} == kept

    @rule(name=names)
    def carry_over_in_an_archive(self, name: Reference) -> None:
        found = self.layout.find(name)
        if found is not None:
            with tempfile.TemporaryDirectory(dir=self.directory) as place:
                archive.save(self.layout, found, name, f"{place}/a.tar")
                other = Layout.open(f"{place}/store", create=True)
                assert blobs_of(archive.load(other, f"{place}/a.tar")) == [found.digest]
                assert other.verify() == []

    @invariant()
    def the_store_agrees(self) -> None:
        assert self.layout.verify() == []
        found = self.layout.names()
        assert {name: found[name].digest for name in self.own} == self.own
        derived = set(found) - set(self.own)
        has_cluster = bool(self.clusters.intersection(self.own.values()))
        assert derived == (set(sample_image.CONTAINER_IMAGES) - set(self.own) if has_cluster else set())


def blobs_of(named: t.Sequence[tuple[Reference, Descriptor]]) -> list[Digest]:
    return [descriptor.digest for _reference, descriptor in named]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=20, suppress_health_check=list(HealthCheck))
