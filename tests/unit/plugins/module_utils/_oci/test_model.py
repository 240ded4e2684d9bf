# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Image documents are read strictly and keep their bytes."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Manifest,
    Platform,
    canonical_json,
    parse_document,
)
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
EMPTY = {"mediaType": media.EMPTY, "digest": str(Digest.of(b"{}")), "size": 2}
MANIFEST = {"schemaVersion": 2, "config": EMPTY, "layers": [EMPTY]}
INDEX: dict[str, t.Any] = {"schemaVersion": 2, "manifests": []}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def raw(document: dict[str, t.Any], **changes: t.Any) -> bytes:
    return json.dumps({**document, **changes}).encode()


def test_a_docker_list_is_read_with_its_bytes() -> None:
    content = (FIXTURES / "docker-manifest-list.json").read_bytes()
    index = Index.parse(content)
    assert (index.raw, index.digest, index.media_type) == (content, Digest.of(content), media.DOCKER_LIST)
    assert [str(entry.platform) for entry in index.manifests] == ["linux/arm/v7", "windows/amd64"]
    assert [entry.to_json() for entry in index.manifests] == json.loads(content)["manifests"]
    assert index.descriptor({"a": "b"}) == Descriptor(media.DOCKER_LIST, index.digest, len(content), {"a": "b"})


def test_a_manifest_without_media_type_is_told_by_its_fields() -> None:
    content = (FIXTURES / "oci-manifest.json").read_bytes()
    manifest = Manifest.parse(content)
    value = json.loads(content)
    assert manifest.media_type == media.OCI_MANIFEST
    assert manifest.artifact_type == "application/vnd.example+json"
    assert manifest.annotations == {"a": "b"}
    assert manifest.subject is not None and manifest.subject.size == 7
    assert [item.to_json() for item in manifest.children] == [value["config"], *value["layers"]]
    assert manifest.descriptor(platform=Platform.parse("linux/amd64")).platform == Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("document", "given_type", "expected"),
    [
        (MANIFEST, None, media.OCI_MANIFEST),
        (MANIFEST, media.DOCKER_MANIFEST, media.DOCKER_MANIFEST),
        (MANIFEST, "application/json; charset=utf-8", media.OCI_MANIFEST),
        (MANIFEST, f"{media.DOCKER_MANIFEST}; charset=utf-8", media.DOCKER_MANIFEST),
        ({**MANIFEST, "mediaType": media.DOCKER_MANIFEST}, None, media.DOCKER_MANIFEST),
        (INDEX, None, media.OCI_INDEX),
        (INDEX, media.DOCKER_LIST, media.DOCKER_LIST),
    ],
)
def test_the_media_type_is_found(document: dict[str, t.Any], given_type: str | None, expected: str) -> None:
    assert parse_document(raw(document), given_type).media_type == expected


@pytest.mark.parametrize(
    ("content", "given_type", "why"),
    [
        (b"", None, "not valid JSON"),
        (b"\xff", None, "not valid JSON"),
        (b"[]", None, "not a JSON object"),
        (b"[" * 100000, None, "not valid JSON"),
        (raw(MANIFEST, schemaVersion=1), None, "schemaVersion 1"),
        (raw({**MANIFEST, "manifests": []}), None, "fields of both"),
        (raw({"schemaVersion": 2}), None, "neither manifests"),
        (raw(MANIFEST, mediaType=media.OCI_INDEX), None, "contradicts"),
        (raw(INDEX), media.OCI_MANIFEST, "contradicts"),
        (raw(MANIFEST, mediaType=media.OCI_MANIFEST), media.DOCKER_MANIFEST, "contradicts"),
        (raw(MANIFEST, mediaType="text/plain"), None, "not the media type"),
        (raw(MANIFEST, mediaType=3), None, "mediaType is not a string"),
        (raw(MANIFEST, layers={}), None, "layers is not a list"),
        (raw(MANIFEST, layers=[1]), None, "not an object"),
        (raw({"schemaVersion": 2, "layers": []}), None, "not an object"),
        (raw(MANIFEST, annotations={"a": 1}), None, "map of strings"),
        (raw(MANIFEST, config={**EMPTY, "size": -1}), None, "not a number of bytes"),
        (raw(MANIFEST, config={**EMPTY, "size": True}), None, "not a number of bytes"),
        (raw(MANIFEST, config={**EMPTY, "size": 1.0}), None, "not a number of bytes"),
        (raw(MANIFEST, config={**EMPTY, "size": 1 << 63}), None, "not a number of bytes"),
        (raw(MANIFEST, config={**EMPTY, "digest": "sha256:1"}), None, "invalid digest"),
        (raw(MANIFEST, config={**EMPTY, "mediaType": "x\ny"}), None, "not a media type"),
        (raw(MANIFEST, config={**EMPTY, "platform": {"os": "linux"}}), None, "lacks os or architecture"),
        (b'{"schemaVersion":2,"schemaVersion":2,"manifests":[]}', None, "'schemaVersion' stands twice"),
        (b'{"schemaVersion":2,"manifests":[],"x":NaN}', None, "NaN is not JSON"),
    ],
)
def test_what_is_no_document_is_refused(content: bytes, given_type: str | None, why: str) -> None:
    with pytest.raises(OciError, match=why):
        parse_document(content, given_type)


def test_a_manifest_is_no_index() -> None:
    with pytest.raises(OciError, match="a manifest, not an index"):
        Index.parse(raw(MANIFEST))
    with pytest.raises(OciError, match="an index, not a manifest"):
        Manifest.parse(raw(INDEX))


@given(json_values)
def test_any_json_is_a_document_or_an_error(value: t.Any) -> None:
    for content in (value, {**MANIFEST, "config": value}, {**INDEX, "manifests": [value]}):
        try:
            parse_document(json.dumps(content).encode())
        except OciError:
            continue


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_canonical_json_has_one_form(value: dict[str, t.Any]) -> None:
    try:
        content = canonical_json(value)
    except OciError:
        assert any(0xD800 <= ord(char) < 0xE000 for char in str(value.keys()) + json.dumps(value, ensure_ascii=False))
        return
    assert json.loads(content) == value
    assert canonical_json(dict(reversed(list(value.items())))) == content


@given(
    st.text("abc", min_size=1, max_size=3),
    st.text("abc0", min_size=1, max_size=3),
    st.sampled_from(["", "v7", "v8"]),
    st.dictionaries(st.sampled_from(["os.version", "features"]), st.text(max_size=3)),
    st.dictionaries(st.sampled_from(["data", "urls", "x"]), json_values),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
)
def test_a_descriptor_survives_its_json(
    os_name: str,
    architecture: str,
    variant: str,
    more: dict[str, str],
    extra: dict[str, t.Any],
    annotations: dict[str, str],
) -> None:
    platform = Platform(os_name, architecture, variant, more)
    descriptor = Descriptor(media.OCI_MANIFEST, Digest.of(b"x"), 5, annotations, platform, "a/b", extra)
    again = Descriptor.from_json(json.loads(json.dumps(descriptor.to_json())))
    assert again == descriptor
    assert again.to_json() == descriptor.to_json()
    assert hash(again) == hash(descriptor)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v6", "linux/arm", False),
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "linux/arm64", False),
    ],
)
def test_platforms_match_by_their_usual_variant(one: str, other: str, same: bool) -> None:
    assert Platform.parse(one).matches(Platform.parse(other)) is same
    assert Platform.parse(other).matches(Platform.parse(one)) is same
    assert str(Platform.parse(one)) == one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armv7l", "linux/arm/v7"),
        ("linux/x86_64/v3", "linux/amd64/v3"),
    ],
)
def test_architectures_may_have_the_names_of_machines(text: str, expected: str) -> None:
    assert str(Platform.parse(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64", "linux/amd64,linux/arm64"]
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(OciError, match="os/architecture"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("machine", "platform"),
    [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("armv7l", "linux/arm/v7"), ("riscv64", "linux/riscv64")],
)
def test_the_host_is_told_in_go_words(machine: str, platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert str(Platform.host()) == platform
