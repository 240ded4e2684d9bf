# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host's side of a delivery, without Ansible."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._parcel import Missing, plan_parcels, write_parcel
from ansible_collections.sealer.cluster.plugins.modules.image_receive import free_bytes, receive, remove_leftovers
from ansible_collections.sealer.cluster.plugins.plugin_utils._delivery import Shipment, plan_shipment
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample

NAME = "registry.example/shop:1"
Params = t.Dict[str, t.Any]


class Delivery:
    """A controller's store with an image, and what the action plugin would pass to the module."""

    def __init__(self, path: pathlib.Path, platforms: t.Sequence[str] = ()) -> None:
        self.path = path
        self.here = Layout.open(str(path / "here"), create=True)
        self.far = str(path / "far")
        made = sample(self.here, NAME)
        self.shipment: Shipment = plan_shipment(self.here, made.reference, platforms)

    def params(self, **options: t.Any) -> Params:
        descriptor = self.shipment.descriptor
        return {
            "store": self.far,
            "image": NAME,
            "descriptor": {
                "media_type": descriptor.media_type,
                "digest": str(descriptor.digest),
                "size": descriptor.size,
            },
            "platforms": [str(platform) for platform in self.shipment.platforms],
            "wanted": [{"digest": str(blob.digest), "size": blob.size} for blob in self.shipment.blobs],
            "parcel": None,
            "commit": False,
            "leftovers": None,
            **options,
        }

    def parcels(self, missing: t.Sequence[Params], parcel_size: int) -> t.Iterator[Params]:
        for ranges in plan_parcels([Missing(**blob) for blob in missing], parcel_size):
            with open(self.path / "parcel", "wb") as stream:
                sha256 = write_parcel(self.here, ranges, stream)
            yield {"path": str(self.path / "parcel"), "sha256": sha256}


def test_a_host_without_a_store_lacks_everything(tmp_path: pathlib.Path) -> None:
    delivery = Delivery(tmp_path)
    answer = receive(delivery.params(leftovers={"directory": str(tmp_path), "name": "x"}), check_mode=False)
    assert sum(blob["size"] for blob in answer["missing"]) == delivery.shipment.size
    assert "current" not in answer
    assert answer["space"]["store"] > 0 < answer["space"]["temporary"]
    assert not answer["changed"]
    assert not os.path.exists(delivery.far)


@pytest.mark.parametrize("platforms", [[], ["linux/amd64"]])
def test_parcels_make_the_image(tmp_path: pathlib.Path, platforms: t.List[str]) -> None:
    delivery = Delivery(tmp_path, platforms)
    answer = receive(delivery.params(), check_mode=False)
    received = 0
    for parcel in delivery.parcels(answer["missing"], 1500):
        answer = receive(delivery.params(parcel=parcel), check_mode=False)
        assert answer["changed"]
        received += answer["received"]
    assert received == delivery.shipment.size
    assert answer["missing"] == []
    assert "current" not in answer
    answer = receive(delivery.params(commit=True), check_mode=False)
    assert answer["changed"]
    assert answer["current"] == {"digest": str(delivery.shipment.descriptor.digest), "platforms": platforms}
    assert not receive(delivery.params(commit=True), check_mode=False)["changed"]
    assert Layout.open(delivery.far).verify() == []


def test_a_broken_off_delivery_goes_on_where_it_was(tmp_path: pathlib.Path) -> None:
    delivery = Delivery(tmp_path)
    missing = receive(delivery.params(), check_mode=False)["missing"]
    parcels = delivery.parcels(missing, 1500)
    received = sum(receive(delivery.params(parcel=next(parcels)), check_mode=False)["received"] for _parcel in range(3))
    again = receive(delivery.params(), check_mode=False)["missing"]
    assert sum(blob["size"] - blob["offset"] for blob in again) == delivery.shipment.size - received
    for parcel in delivery.parcels(again, 1500):
        receive(delivery.params(parcel=parcel), check_mode=False)
    assert receive(delivery.params(commit=True), check_mode=False)["current"]


def test_an_image_with_a_hole_gets_no_name(tmp_path: pathlib.Path) -> None:
    delivery = Delivery(tmp_path)
    missing = receive(delivery.params(), check_mode=False)["missing"]
    for parcel in delivery.parcels(missing[1:], 1 << 20):
        receive(delivery.params(parcel=parcel), check_mode=False)
    with pytest.raises(OciError, match="is not whole in the store"):
        receive(delivery.params(commit=True), check_mode=False)
    assert "current" not in receive(delivery.params(), check_mode=False)


def test_check_mode_leaves_everything_as_it_is(tmp_path: pathlib.Path) -> None:
    delivery = Delivery(tmp_path)
    left = tmp_path / "ansible-tmp-1" / "parcel"
    left.parent.mkdir()
    left.write_bytes(b"left")
    missing = receive(delivery.params(), check_mode=False)["missing"]
    parcel = next(delivery.parcels(missing, 1 << 20))
    options = {"parcel": parcel, "commit": True, "leftovers": {"directory": str(tmp_path), "name": "parcel"}}
    answer = receive(delivery.params(**options), check_mode=True)
    assert not answer["changed"]
    assert answer["missing"] == missing
    assert left.exists()
    assert not os.path.exists(delivery.far)


def test_leftovers_of_our_name_are_removed_and_nothing_else(tmp_path: pathlib.Path) -> None:
    ours = [tmp_path / "ansible-tmp-1" / "parcel", tmp_path / "ansible-local-2" / "ansible-tmp-3" / "parcel"]
    others = [tmp_path / "ansible-tmp-4" / "other", tmp_path / "somewhere" / "parcel", tmp_path / "parcel"]
    for path in [*ours, *others]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    elsewhere = tmp_path / "somewhere"
    (tmp_path / "ansible-tmp-5").symlink_to(elsewhere)
    assert remove_leftovers(str(tmp_path), "parcel") == []
    assert [path.parent.exists() for path in ours] == [False, False]
    assert all(path.exists() for path in others)


def test_a_leftover_that_cannot_be_removed_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "ansible-tmp-1" / "parcel"
    left.parent.mkdir()
    left.write_bytes(b"left")

    def refuse(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr("shutil.rmtree", refuse)
    (told,) = remove_leftovers(str(tmp_path), "parcel")
    assert str(left.parent) in told
    assert "Operation not permitted" in told


def test_free_space_of_what_does_not_exist_yet(tmp_path: pathlib.Path) -> None:
    free = free_bytes(str(tmp_path / "a" / "b" / "c"))
    assert free is not None and free > 0


def test_free_space_where_files_have_no_size() -> None:
    assert free_bytes("/proc/none") is None
