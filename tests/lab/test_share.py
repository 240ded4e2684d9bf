# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's image is carried around by tools that have never heard of us, and stays what it is."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import CACHE, DEMO_IMAGE, STORE
from ansible_collections.sealer.cluster.tests.unit.real_registry import RealRegistry

GO = pathlib.Path(__file__).resolve().parents[1] / "tools/go"
NAME = f"docker.io/library/{DEMO_IMAGE}"


def run(*command: str) -> str:
    """What a command prints; what it printed is in the error where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def module(verb: str, **options: object) -> dict[str, t.Any]:
    """The result of one of our modules, run on this machine."""
    arguments = json.dumps({"store": str(STORE), **options})
    shown = run("ansible", "localhost", "--module-name", f"sealer.cluster.{verb}", "--args", arguments)
    return t.cast("dict[str, t.Any]", json.loads(shown[shown.index("{") : shown.rindex("}") + 1]))


def digest_at(place: str) -> str:
    """The digest of what a registry has under a name, as skopeo sees it."""
    raw = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--raw", place], capture_output=True, check=True, timeout=60
    )
    return run_digest(raw.stdout)


def run_digest(raw: bytes) -> str:
    done = subprocess.run(["sha256sum"], input=raw, capture_output=True, check=True)
    return f"sha256:{done.stdout.decode().split()[0]}"


@pytest.fixture(scope="module")
def digest() -> str:
    return str(module("image_info", name=DEMO_IMAGE)["image"]["digest"])


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[str, str]]:
    started = [RealRegistry(tmp_path_factory.mktemp(name)) for name in ("first", "second")]
    yield started[0].host, started[1].host
    for registry in started:
        registry.close()


@pytest.fixture(scope="module")
def pushed(registries: tuple[str, str]) -> str:
    """The image in the first registry, put there by our own push."""
    place = f"{registries[0]}/clusters/demo:1"
    module("image_push", name=DEMO_IMAGE, dest=place, registries=[{"host": registries[0], "insecure": True}])
    return place


@pytest.fixture(scope="module")
def crane() -> str:
    program = CACHE / "bin/crane"
    run(
        "go",
        "-C",
        str(GO),
        "build",
        "-trimpath",
        "-o",
        str(program),
        "github.com/google/go-containerregistry/cmd/crane",
    )
    return str(program)


def test_our_push_keeps_the_digest(pushed: str, digest: str) -> None:
    assert digest_at(f"docker://{pushed}") == digest


def test_skopeo_carries_it_from_registry_to_registry(pushed: str, registries: tuple[str, str], digest: str) -> None:
    place = f"docker://{registries[1]}/by/skopeo:1"
    run("skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{pushed}", place)
    assert digest_at(place) == digest


def test_skopeo_carries_it_from_the_store(registries: tuple[str, str], digest: str) -> None:
    place = f"docker://{registries[1]}/from/store:1"
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{STORE}:{NAME}", place)
    assert digest_at(place) == digest


def test_skopeo_carries_it_from_an_archive(registries: tuple[str, str], digest: str, tmp_path: pathlib.Path) -> None:
    archive, place = tmp_path / "demo.tar", f"docker://{registries[1]}/from/archive:1"
    module("image_save", name=DEMO_IMAGE, dest=str(archive))
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci-archive:{archive}", place)
    assert digest_at(place) == digest


def test_crane_carries_it_from_registry_to_registry(
    pushed: str, registries: tuple[str, str], digest: str, crane: str
) -> None:
    place = f"{registries[1]}/by/crane:1"
    run(crane, "cp", "--insecure", pushed, place)
    assert digest_at(f"docker://{place}") == digest


def test_it_comes_back_by_our_pull(
    pushed: str, registries: tuple[str, str], digest: str, tmp_path: pathlib.Path
) -> None:
    again = module(
        "image_pull", name=pushed, store=str(tmp_path / "store"), registries=[{"host": registries[0], "insecure": True}]
    )
    assert again["image"]["digest"] == digest


def test_podman_pull_gets_the_rootfs(pushed: str) -> None:
    identity = run("podman", "pull", "--quiet", "--tls-verify=false", pushed).strip()
    try:
        labels = json.loads(run("podman", "image", "inspect", identity))[0]["Labels"]
        assert labels["io.sealer.runtime"] == "kubeadm"
        mounted = pathlib.Path(run("podman", "image", "mount", identity).strip())
        assert (mounted / "bin/kubeadm").is_file()
        assert shutil.which(str(mounted / "bin/kubelet"))
    finally:
        run("podman", "image", "umount", identity)
        run("podman", "image", "rm", "--force", identity)
