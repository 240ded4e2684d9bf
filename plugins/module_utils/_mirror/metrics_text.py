# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers out of Prometheus' text format, and what they say about registries and upstreams.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import STORE

_PREFIX = "sealer_mirror_"
_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)(?: \S+)?', re.ASCII)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"', re.ASCII)
_ESCAPE = re.compile(r"\\(.)")

Labels = t.Dict[str, str]
Sample = t.Tuple[str, Labels, float]
Json = t.Dict[str, t.Any]


def parse(text: str) -> t.List[Sample]:
    """Name, labels and value of every line that is a sample; other lines are passed over."""
    found: t.List[Sample] = []
    for line in text.split("\n"):
        match = _SAMPLE.fullmatch(line.strip())
        if match is None:
            continue
        name, labels, value = match.groups()
        try:
            found.append((name, {key: _plain(content) for key, content in _LABEL.findall(labels or "")}, float(value)))
        except ValueError:
            continue
    return found


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found.group(1) == "n" else found.group(1), text)


def summary(samples: t.Sequence[Sample]) -> Json:
    """What a mirror has done since it was started: as a whole, by registry, by upstream."""
    counts = _Counts(samples)
    registries = {
        name: {
            "hits": counts.sum("served_total", registry=name, source=STORE),
            "misses": counts.sum("served_total", registry=name)
            - counts.sum("served_total", registry=name, source=STORE),
            "bytes_served": counts.sum("served_bytes_total", registry=name),
            "coalesced": counts.sum("coalesced_total", registry=name),
            "stale": counts.sum("stale_total", registry=name),
        }
        for name in counts.values("registry")
    }
    upstreams = {
        name: {
            "fetches": counts.sum("fetch_seconds_count", upstream=name),
            "bytes_fetched": counts.sum("fetched_bytes_total", upstream=name),
            "failures": counts.by("failed_fetches_total", "why", upstream=name),
        }
        for name in counts.values("upstream")
    }
    served, fetched = counts.sum("served_bytes_total"), counts.sum("fetched_bytes_total")
    return {
        "requests": counts.sum("request_seconds_count"),
        "hits": counts.sum("served_total", source=STORE),
        "misses": counts.sum("served_total") - counts.sum("served_total", source=STORE),
        "bytes_served": served,
        "bytes_fetched": fetched,
        "bytes_saved": max(0, served - fetched),
        "blobs_evicted": counts.sum("evicted_total"),
        "bytes_evicted": counts.sum("evicted_bytes_total"),
        "blobs_scrubbed": counts.sum("scrubbed_total"),
        "blobs_broken": counts.sum("scrubbed_total", result="bad"),
        "registries": registries,
        "upstreams": upstreams,
    }


class _Counts:
    def __init__(self, samples: t.Sequence[Sample]) -> None:
        self._samples = [(s[0][len(_PREFIX) :], s[1], s[2]) for s in samples if s[0].startswith(_PREFIX)]

    def sum(self, name: str, **labels: str) -> int:
        return int(sum(value for found, has, value in self._samples if found == name and labels.items() <= has.items()))

    def values(self, label: str) -> t.List[str]:
        return sorted({has[label] for _name, has, _value in self._samples if label in has})

    def by(self, name: str, label: str, **labels: str) -> t.Dict[str, int]:
        wanted = [has for found, has, _value in self._samples if found == name and labels.items() <= has.items()]
        return {each: self.sum(name, **{label: each}, **labels) for each in sorted({has[label] for has in wanted})}
