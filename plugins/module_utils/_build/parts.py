# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of parts: the programs and container images that a base image is gathered from.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_reading import Value, fill, read_yaml
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_sums import ListedSum, Sums, read_sums
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

FILE_NAME = "parts.yml"

_SCHEMA = "1"
_LATER = ("arch", "asset", "program", "version")
_VERSION_NAME = re.compile(r"[a-z][a-z_]*")
_PROGRAM_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MODE = re.compile(r"[0-7]{3,4}")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True)
class Download:
    """A release on a publisher's site. The texts are templates."""

    version: str
    url: str
    checksums: str
    member: str
    sums: Sums = field(default_factory=dict)
    assets: t.Mapping[str, str] = field(default_factory=dict)

    def filled(self, arch: str, program: str) -> Download:
        """For one program on one architecture."""
        values = {"arch": arch, "asset": self.assets.get(arch, ""), "program": program, "version": self.version}
        return Download(
            self.version, fill(self.url, values), fill(self.checksums, values), fill(self.member, values).lstrip("./")
        )

    def listed(self, arch: str, program: str) -> t.Optional[ListedSum]:
        """What a second source says of the file with this program, if the parts list has it."""
        return self.sums.get((arch, program))


@dataclass(frozen=True)
class GoBuild:
    """A package of a Go module, built with the toolchain of this machine."""

    version: str
    directory: str
    package: str
    ldflags: str
    cgo: bool


@dataclass(frozen=True)
class CBuild:
    """One source file of C, linked statically."""

    version: str
    source: str


@dataclass(frozen=True)
class DebianBuild:
    """A program out of a Debian package."""

    package: str
    member: str


@dataclass(frozen=True)
class FileBuild:
    """A program that was made elsewhere and put beside the parts list."""

    version: str
    path: str


Build = t.Union[GoBuild, CBuild, DebianBuild, FileBuild]


@dataclass(frozen=True)
class Part:
    """Programs of one origin; ``programs`` maps each to its place in the rootfs, "" for one that only images hold."""

    name: str
    programs: t.Mapping[str, str]
    download: t.Optional[Download]
    build: t.Optional[Build]
    optional: str


@dataclass(frozen=True)
class Image:
    """A container image, and how to make it where it is not taken from its registry."""

    reference: str
    published: bool
    optional: str
    programs: t.Mapping[str, str]
    files: t.Mapping[str, str]
    links: t.Mapping[str, str]
    directories: t.Mapping[str, int]
    packages: t.Sequence[str]
    config: t.Mapping[str, t.Any]


@dataclass(frozen=True)
class PartsList:
    """All that a parts.yml says."""

    directory: str
    context: t.Sequence[str]
    image_list: str
    required_images: t.Sequence[str]
    parts: t.Sequence[Part]
    images: t.Sequence[Image]

    def part_of(self, program: str) -> Part:
        """The part that brings a program."""
        return next(part for part in self.parts if program in part.programs)


def read_parts(directory: str) -> PartsList:
    """The parts list in a directory."""
    document = read_yaml(os.path.join(directory, FILE_NAME))
    fields = document.fields(("schema",), ("versions", "context", "image_list", "required_images", "parts", "images"))
    if fields["schema"].text() != _SCHEMA:
        raise fields["schema"].error(f"schema {fields['schema'].text()} is not known", fix=f"Known is {_SCHEMA}.")
    versions = _versions(fields.get("versions"))
    parts = [_part(value, versions) for value in _sequence(fields, "parts")]
    places = _unique_programs(_sequence(fields, "parts"), parts)
    images = [_image(value, versions, places) for value in _sequence(fields, "images")]
    _unique_images(_sequence(fields, "images"), images)
    return PartsList(
        directory=directory,
        context=[value.relative_path() for value in _sequence(fields, "context")],
        image_list=fields["image_list"].relative_path() if "image_list" in fields else "",
        required_images=_required(_sequence(fields, "required_images"), versions, places),
        parts=parts,
        images=images,
    )


def _sequence(fields: t.Mapping[str, Value], name: str) -> t.List[Value]:
    return fields[name].sequence() if name in fields else []


def _versions(value: t.Optional[Value]) -> t.Dict[str, str]:
    result: t.Dict[str, str] = {}
    for name, version in value.items() if value else []:
        if not _VERSION_NAME.fullmatch(name) or name in _LATER:
            raise version.error(f"{name} cannot be the name of a version", fix="Use small letters and _.")
        result[name] = version.text()
    return result


def _part(value: Value, versions: t.Mapping[str, str]) -> Part:
    fields = value.fields(("name", "programs"), ("version", "download", "build", "optional"))
    version = fields["version"].filled(versions) if "version" in fields else ""
    programs = _programs(fields["programs"])
    part = Part(
        name=fields["name"].text(),
        programs=programs,
        download=_download(fields["download"], versions, version, programs) if "download" in fields else None,
        build=_build(fields["build"], versions, version) if "build" in fields else None,
        optional=fields["optional"].text() if "optional" in fields else "",
    )
    if part.download is None and part.build is None:
        raise value.error(f"{part.name} has neither download nor build")
    for way, has in (("download", part.download), ("build", part.build)):
        if has is None and any(part.programs.values()) and not part.optional:
            raise value.error(f"{part.name} has no {way}", fix="Add it, or say in `optional` why it may be left out.")
    return part


def _programs(value: Value) -> t.Dict[str, str]:
    result: t.Dict[str, str] = {}
    for name, place in value.items():
        if not _PROGRAM_NAME.fullmatch(name):
            raise place.error(f"{name} cannot be the name of a program")
        result[name] = "" if place.is_empty() else place.relative_path()
    if not result:
        raise value.error("programs is empty")
    return result


def _download(value: Value, versions: t.Mapping[str, str], version: str, programs: t.Collection[str]) -> Download:
    fields = value.fields(("url", "checksums"), ("version", "member", "sums", "assets"))
    own = fields["version"].filled(versions) if "version" in fields else version
    if not own:
        raise value.error("the version is missing")
    url = _url(fields["url"], versions)
    assets = {arch: name.text() for arch, name in fields["assets"].items()} if "assets" in fields else {}
    if ("{asset}" in url) != bool(assets):
        raise value.error("assets says what {asset} in the url is on each architecture", fix="Write both or none.")
    return Download(
        version=own,
        url=url,
        checksums=_url(fields["checksums"], versions),
        member=fields["member"].filled(versions, _LATER) if "member" in fields else "",
        sums=read_sums(fields["sums"], programs, each="{program}" in url) if "sums" in fields else {},
        assets=assets,
    )


def _url(value: Value, versions: t.Mapping[str, str]) -> str:
    url = value.filled(versions, _LATER)
    if not url.startswith("https://"):
        raise value.error(f"{url} does not begin with https://")
    return url


def _build(value: Value, versions: t.Mapping[str, str], version: str) -> Build:
    keys = dict(value.items())
    kinds = [kind for kind in ("go", "c", "debian", "file") if kind in keys]
    if len(kinds) != 1:
        raise value.error("a build names one of go, c, debian and file")
    if kinds == ["debian"]:
        fields = value.fields(("debian", "member"))
        return DebianBuild(_debian(fields["debian"]), fields["member"].absolute_path())
    optional = ("version",) if kinds in (["c"], ["file"]) else ("version", "package", "ldflags", "cgo")
    fields = value.fields(kinds, optional)
    own = fields["version"].filled(versions) if "version" in fields else version
    if not own:
        raise value.error("the version is missing")
    if kinds == ["c"]:
        return CBuild(own, fields["c"].relative_path())
    if kinds == ["file"]:
        return FileBuild(own, fields["file"].relative_path())
    if "package" not in fields:
        raise value.error("package is missing")
    return GoBuild(
        version=own,
        directory=fields["go"].relative_path(),
        package=fields["package"].filled(versions, _LATER),
        ldflags=fields["ldflags"].filled({**versions, "version": own}) if "ldflags" in fields else "",
        cgo="cgo" in fields and fields["cgo"].boolean(),
    )


def _debian(value: Value) -> str:
    if not _DEBIAN_NAME.fullmatch(value.text()):
        raise value.error(f"{value.text()} cannot be the name of a Debian package")
    return value.text()


def _unique_programs(values: t.Sequence[Value], parts: t.Sequence[Part]) -> t.Dict[str, str]:
    places: t.Dict[str, str] = {}
    names: t.Set[str] = set()
    for value, part in zip(values, parts):
        if part.name in names:
            raise value.error(f"part {part.name} is named twice")
        names.add(part.name)
        for name, place in part.programs.items():
            if name in places or (place and place in places.values()):
                raise value.error(f"{name} is named twice" if name in places else f"{place} is named twice")
            places[name] = place
    return places


def _image(value: Value, versions: t.Mapping[str, str], known: t.Collection[str]) -> Image:
    lists = ("packages", "entrypoint", "cmd", "env")
    maps = ("programs", "files", "links", "directories")
    fields = value.fields(("reference",), ("published", "optional", "user", *lists, *maps))
    if "optional" in fields and len(fields) > 2:
        raise value.error("an optional image is one that is not made", fix="Leave out what it is made of, or optional.")
    programs = _paths(fields, "programs")
    for program in programs.values():
        if program.text() not in known:
            raise program.error(f"{program.text()} is not a program of any part")
    return Image(
        reference=_reference(fields["reference"], versions),
        published=fields["published"].boolean() if "published" in fields else True,
        optional=fields["optional"].text() if "optional" in fields else "",
        programs={path: program.text() for path, program in programs.items()},
        files={path: source.relative_path() for path, source in _paths(fields, "files").items()},
        links={path: target.text() for path, target in _paths(fields, "links").items()},
        directories={path: _mode(mode) for path, mode in _paths(fields, "directories").items()},
        packages=[_debian(package) for package in _sequence(fields, "packages")],
        config=_config(fields),
    )


def _unique_images(values: t.Sequence[Value], images: t.Sequence[Image]) -> None:
    names: t.Set[str] = set()
    for value, image in zip(values, images):
        if image.reference in names:
            raise value.error(f"{image.reference} is named twice")
        names.add(image.reference)


def _paths(fields: t.Mapping[str, Value], name: str) -> t.Dict[str, Value]:
    result: t.Dict[str, Value] = {}
    for path, value in fields[name].items() if name in fields else []:
        if not path.startswith("/") or any(part in ("", ".", "..") for part in path[1:].split("/")):
            raise value.error(f"{path} is not a plain absolute path")
        result[path[1:]] = value
    return result


def _mode(value: Value) -> int:
    if not _MODE.fullmatch(value.text()):
        raise value.error(f"{value.text()} is not a mode", fix="Write three or four octal digits.")
    return int(value.text(), 8)


def _config(fields: t.Mapping[str, Value]) -> t.Dict[str, t.Any]:
    config: t.Dict[str, t.Any] = {"Env": [_PATH]}
    for name, key in (("entrypoint", "Entrypoint"), ("cmd", "Cmd")):
        if name in fields:
            config[key] = [value.text() for value in fields[name].sequence()]
    config["Env"] += [value.text() for value in _sequence(fields, "env")]
    if "user" in fields:
        config["User"] = fields["user"].text()
    return config


def _reference(value: Value, versions: t.Mapping[str, str]) -> str:
    text = value.filled(versions)
    try:
        return str(Reference.parse(text))
    except OciError as error:
        raise value.error(str(error)) from error


def _required(values: t.Sequence[Value], versions: t.Mapping[str, str], places: t.Mapping[str, str]) -> t.List[str]:
    if values and not places.get(values[0].text()):
        raise values[0].error(f"{values[0].text()} is not a program that the base image brings")
    return [value.filled(versions) for value in values]
