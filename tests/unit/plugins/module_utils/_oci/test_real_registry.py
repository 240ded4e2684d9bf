# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Against Debian's docker-registry and skopeo."""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import pull, push
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import PASSWORD, USER
from ansible_collections.sealer.cluster.tests.unit.real_registry import RealRegistry
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample, sample

Start = t.Callable[..., RealRegistry]
SKOPEO = shutil.which("skopeo")
ROUNDS = int(os.environ.get("SEALER_KILL_ROUNDS", "10"))
PULL = """
import sys
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import pull
reference = Reference.parse(sys.argv[2])
client = RegistryClient([RegistrySettings(reference.registry, insecure=True)])
print("begin", flush=True)
pull(client, Layout.open(sys.argv[1], create=True), reference)
"""


def client_of(registry: RealRegistry, **more: t.Any) -> RegistryClient:
    return RegistryClient([RegistrySettings(registry.host, insecure=True, **more)])


def pushed(tmp_path: pathlib.Path, registry: RealRegistry, **options: t.Any) -> t.Tuple[Layout, Sample]:
    """A sample image, with docker's and OCI's documents in it, in a store and in the registry."""
    source = Layout.open(str(tmp_path / "source"), create=True)
    made = sample(source, f"{registry.host}/clusters/one:1", **options)
    push(client_of(registry), source, made.descriptor, made.reference)
    return source, made


def skopeo(*arguments: str) -> str:
    if SKOPEO is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run([SKOPEO, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_and_back(real_registry: Start, tmp_path: pathlib.Path) -> None:
    registry = real_registry()
    source, made = pushed(tmp_path, registry)
    target = Layout.open(str(tmp_path / "target"), create=True)
    assert pull(client_of(registry), target, made.reference).descriptor.digest == made.descriptor.digest
    assert (target.verify(), target.names()) == ([], source.names())
    again = push(client_of(registry), target, made.descriptor, made.reference)
    assert (again.pushed, again.mounted) == (0, 0)


def test_mounted_into_another_repository(real_registry: Start, tmp_path: pathlib.Path) -> None:
    registry = real_registry()
    source, made = pushed(tmp_path, registry)
    other = Reference.parse(f"{registry.host}/clusters/two:1")
    result = push(client_of(registry), source, made.descriptor, other)
    assert result.mounted > result.pushed


def test_skopeo_carries_what_we_pushed_with_its_digest(real_registry: Start, tmp_path: pathlib.Path) -> None:
    first, second = real_registry(), real_registry()
    _source, made = pushed(tmp_path, first)
    copied = Reference.parse(f"{second.host}/copied/one:1")
    flags = ("--src-tls-verify=false", "--dest-tls-verify=false")
    skopeo("copy", "--all", *flags, f"docker://{made.reference}", f"docker://{copied}")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{copied}")
    assert raw.encode() == _source.read_blob(made.descriptor.digest)
    target = Layout.open(str(tmp_path / "target"), create=True)
    assert pull(client_of(second), target, copied).descriptor.digest == made.descriptor.digest
    assert target.verify() == []


def test_our_push_carries_what_was_pulled_with_its_digest(real_registry: Start, tmp_path: pathlib.Path) -> None:
    first, second = real_registry(), real_registry()
    _source, made = pushed(tmp_path, first)
    target = Layout.open(str(tmp_path / "target"), create=True)
    descriptor = pull(client_of(first), target, made.reference).descriptor
    push(client_of(second), target, descriptor, Reference.parse(f"{second.host}/copied/one:1"))
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{second.host}/copied/one:1")
    assert raw.encode() == target.read_blob(made.descriptor.digest)


def test_a_plain_client_finds_the_root_file_system(real_registry: Start, tmp_path: pathlib.Path) -> None:
    registry = real_registry()
    _source, made = pushed(tmp_path, registry)
    flags = ("--tls-verify=false", "--override-os=linux", "--override-arch=arm64")
    found = json.loads(skopeo("inspect", *flags, f"docker://{made.reference}"))
    assert found["Layers"] == [str(made.layers["linux/arm64"])]


def test_login_and_tls(real_registry: Start, tmp_path: pathlib.Path, certificates: Certificates) -> None:
    registry = real_registry(login=True, certificates=certificates)
    source = Layout.open(str(tmp_path / "source"), create=True)
    made = sample(source, f"{registry.host}/clusters/one:1")
    known = RegistrySettings(registry.host, USER, PASSWORD, ca_path=str(certificates.ca))
    push(RegistryClient([known]), source, made.descriptor, made.reference)
    target = Layout.open(str(tmp_path / "target"), create=True)
    pull(RegistryClient([known]), target, made.reference)
    assert target.verify() == []
    nobody = RegistrySettings(registry.host, ca_path=str(certificates.ca))
    with pytest.raises(RegistryError, match="answered 401") as caught:
        RegistryClient([nobody], authfile=_empty(tmp_path)).get_manifest(made.reference)
    assert caught.value.status == 401


def _empty(tmp_path: pathlib.Path) -> str:
    (tmp_path / "auth.json").write_text("{}")
    return str(tmp_path / "auth.json")


def test_killed_at_any_moment_the_store_is_good_and_the_next_run_ends_it(
    real_registry: Start, tmp_path: pathlib.Path
) -> None:
    registry = real_registry()
    source, made = pushed(tmp_path, registry, size=2 * 1024 * 1024)
    chance = random.Random(3)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", PULL, str(tmp_path / "target"), str(made.reference)]
    killed = 0
    for _round in range(ROUNDS):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(chance.uniform(0.0, 0.15))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
        if Layout.exists(str(tmp_path / "target")):
            target = Layout.open(str(tmp_path / "target"))
            assert target.verify() == []
            for name, descriptor in target.names().items():
                assert target.missing(descriptor) == [], name
            if not killed % 3:
                shutil.rmtree(tmp_path / "target")
    assert killed
    subprocess.run(command, env=environment, check=True, capture_output=True)
    target = Layout.open(str(tmp_path / "target"))
    assert (target.verify(), target.names()) == ([], source.names())
