# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gathering as a whole: what is downloaded, built, kept, pinned and dropped."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_gather import Request, Result, gather
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import EnvProgress, NullProgress, Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.plugin_utils import _progress
from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import Announcer, ProgressFile
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.conftest import Tools
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.release_site import (
    ReleaseSite,
    archive,
)

HOST = Platform.host()
ARCH = HOST.architecture
PARTS = """\
schema: 1
context: [Kubefile, app]
image_list: manifests/imageList
required_images: [admin, images]
parts:
  - name: cluster
    version: 1.0
    programs: {admin: bin/admin, node: bin/node, server:}
    download:
      url: "https://releases.example.com/v{version}/{arch}/{program}"
      checksums: "https://releases.example.com/v{version}/{arch}/{program}.sha256"
    build: {go: go, package: "example.invalid/hello/cmd/{program}"}
  - name: nets
    version: 2.0
    programs: {bridge: cni/bin/bridge}
    download:
      url: "https://releases.example.com/nets-{arch}.tgz"
      checksums: "https://releases.example.com/SUMS"
      member: "{program}"
    build: {go: go, package: "example.invalid/hello/cmd/{program}", version: 1.0}
  - name: extra
    version: 3.0
    optional: nobody can build it
    programs: {extra: bin/extra}
    download:
      url: "https://releases.example.com/extra-{arch}"
      checksums: "https://releases.example.com/extra-{arch}.sha256"
images:
  - reference: example.com/server:1.0
    programs: {/server: server}
  - reference: example.com/page:1
    published: false
    files: {/page: page.txt}
"""
GO_MOD = "module sealer.invalid/x\n\ngo 1.21\n\nrequire example.invalid/hello v1.0 // indirect\n"
ADMIN = "#!/bin/sh\necho example.com/server:1.0\n"
GO = f"""case $1 in
env) echo go1.26.8;;
build) while [ "$1" != -o ]; do shift; done; echo "$3" >> "$GO_LOG"; {{ printf '{ADMIN}'; echo "# $3"; }} > "$2";;
esac"""

# It ends when it has been let, and gives up after ten seconds.
SLOW_GO = f"""[ $1 = env ] || for turn in $(seq 101); do
    [ $turn -le 100 ] || {{ echo nobody was told of this >&2; exit 1; }}
    [ ! -e "$LET" ] || break
    sleep 0.1
done
{GO}"""


class Bench:
    """A parts directory, a site that has its releases, and a request."""

    def __init__(self, root: pathlib.Path, site: ReleaseSite) -> None:
        self.root = root
        self.site = site
        self.path = root / "parts"
        (self.path / "app").mkdir(parents=True)
        (self.path / "go").mkdir()
        for name, text in {
            "parts.yml": PARTS,
            "Kubefile": "FROM scratch\n",
            "app/app.yaml": "kind: List\n",
            "page.txt": "page",
            "go/go.mod": GO_MOD,
            "go/go.sum": "",
        }.items():
            (self.path / name).write_text(text)
        for name in ("admin", "node"):
            site.publish(f"/v1.0/{ARCH}/{name}", f"{ADMIN}# {name}\n".encode(), f"/v1.0/{ARCH}/{name}.sha256")
        site.publish(f"/nets-{ARCH}.tgz", archive({"bridge": b"bridge"}), "/SUMS")
        site.publish(f"/extra-{ARCH}", b"extra", f"/extra-{ARCH}.sha256")
        self.dest = root / "context"
        self.request = Request(
            path=str(self.path),
            dest=str(self.dest),
            platforms=[HOST],
            source="download",
            mirrors=site.mirrors,
            cache=str(root / "cache"),
            store=str(root / "store"),
            lock=str(self.dest / "parts.lock"),
            parallel=2,
            update=False,
        )

    def gather(self, check: bool = False, progress: t.Optional[Progress] = None, **changes: t.Any) -> Result:
        return gather(dataclasses.replace(self.request, **changes), progress or NullProgress(), check)

    def twice(self, **changes: t.Any) -> Result:
        """In check mode and then for good: both have to tell the same."""
        shown = [path for path in self.root.rglob("*") if path.is_file()]
        told = self.gather(check=True, **changes)
        assert [path for path in self.root.rglob("*") if path.is_file()] == shown
        done = self.gather(**changes)
        assert (told.changed, told.before, told.after) == (done.changed, done.before, done.after)
        return done

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.path / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    @property
    def files(self) -> set[str]:
        return {str(path.relative_to(self.dest)) for path in self.dest.rglob("*") if path.is_file()}


@pytest.fixture
def bench(tmp_path: pathlib.Path, site: ReleaseSite) -> Bench:
    return Bench(tmp_path / "bench", site)


@pytest.fixture
def go(tools: Tools, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A Go that writes scripts, and the log of what it built."""
    log = tmp_path / "built"
    monkeypatch.setenv("GO_LOG", str(log))
    tools("sh", go=GO)
    return log


def test_releases_fill_a_context(bench: Bench) -> None:
    result = bench.twice()
    assert result.changed and result.before == {}
    assert bench.files == {
        "Kubefile",
        "app/app.yaml",
        "manifests/imageList",
        "parts.lock",
        f"parts/{ARCH}/bin/admin",
        f"parts/{ARCH}/bin/extra",
        f"parts/{ARCH}/bin/node",
        f"parts/{ARCH}/cni/bin/bridge",
    }
    assert (bench.dest / f"parts/{ARCH}/bin/node").read_text() == f"{ADMIN}# node\n"
    assert (bench.dest / f"parts/{ARCH}/bin/node").stat().st_mode & 0o777 == 0o755
    assert (bench.dest / "manifests/imageList").read_text().splitlines()[1:] == [
        "example.com/page:1",
        "example.com/server:1.0",
    ]
    assert {pin.way for pin in result.lock.programs} == {"download"}
    assert [pin.reference for pin in result.lock.images] == ["example.com/page:1"]


def test_the_second_run_changes_nothing_and_asks_nobody(bench: Bench) -> None:
    bench.gather()
    bench.site.requests.clear()
    result = bench.twice()
    assert not result.changed and result.before == result.after
    assert bench.site.requests == []


def test_everything_is_built(bench: Bench, go: pathlib.Path) -> None:
    result = bench.twice(source="build")
    assert result.changed and bench.site.requests == []
    assert sorted(go.read_text().split()) == [
        f"example.invalid/hello/cmd/{x}" for x in ("admin", "bridge", "node", "server")
    ]
    assert [(part.part, part.why) for part in result.lock.left_out] == [("extra", "nobody can build it")]
    assert f"parts/{ARCH}/bin/extra" not in bench.files
    layout = Layout.open(str(bench.root / "store"))
    assert sorted(layout.names()) == ["example.com/page:1", "example.com/server:1.0"]
    assert layout.verify() == []
    pin = result.lock.program("node", str(HOST))
    assert pin is not None
    assert pin.source == "example.invalid/hello/cmd/node of example.invalid/hello@v1.0 (go1.26.8)"
    again = bench.twice(source="build")
    assert not again.changed
    assert len(go.read_text().split()) == 4


def test_a_slow_build_is_told_again_and_again_while_it_runs(
    bench: Bench, tools: Tools, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let = tmp_path / "let"
    monkeypatch.setenv("LET", str(let))
    monkeypatch.setenv("GO_LOG", str(tmp_path / "built"))
    monkeypatch.setattr(_progress, "LOG_SECONDS", 0.0)
    tools("sh", "seq", "sleep", go=SLOW_GO)
    lines: t.List[str] = []

    def show(line: str) -> None:
        lines.append(line)
        if sum("building admin" in told for told in lines) == 2:
            let.touch()

    with ProgressFile(Announcer(show, "[here]", terminal=False), str(tmp_path)) as shown:
        assert bench.gather(source="build", progress=EnvProgress("gather parts", shown.path)).changed
    assert any(line.startswith("[here] gather parts: 0 of 6 items, building admin") for line in lines)


PROGRAMS = ("admin", "node", "server", "bridge")
IMAGES = ("example.com/server:1.0", "example.com/page:1")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("build", [*(f"building {name}" for name in PROGRAMS), *(f"making the image {name}" for name in IMAGES)]),
        (
            "download",
            [f"downloading {name}" for name in ("admin", "node", "bridge", "extra")]
            + [f"making the image {IMAGES[1]}"],
        ),
    ],
)
def test_all_that_takes_long_is_told(
    bench: Bench, go: pathlib.Path, tmp_path: pathlib.Path, source: str, told: list[str]
) -> None:
    progress = EnvProgress("gather parts", str(tmp_path / "progress"))
    bench.gather(source=source, progress=progress, parallel=1)
    progress.done()
    lines = [json.loads(line) for line in (tmp_path / "progress").read_text().splitlines()]
    doing = list(dict.fromkeys(line["doing"] for line in lines if line["doing"]))
    assert doing == ["comparing the parts list with what is here", *told]
    assert lines[-1]["items_done"] == lines[-1]["items_total"] == len(told)


def test_an_image_that_is_gone_from_the_store_is_made_again(bench: Bench, go: pathlib.Path) -> None:
    first = bench.gather(source="build")
    layout = Layout.open(str(bench.root / "store"))
    layout.untag(Reference.parse("example.com/server:1.0"))
    layout.prune()
    result = bench.twice(source="build")
    assert result.changed
    assert set(result.after) - set(result.before) == {f"example.com/server:1.0 {HOST}"}
    assert result.lock.dump() == first.lock.dump()
    assert len(go.read_text().split()) == 4


def test_what_was_damaged_is_put_right(bench: Bench) -> None:
    bench.gather()
    (bench.dest / f"parts/{ARCH}/bin/node").write_text("damage")
    (bench.dest / "Kubefile").write_text("damage")
    (bench.dest / f"parts/{ARCH}/bin/admin").chmod(0o644)
    (bench.dest / f"parts/{ARCH}/bin/old").write_text("old")
    (bench.dest / "app/old.yaml").write_text("old")
    (bench.dest / f"parts/{ARCH}/bin/empty/deep").mkdir(parents=True)
    (bench.dest / "Kubefile.lock").write_text("mine")
    result = bench.twice()
    changed = {name for name in {*result.before, *result.after} if result.before.get(name) != result.after.get(name)}
    assert changed == {
        "Kubefile",
        "app/old.yaml",
        f"parts/{ARCH}/bin/admin",
        f"parts/{ARCH}/bin/node",
        f"parts/{ARCH}/bin/old",
    }
    assert (bench.dest / f"parts/{ARCH}/bin/node").read_text() == f"{ADMIN}# node\n"
    assert not (bench.dest / f"parts/{ARCH}/bin/empty").exists()
    assert "Kubefile.lock" in bench.files and f"parts/{ARCH}/bin/old" not in bench.files
    assert not bench.gather().changed


def test_what_a_killed_run_left_goes_away(bench: Bench) -> None:
    place = bench.dest / f"parts/{ARCH}/bin"
    place.mkdir(parents=True)
    (place / ".node.new").write_text("half")
    (place / ".old.new").write_text("half")
    assert bench.twice().changed
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []
    assert not bench.twice().changed


def test_a_publisher_that_replaces_a_release_is_found_out(bench: Bench) -> None:
    bench.gather()
    shutil.rmtree(bench.root / "cache")
    (bench.dest / f"parts/{ARCH}/bin/node").unlink()
    path = f"/v1.0/{ARCH}/node"
    del bench.site.files[f"{path}.sha256"]
    bench.site.publish(path, b"other", f"{path}.sha256")
    with pytest.raises(BuildError, match="the download has the wrong sum.*`update: true`"):
        bench.gather()
    result = bench.twice(update=True)
    assert result.changed
    assert (bench.dest / f"parts/{ARCH}/bin/node").read_text() == "other"
    assert not bench.gather().changed


def test_a_build_that_gives_something_else_is_found_out(bench: Bench, go: pathlib.Path) -> None:
    bench.gather(source="build")
    lock = json.loads((bench.dest / "parts.lock").read_text())
    for pin in lock["programs"]:
        pin["sha256"] = "0" * 64
    (bench.dest / "parts.lock").write_text(json.dumps(lock))
    with pytest.raises(BuildError, match="admin is not what it was when it was gathered first.*go1.26.8"):
        bench.gather(source="build")
    assert bench.gather(source="build", update=True).changed


def test_another_version_is_another_thing(bench: Bench) -> None:
    bench.gather()
    bench.edit("parts.yml", "version: 2.0", "version: 2.1")
    bench.edit("parts.yml", "nets-{arch}.tgz", "nets-{version}-{arch}.tgz")
    bench.site.publish(f"/nets-2.1-{ARCH}.tgz", archive({"bridge": b"new"}), "/SUMS")
    result = bench.twice()
    assert result.changed
    assert (bench.dest / f"parts/{ARCH}/cni/bin/bridge").read_bytes() == b"new"


def test_auto_builds_where_a_publisher_does_not_answer(bench: Bench, go: pathlib.Path) -> None:
    bench.site.files.clear()
    assert bench.gather(source="auto").lock.way == "build"


def test_auto_downloads_where_all_publishers_answer(bench: Bench) -> None:
    assert bench.gather(source="auto").lock.way == "download"
    assert ("HEAD", f"/v1.0/{ARCH}/admin.sha256", "") in bench.site.requests


ONLY_IMAGES = """\
schema: 1
images:
  - {reference: "releases.example.com/server:1.0", files: {/page: page.txt}}
  - {reference: "example.com/page:1", published: false, files: {/page: page.txt}}
"""


@pytest.mark.parametrize(
    ("answer", "way", "made"),
    [(200, "download", {"page"}), (401, "download", {"page"}), (503, "build", {"page", "server"})],
)
def test_auto_asks_the_registry_where_there_are_only_images(
    bench: Bench, answer: int, way: str, made: set[str]
) -> None:
    bench.site.answers["/v2/"] = [answer]
    (bench.path / "parts.yml").write_text(ONLY_IMAGES)
    lock = bench.gather(source="auto").lock
    assert lock.way == way
    assert {Reference.parse(pin.reference).repository for pin in lock.images} == made
    assert bench.site.requests == [("HEAD", "/v2/", "")]


def test_images_that_no_registry_has_are_made_without_asking_any(bench: Bench) -> None:
    (bench.path / "parts.yml").write_text(ONLY_IMAGES.replace("page.txt}}", "page.txt}, published: false}", 1))
    assert bench.gather(source="auto").lock.way == "build"
    assert bench.site.requests == []


def test_auto_goes_on_as_the_lock_says(bench: Bench, go: pathlib.Path) -> None:
    bench.gather(source="build")
    assert not bench.twice(source="auto").changed
    assert bench.site.requests == []


def test_an_optional_part_that_is_not_published_is_left_out(bench: Bench) -> None:
    del bench.site.files[f"/extra-{ARCH}.sha256"]
    result = bench.gather()
    assert [part.part for part in result.lock.left_out] == ["extra"]
    assert "404" in result.lock.left_out[0].why
    bench.site.requests.clear()
    assert not bench.twice().changed
    assert bench.site.requests == []


def test_an_image_that_cannot_be_made_is_left_out_where_parts_are_built(bench: Bench, go: pathlib.Path) -> None:
    why = "nobody has its source"
    page = "  - reference: example.com/page:1\n"
    bench.edit("parts.yml", page, f"  - reference: example.com/far:1\n    optional: {why}\n{page}")
    for source, there in (("build", False), ("download", True)):
        made = bench.gather(source=source)
        named = (pathlib.Path(bench.request.dest) / "manifests/imageList").read_text()
        assert ("example.com/far:1\n" in named) is there
        told = [one.why for one in made.lock.left_out if one.part == "example.com/far:1"]
        assert told == ([] if there else [why])


def test_a_part_that_is_needed_and_not_published_is_an_error(bench: Bench) -> None:
    del bench.site.files[f"/v1.0/{ARCH}/node"]
    with pytest.raises(BuildError, match="node: there is no such file"):
        bench.gather()
    assert "parts.lock" not in bench.files


def test_images_that_are_asked_for_have_to_be_in_the_list(bench: Bench) -> None:
    bench.edit("parts.yml", "example.com/server:1.0", "example.com/server:1.1")
    with pytest.raises(
        BuildError, match="admin needs images that the parts list does not have: example.com/server:1.0"
    ):
        bench.gather()


def test_dest_is_no_part_of_path(bench: Bench) -> None:
    for dest in (bench.path, bench.path / "below", bench.root):
        with pytest.raises(BuildError, match="dest must lie outside of path"):
            bench.gather(dest=str(dest))


def test_other_architectures_are_downloaded_only(bench: Bench, go: pathlib.Path) -> None:
    other = Platform("linux", "arm64" if ARCH == "amd64" else "amd64")
    with pytest.raises(BuildError, match=f"admin cannot be built for {other.architecture}"):
        bench.gather(source="build", platforms=[other])
    for name in ("admin", "node"):
        path = f"/v1.0/{other.architecture}/{name}"
        bench.site.publish(path, b"foreign", f"{path}.sha256")
    bench.site.publish(f"/nets-{other.architecture}.tgz", archive({"bridge": b"foreign"}), "/SUMS")
    bench.edit("parts.yml", "    published: false\n", "")
    result = bench.gather(platforms=[HOST, other])
    assert f"parts/{other.architecture}/bin/node" in bench.files
    assert len({pin.platform for pin in result.lock.programs}) == 2


def test_a_program_made_elsewhere_lies_beside_the_list(bench: Bench, go: pathlib.Path) -> None:
    bench.edit("parts.yml", "    optional: nobody can build it\n", "")
    bench.edit(
        "parts.yml",
        "    programs: {extra: bin/extra}\n",
        "    programs: {extra: bin/extra}\n    build: {file: own/extra}\n",
    )
    with pytest.raises(BuildError, match=r"own/extra: .*put extra 3.0 there"):
        bench.gather(source="build")
    (bench.path / "own").mkdir()
    (bench.path / "own/extra").write_bytes(b"mine")
    bench.twice(source="build")
    program = bench.dest / "parts" / ARCH / "bin/extra"
    assert program.read_bytes() == b"mine" and program.stat().st_mode & 0o111
    assert not bench.twice(source="build").changed
    (bench.path / "own/extra").write_bytes(b"newer")
    assert bench.twice(source="build").changed
    assert program.read_bytes() == b"newer"
