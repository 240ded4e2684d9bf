# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a delivery consists of."""

from __future__ import annotations

import os
import pathlib
import threading
import typing as t

import pytest
import yaml
from ansible_collections.sealer.cluster.plugins.action import image_deliver
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._parcel import (
    Missing,
    plan_parcels,
    take_parcel,
    write_parcel,
)
from ansible_collections.sealer.cluster.plugins.modules import image_deliver as documented
from ansible_collections.sealer.cluster.plugins.plugin_utils._delivery import (
    ParcelFile,
    Shipment,
    parcel_name,
    plan_shipment,
    send_as_it_is,
)
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample, sample

NAME = "registry.example/shop:1"


@pytest.fixture(name="store")
def fixture_store(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


@pytest.fixture(name="made")
def fixture_made(store: Layout) -> Sample:
    return sample(store, NAME)


def deliver(store: Layout, shipment: Shipment, far: Layout, platforms: t.Sequence[str] = ()) -> None:
    """Everything of a shipment into another store, and the name."""
    missing = [Missing(str(blob.digest), blob.size) for blob in shipment.blobs]
    for ranges in plan_parcels(missing, 1000):
        with open(f"{far.path}.parcel", "w+b") as parcel:
            sha256 = write_parcel(store, ranges, parcel)
            parcel.seek(0)
            take_parcel(far, parcel, sha256)
    far.tag(shipment.reference, shipment.descriptor, [Platform.parse(text) for text in platforms])


def test_all_platforms_are_the_whole_image(store: Layout, made: Sample, tmp_path: pathlib.Path) -> None:
    shipment = plan_shipment(store, made.reference, [])
    assert {blob.digest for blob in shipment.blobs} == {blob.digest for blob in store.reachable(made.descriptor)}
    assert plan_shipment(store, made.reference, ["linux/arm64", "linux/amd64"]) == shipment
    far = Layout.open(str(tmp_path / "far"), create=True)
    deliver(store, shipment, far)
    assert far.verify() == []
    assert far.names() == store.names()


def test_one_platform_is_nothing_of_the_others(store: Layout, made: Sample, tmp_path: pathlib.Path) -> None:
    shipment = plan_shipment(store, made.reference, ["linux/arm64/v8"])
    digests = {blob.digest for blob in shipment.blobs}
    assert made.layers["linux/arm64"] in digests
    assert made.layers["linux/amd64"] not in digests
    assert shipment.size < plan_shipment(store, made.reference, []).size * 6 / 10
    far = Layout.open(str(tmp_path / "far"), create=True)
    deliver(store, shipment, far, ["linux/arm64"])
    assert far.verify() == []
    assert set(far.names()) == set(store.names())
    far.prune()
    assert far.verify() == []
    assert all(far.has(digest) for digest in digests)


def test_what_is_here_for_one_platform_is_delivered_for_it(store: Layout, made: Sample, tmp_path: pathlib.Path) -> None:
    far = Layout.open(str(tmp_path / "far"), create=True)
    shipment = plan_shipment(store, made.reference, ["linux/amd64"])
    deliver(store, shipment, far, ["linux/amd64"])
    assert {blob.digest for blob in plan_shipment(far, made.reference, []).blobs} == {
        blob.digest for blob in shipment.blobs
    }
    with pytest.raises(OciError, match="is not whole in the controller's store.*Pull it for these platforms"):
        plan_shipment(far, made.reference, ["linux/arm64"])


def test_a_platform_that_the_image_has_not(store: Layout, made: Sample) -> None:
    with pytest.raises(OciError, match="nothing for linux/s390x: it is made for linux/amd64, linux/arm64"):
        plan_shipment(store, made.reference, ["linux/s390x"])


def test_a_blob_that_is_gone(store: Layout, made: Sample) -> None:
    os.unlink(store.blob_path(made.layers["linux/amd64"]))
    with pytest.raises(OciError, match=f"1 of its blobs are missing, the first is {made.layers['linux/amd64']}"):
        plan_shipment(store, made.reference, [])


@pytest.mark.parametrize(
    ("asked", "same_image", "there", "expected"),
    [
        (["linux/amd64"], False, [], ["linux/amd64"]),
        (["linux/amd64"], False, ["linux/arm64"], ["linux/amd64"]),
        (["linux/amd64"], True, ["linux/amd64"], ["linux/amd64"]),
        (["linux/amd64"], True, ["linux/arm64"], []),
        (["linux/amd64"], True, [], []),
        ([], True, ["linux/arm64"], []),
        ([], False, [], []),
    ],
)
def test_platforms_afterwards(
    store: Layout, made: Sample, asked: t.List[str], same_image: bool, there: t.List[str], expected: t.List[str]
) -> None:
    shipment = plan_shipment(store, made.reference, asked)
    digest = str(made.descriptor.digest) if same_image else f"sha256:{'0' * 64}"
    assert shipment.platforms_after(digest, there) == expected


def test_a_parcel_file_is_named_by_its_ends_only() -> None:
    names = {parcel_name(host, store) for host in ("a", "b") for store in ("/x", "/y")}
    assert len(names) == 4
    assert parcel_name("a", "/x") in names


def test_a_parcel_file_is_written_over_and_removed(store: Layout, made: Sample, tmp_path: pathlib.Path) -> None:
    left = tmp_path / "tmp" / "parcel"
    left.parent.mkdir()
    left.write_bytes(b"left by a killed run" * 1000)
    size = made.descriptor.size
    (ranges,) = plan_parcels([Missing(str(made.descriptor.digest), size)], size)
    with ParcelFile(str(left.parent), "parcel") as parcel:
        parcel.fill(store, ranges)
        first = left.read_bytes()
        parcel.fill(store, [])
        assert len(left.read_bytes()) < len(first) < 1000 + size
    assert list(left.parent.iterdir()) == []


def test_two_deliveries_to_the_same_store_wait_for_each_other(tmp_path: pathlib.Path) -> None:
    order: t.List[str] = []

    def second() -> None:
        with ParcelFile(str(tmp_path), "parcel"):
            order.append("second")

    with ParcelFile(str(tmp_path), "parcel"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_documentation_has_the_action_plugins_options() -> None:
    options = yaml.safe_load(documented.DOCUMENTATION)["options"]
    keys = ("type", "elements", "required", "default")
    assert {
        name: {key: option[key] for key in keys if key in option} for name, option in options.items()
    } == image_deliver.SPEC


class Options:
    """A connection plugin, as far as its options go."""

    def __init__(self, transport: str, **options: str) -> None:
        self.transport = transport
        self.options = dict(options)

    def get_option(self, option: str) -> object:
        return self.options.get(option)

    def set_option(self, option: str, value: str) -> None:
        self.options[option] = value


@pytest.mark.parametrize(
    ("transport", "given", "wanted"),
    [
        (
            "ssh",
            {"ssh_args": "-C -o ControlMaster=auto -o 'ProxyCommand=nc %h'"},
            {"ssh_args": "-o ControlMaster=auto -o 'ProxyCommand=nc %h'", "control_path": "%(directory)s/%%C-blobs"},
        ),
        (
            "ssh",
            {"ssh_args": "-C", "control_path": "/tmp/%%r"},
            {"ssh_args": "", "control_path": "/tmp/%%r-blobs"},
        ),
        ("ssh", {"ssh_args": "-o Compression=no"}, {"ssh_args": "-o Compression=no"}),
        ("local", {"ssh_args": "-C"}, {"ssh_args": "-C"}),
    ],
)
def test_blobs_are_not_compressed_again(transport: str, given: dict[str, str], wanted: dict[str, str]) -> None:
    connection = Options(transport, **given)
    send_as_it_is(connection)
    assert connection.options == wanted
