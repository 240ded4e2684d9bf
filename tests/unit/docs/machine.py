# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine on which guides are followed, and what they take for granted on it."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import read_parts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Hash
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.lab.lab import CACHE, installed
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.docs.blocks import ROOT, blocks
from ansible_collections.sealer.cluster.tests.unit.sample_image import put_manifest

REGISTRIES = ("registry.example.com", "mirror.example.com", "registry-1.docker.io", "ghcr.io", "registry.k8s.io")
PUBLISHED = [
    "registry.k8s.io/pause:3.10.1",
    "docker.io/library/nginx:1.29",
    "registry.example.com/shop/web:1",
    *(str(image.reference) for name in ("mysql", "kube-vip") for image in read_parts(f"{ROOT}/images/{name}").images),
]
MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: "registry.example.com/shop/web:1"}]}
"""
INVENTORY = next(block for block in blocks((ROOT / "README.md").read_text()) if block.language == "yaml").files()[
    "hosts.yml"
]
PUBLISH = f"""set -e
for image in {' '.join(PUBLISHED)}; do
    skopeo copy --quiet "oci:/mnt/given/published:$image" "docker://$image"
done
mkdir -p base/manifests
cd base
echo registry.k8s.io/pause:3.10.1 >manifests/imageList
cat >Kubefile <<'END'
FROM scratch
LABEL io.sealer.runtime=kubeadm io.sealer.runtime.version=v1.35.4
COPY manifests manifests/
END
ansible localhost -m sealer.cluster.image_build -a "name=kubernetes:v1.35.4 path=."
for name in kubernetes:v1.35.4 demo:1 other:1; do
    ansible localhost -m sealer.cluster.image_push -a "name=kubernetes:v1.35.4 dest=registry.example.com/clusters/$name"
done
cp -R /mnt/registry ~/.local/share/sealer/store /mnt/session
"""


@dataclass(frozen=True)
class Machine:
    """A machine as machine.sh makes it of what lies in ``given``, anew for each script."""

    given: pathlib.Path

    @classmethod
    def make(cls, directory: pathlib.Path) -> Machine:
        """A machine with images in its registries and in its user's store."""
        given, certificates = directory / "given", Certificates.make(directory, REGISTRIES)
        given.mkdir()
        (given / "ca.crt").write_bytes(certificates.ca.read_bytes())
        (given / "hosts").write_text(f"127.0.0.1 {' '.join(REGISTRIES)}\n")
        put_mirror(given, certificates)
        put_galaxy(given / "galaxy")
        published = Layout.open(str(given / "published"), create=True)
        for image in PUBLISHED:
            descriptor, _layer = put_manifest(published, "linux/amd64", {"app": image.encode()})
            published.tag(Reference.parse(image), descriptor)
        for name in ("registry", "store", "work/manifests"):
            (given / name).mkdir(parents=True)
        (given / "work/hosts.yml").write_text(INVENTORY)
        (given / "work/manifests/web.yaml").write_text(MANIFEST)
        cls(given).run(given, PUBLISH, "/mnt/me/work")
        return cls(given)

    def run(self, session: pathlib.Path, guide: str, directory: str, *, user: str = "me", prepare: str = "") -> None:
        """Run a script in this directory, after what root prepares. What both leave in /mnt/session is kept."""
        session.mkdir(exist_ok=True)
        (session / "prepare").write_text(prepare)
        (session / "guide").write_text(guide)
        environment = {
            "HOME": os.environ["HOME"],
            "PATH": installed()["PATH"],
            "COLLECTIONS": installed()["ANSIBLE_COLLECTIONS_PATH"],
            "SEALER_CACHE": str(CACHE),
            "LANG": "C.UTF-8",
        }
        namespaces = ["unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
        script = pathlib.Path(__file__).with_name("machine.sh")
        done = subprocess.run(
            [*namespaces, "bash", script, ROOT, self.given, session, user, directory],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def put_mirror(given: pathlib.Path, certificates: Certificates) -> None:
    """The mirror's program, and below etc what the role registry writes: configuration, users, certificates."""
    etc = given / "etc/sealer"
    (etc / "pki").mkdir(parents=True)
    (given / "mirror.pyz").write_bytes(build().data)
    for name, source in {
        "ca.crt": certificates.ca,
        "registry.crt": certificates.server,
        "registry.key": certificates.server_key,
    }.items():
        (etc / "pki" / name).write_bytes(source.read_bytes())
    told = Hash(1, 1, 1, b"salt", Hash(1, 1, 1, b"salt", bytes(32)).derive(b"PASSWORD"))
    (etc / "users.json").write_text(json.dumps({"push": {"hash": str(told), "push": True}}))
    config = {
        "store": "/var/lib/sealer/store",
        "listen": ["127.0.0.1:5000"],
        "certificate": "/etc/sealer/pki/registry.crt",
        "key": "/etc/sealer/pki/registry.key",
        "users_file": "/etc/sealer/users.json",
        "names": ["mirror.example.com:5000"],
        "pull_through": "configured",
        "upstreams": [{"name": "docker.io", "ca": "/etc/sealer/pki/ca.crt"}],
    }
    (etc / "mirror.json").write_text(json.dumps(config))


def put_galaxy(directory: pathlib.Path) -> None:
    """Answers of Galaxy's API for this collection, version 3, as files."""
    (archive,) = (pathlib.Path(installed()["ANSIBLE_COLLECTIONS_PATH"]) / "dist").glob("*.tar.gz")
    version = archive.name.removeprefix("sealer-cluster-").removesuffix(".tar.gz")
    data = archive.read_bytes()
    collection = "api/v3/collections/sealer/cluster"
    answers: dict[str, t.Any] = {
        "api": {"available_versions": {"v3": "v3/"}},
        collection: {"updated_at": "2026-01-01T00:00:00Z"},
        f"{collection}/versions": {"data": [{"version": version}], "meta": {"count": 1}, "links": {"next": None}},
        f"{collection}/versions/{version}": {
            "href": f"/{collection}/versions/{version}/",
            "version": version,
            "namespace": {"name": "sealer"},
            "collection": {"name": "cluster"},
            "download_url": f"http://127.0.0.1:8080/{archive.name}",
            "artifact": {"sha256": hashlib.sha256(data).hexdigest()},
            "metadata": {"dependencies": {}},
            "signatures": [],
        },
    }
    for path, answer in answers.items():
        (directory / path).mkdir(parents=True)
        (directory / path / "index.html").write_text(json.dumps(answer))
    (directory / archive.name).write_bytes(data)
