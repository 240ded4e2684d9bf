# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the container images that Kubernetes documents make nodes run.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import posixpath
import re
import traceback
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build import imagelist
from ansible_collections.sealer.cluster.plugins.module_utils._build.charts import (
    ARCHIVES,
    TEMPLATES,
    Charts,
    is_packed_chart,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.imagelist import Found, parse_list, parse_name
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._template import fill, plain_name

try:
    import yaml
except ImportError:
    HAS_YAML = False
    YAML_IMPORT_ERROR = traceback.format_exc()
else:
    HAS_YAML = True
    YAML_IMPORT_ERROR = ""

if t.TYPE_CHECKING:
    from yaml.nodes import Node

SUFFIXES = (".yaml", ".yml", ".json")
APPLICATIONS = "application/apps/"
STRICT_PLACES = ("manifests/", APPLICATIONS)
_GROUPS = frozenset(("", "apps", "batch", "extensions"))
_WORKLOAD = ("spec", "template", "spec")
_POD_SPECS: t.Dict[str, t.Tuple[str, ...]] = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "Deployment": _WORKLOAD,
    "StatefulSet": _WORKLOAD,
    "DaemonSet": _WORKLOAD,
    "ReplicaSet": _WORKLOAD,
    "ReplicationController": _WORKLOAD,
    "Job": _WORKLOAD,
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
# Half of a character beyond the first 65536: JSON writes them so, YAML knows no such escape.
_SURROGATE = re.compile(r"((?<!\\)(?:\\\\)*)\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
# No name of an image has upper case in it.
_VARIABLE = "VARIABLE"
_NESTING = 16
_DEPTH = 200
SIZE_LIMIT = 64 << 20


@dataclass
class Findings:
    """Images found, and what could not be looked into."""

    found: t.List[Found] = field(default_factory=list)
    warnings: t.List[str] = field(default_factory=list)


def is_interesting(path: str, charts: Charts) -> bool:
    """Whether a file of the rootfs is read at all."""
    name = posixpath.basename(path)
    return name == imagelist.NAME or name.endswith(SUFFIXES + TEMPLATES + ARCHIVES) and not charts.hides(path)


def scan(path: str, content: bytes, ignored: t.Collection[str] = ()) -> Findings:
    """Images in one file of the rootfs. `ignored` holds names, as they stand, that are passed over."""
    findings = Findings()
    name = posixpath.basename(path)
    if path.startswith(APPLICATIONS) and plain_name(path) != path:
        _scan_text(path, content, ignored, findings, _with_variables)
    elif name.endswith(TEMPLATES):
        findings.warnings.append(_not_searched(path, "a template"))
    elif name.endswith(ARCHIVES):
        findings.warnings.extend([_not_searched(path, "a packed Helm chart")] if is_packed_chart(content) else [])
    else:
        _scan_text(path, content, ignored, findings)
    return findings


def warn_of_charts(charts: Charts, paths: t.Iterable[str]) -> t.List[str]:
    """A warning for each chart that one of these paths lies in, not for each of its templates."""
    return [_not_searched(root or ".", "a Helm chart") for root in charts.outermost(paths)]


def _not_searched(path: str, kind: str) -> str:
    return (
        f"{path}: {kind}, not searched for container images, as their names are known only when it is rendered: "
        f"list them in a file {imagelist.NAME} or in the option images"
    )


def _with_variables(text: str, path: str) -> str:
    """The text of a template with something in the place of each variable that is no name of an image."""
    return fill(text, lambda _name: _VARIABLE, path)


def _scan_text(
    path: str,
    content: bytes,
    ignored: t.Collection[str],
    findings: Findings,
    prepare: t.Callable[[str, str], str] = lambda text, _path: text,
) -> None:
    strict = path.startswith(STRICT_PLACES)
    text = _decode(path, content, strict, findings)
    if text is None:
        return
    if posixpath.basename(path) == imagelist.NAME:
        findings.found = parse_list(text, path, ignored)
    else:
        _Scan(path, ignored, findings).run(prepare(text, path), strict)


def _decode(path: str, content: bytes, strict: bool, findings: Findings) -> t.Optional[str]:
    try:
        if len(content) > SIZE_LIMIT:
            raise ValueError("it is too large")
        return content.decode("utf-8-sig")
    except ValueError as error:
        if strict:
            raise BuildError("cannot be searched for container images", where=path, why=str(error)) from error
        findings.warnings.append(f"{path}: not searched for container images: {error}")
        return None


class _Scan:
    """Walks the documents of one file."""

    def __init__(self, path: str, ignored: t.Collection[str], findings: Findings) -> None:
        self.path = path
        self.ignored = ignored
        self.findings = findings
        self._seen: t.Set[int] = set()

    def run(self, text: str, strict: bool) -> None:
        if self.path.endswith(".json"):
            text = _SURROGATE.sub(r"\1\\ufffd", text.replace("\t", " "))
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            _check_depth(text, loader)
            for root in yaml.compose_all(text, Loader=loader):
                self._seen.clear()
                self._document(root, "", 0)
        except (yaml.YAMLError, RecursionError) as error:
            self._broken(error, strict and "{{" not in text)

    def _broken(self, error: Exception, strict: bool) -> None:
        mark = getattr(error, "problem_mark", None)
        where = f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else self.path
        why = getattr(error, "problem", None) or "it is nested too deeply"
        if strict:
            raise BuildError("is no YAML", where=where, why=why, fix="Correct it, or leave it out by .sealignore")
        self.findings.warnings.append(f"{where}: not searched for container images, it is no YAML: {why}")

    def _document(self, node: t.Optional[Node], kind: str, depth: int) -> None:
        if not isinstance(node, yaml.MappingNode) or id(node) in self._seen or depth > _NESTING:
            return
        self._seen.add(id(node))
        kind = _scalar(_get(node, "kind")) or kind
        version = _scalar(_get(node, "apiVersion"))
        group = version.rpartition("/")[0]
        items = _get(node, "items")
        if kind.endswith("List") and isinstance(items, yaml.SequenceNode):
            for item in items.value:
                self._document(item, kind[: -len("List")], depth + 1)
            return
        if kind not in _POD_SPECS or group not in _GROUPS or not (version or depth):
            return
        spec: t.Optional[Node] = node
        for key in _POD_SPECS[kind]:
            spec = _get(spec, key)
        name = _scalar(_get(_get(node, "metadata"), "name")) or _scalar(_get(_get(node, "metadata"), "generateName"))
        self._pod(spec, f"{kind}/{name or '?'}")

    def _pod(self, spec: t.Optional[Node], owner: str) -> None:
        for key in _CONTAINERS:
            for container in _items(_get(spec, key)):
                label = f"{owner} container {_scalar(_get(container, 'name')) or '?'}"
                self._image(_get(container, "image"), label, container)
        for volume in _items(_get(spec, "volumes")):
            image = _get(volume, "image")
            if image is not None:
                self._image(_get(image, "reference"), f"{owner} volume {_scalar(_get(volume, 'name')) or '?'}", volume)

    def _image(self, value: t.Optional[Node], label: str, holder: Node) -> None:
        node = holder if value is None else value
        where = f"{self.path}:{node.start_mark.line + 1}"
        text = _scalar(value)
        if not text:
            self.findings.warnings.append(f"{where}: {label} names no image")
        elif _VARIABLE in text:
            self.findings.warnings.append(
                f"{where}: {label} has an image with a variable in its name, which is known only at the site: list what it"
                f" may be in a file {imagelist.NAME} or in the option images"
            )
        elif text not in self.ignored:
            reference = parse_name(text, f"{where}:{node.start_mark.column + 1}")
            self.findings.found.append(Found(reference, f"{where} {label}"))


def _check_depth(text: str, loader: t.Any) -> None:
    """Refuse what would overflow the stack of the C composer, which nothing could catch."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise RecursionError


def _get(node: t.Optional[Node], key: str) -> t.Optional[Node]:
    """Value of a key, also of one merged in by <<; the last of several wins, as in parsers."""
    found: t.Optional[Node] = None
    merged: t.List[Node] = []
    if not isinstance(node, yaml.MappingNode):
        return None
    for name, value in node.value:
        if name.value == key:
            found = value
        elif name.tag == "tag:yaml.org,2002:merge":
            merged.extend(value.value if isinstance(value, yaml.SequenceNode) else [value])
    if found is not None:
        return found
    for one in merged:
        if one is not node and isinstance(one, yaml.MappingNode):
            for name, value in one.value:
                if name.value == key:
                    return t.cast("Node", value)
    return None


def _items(node: t.Optional[Node]) -> t.List[Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _scalar(node: t.Optional[Node]) -> str:
    """Text of a scalar; a null is none."""
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
        return ""
    return str(node.value)
