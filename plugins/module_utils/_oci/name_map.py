# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that images get in another registry.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

__all__ = ["Destinations", "NameMap", "Rule", "path_of_registry", "prefixes"]

_FIELD = re.compile(r"\{([^{}]*)\}")
_FIELDS = ("destination", "registry", "repository", "name", "tag")
_NOT_IN_A_PATH = re.compile(r"[^a-z0-9._-]+")
_LAST = "{destination}/{registry}/{repository}"

Destinations = t.Dict[Reference, t.Optional[Reference]]
_Place = t.Tuple[str, str, str]


@dataclass(frozen=True)
class Rule:
    """Which images it is for, by registry and repository, and their new name; an empty one leaves them out.

    ``match`` is a pattern, in which ``*`` and ``?`` stand for any characters, or after ``~`` a regular expression for
    all of the name. What they took stands in ``to`` as ``{1}``, ``{2}``, … and under the names of groups.
    """

    match: str
    to: str

    def expression(self) -> t.Pattern[str]:
        """The pattern as a regular expression."""
        if self.match.startswith("~"):
            try:
                return re.compile(self.match[1:])
            except re.error as error:
                raise _bad_rule(self, f"{self.match[1:]!r} is not a regular expression: {error}") from error
        parts = {"*": "(.*)", "?": "(.)"}
        return re.compile("".join(parts.get(character, re.escape(character)) for character in self.match))


class NameMap:
    """Rules in order, the first that matches an image names it; where none does, it goes below its registry's name."""

    def __init__(self, destination: str, rules: t.Sequence[Rule] = ()) -> None:
        self._destination = destination.rstrip("/")
        self._rules = [(rule, rule.expression()) for rule in (*rules, Rule("*", _LAST))]
        for rule, expression in self._rules:
            _check_fields(rule, expression)

    def destination(self, source: Reference) -> t.Optional[Reference]:
        """The image's name in the other registry; None when it is left out."""
        for rule, expression in self._rules:
            found = expression.fullmatch(source.name)
            if found is not None:
                return self._named(rule, found, source) if rule.to else None
        return None

    def destinations(self, sources: t.Mapping[Reference, t.Optional[Digest]]) -> Destinations:
        """The names of all these images, given with the digests they stand for; an error when two would get the same.

        A tag means what it means without a pin: pinned images of the same name with other digests go without it.
        """
        result = {source: self.destination(source) for source in sources}
        claims: t.Dict[_Place, t.List[Reference]] = {}
        for source, place in result.items():
            if place is not None and place.tag is not None:
                claims.setdefault((place.registry, place.repository, place.tag), []).append(source)
        for claimants in claims.values():
            _refuse_strangers(claimants, result)
            loose = {sources[one] for one in claimants if one.digest is None} or {sources[one] for one in claimants}
            for one in claimants:
                place = result[one]
                if place is not None and one.digest is not None and loose != {sources[one]}:
                    result[one] = Reference(place.registry, place.repository, digest=one.digest)
        return result

    def _named(self, rule: Rule, found: t.Match[str], source: Reference) -> Reference:
        fields = {
            "destination": self._destination,
            "registry": path_of_registry(source.registry),
            "repository": source.repository,
            "name": source.repository.rpartition("/")[2],
            "tag": source.tag or "",
            **{str(number): text or "" for number, text in enumerate(found.groups(), 1)},
            **{name: text or "" for name, text in found.groupdict().items()},
        }
        name, tag = _split_tag(rule.to)
        text = _filled(name, fields)
        if source.tag is not None:
            text += ":" + (_filled(tag, fields) if tag else source.tag)
        if source.digest is not None:
            text += f"@{source.digest}"
        return _parsed(text, rule, source)


def path_of_registry(registry: str) -> str:
    """A registry's name as part of a repository: ``localhost:5000`` as ``localhost-5000``."""
    return _NOT_IN_A_PATH.sub("-", registry.lower()).strip("-")


def prefixes(destinations: t.Mapping[Reference, t.Optional[Reference]]) -> t.Dict[str, t.Optional[str]]:
    """For each registry the name that stands in front of its repositories in the other one.

    None where that is not so for all of its images: then its clients cannot be sent there.
    """
    result: t.Dict[str, t.Optional[str]] = {}
    for source, place in sorted(destinations.items(), key=lambda pair: str(pair[0])):
        prefix = _prefix(source, place)
        if result.setdefault(source.registry, prefix) != prefix:
            result[source.registry] = None
    return result


def _prefix(source: Reference, place: t.Optional[Reference]) -> t.Optional[str]:
    ending = f"/{source.repository}"
    if place is None or not place.name.endswith(ending) or place.tag not in (source.tag, None):
        return None
    return place.name[: -len(ending)]


def _split_tag(template: str) -> t.Tuple[str, str]:
    head, slash, last = template.rpartition("/")
    name, _colon, tag = last.partition(":")
    return head + slash + name, tag


def _filled(template: str, fields: t.Mapping[str, str]) -> str:
    return _FIELD.sub(lambda found: fields[found.group(1)], template)


def _parsed(text: str, rule: Rule, source: Reference) -> Reference:
    where = f"rule {rule.match!r}, image {source}"
    try:
        result = Reference.parse(text)
    except OciError as error:
        raise OciError(f"{text!r} cannot be an image's name", where=where, why=error.why, fix="Change `to`.") from error
    if text.partition("/")[0] != result.registry:
        raise OciError(
            f"{text!r} names no registry",
            where=where,
            why=f"its first part is not the host of one, so it would mean {result}",
            fix="Begin with a host name that has a dot or a port.",
        )
    return result


def _check_fields(rule: Rule, expression: t.Pattern[str]) -> None:
    known = {*_FIELDS, *expression.groupindex, *map(str, range(1, expression.groups + 1))}
    for field in _FIELD.findall(rule.to):
        if field not in known:
            raise _bad_rule(rule, f"{{{field}}} in `to` is unknown; there is {', '.join(sorted(known))}")
    if re.search(r"[{}]", _FIELD.sub("", rule.to)):
        raise _bad_rule(rule, "`to` has a brace without its other one")


def _refuse_strangers(claimants: t.Sequence[Reference], result: Destinations) -> None:
    """Raise unless all that want this name are one image, apart from pins."""
    names = sorted({f"{one.name}:{one.tag}" for one in claimants})
    if len(names) > 1:
        raise OciError(
            f"{' and '.join(names)} would both become {result[claimants[0]]}",
            why="one would replace the other",
            fix="Put {registry}, {repository} or {tag} into `to` of the rule, or name fewer images.",
        )


def _bad_rule(rule: Rule, why: str) -> OciError:
    return OciError("this cannot be a rule", where=f"rule {rule.match!r}", why=why)
