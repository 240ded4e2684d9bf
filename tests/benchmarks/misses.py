# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the mirror adds where it lacks the content: first byte, a crowd's last byte, an upstream that is away.

Method. The upstream is Debian's docker-registry over TLS behind a relay that lets 100 Mbit/s through. In each round,
each time with an empty store:

1. first byte: seconds until the first byte of a blob of 1 GB, from the upstream itself and through the mirror
2. crowd: a blob of 64 MB by one client, then, with an empty store again, by 100 clients at once; how often the upstream
   was asked, and when the last of them had all
3. away: the upstream is ended; seconds until a tag that was asked for before is answered, its time to live being over

min/median/max over the rounds. The bars, by the median: the first byte 50 ms after the upstream's at most; one
request to the upstream, the last client within 1.2 times one client's seconds; the tag within 100 ms.

Usage: python tests/benchmarks/misses.py [ROUNDS] (3 by default); writes docs/benchmarks.md.
"""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import ssl
import statistics
import sys
import tempfile
import time
import typing as t
from dataclasses import replace
from urllib.parse import urlsplit

from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.tests.benchmarks import document
from ansible_collections.sealer.cluster.tests.benchmarks.mirror import content_in, spread
from ansible_collections.sealer.cluster.tests.benchmarks.serving import (
    CACHE,
    REPOSITORY,
    TAG,
    Content,
    Place,
    Running,
    debian_registry,
    load,
    load_program,
    ours,
)
from ansible_collections.sealer.cluster.tests.faults.slow_link import SlowLink
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

UPSTREAM = "upstream.example"
BANDWIDTH = 100 * 1000 * 1000 // 8
BIG = 1000 * 1000 * 1000
SMALL = 64 * 1000 * 1000
CROWD = 100
Figures = t.Dict[str, float]


class Bench:
    """An upstream behind a link, its content, and mirrors of it."""

    def __init__(self, content: Content, place: Place, upstream: Running) -> None:
        self.content = content
        self.place = place
        self.upstream = upstream
        self.link = SlowLink(f"127.0.0.1:{upstream.port}", BANDWIDTH)
        self._stores = 0

    def mirror(self, **settings: t.Any) -> t.ContextManager[Running]:
        """A mirror with an empty store."""
        self._stores += 1
        store = str(self.place.directory / f"store-{self._stores}")
        upstream = {"name": UPSTREAM, "urls": [f"https://{self.link.host}"], "ca": str(self.place.certificates.ca)}
        return ours(
            self.content,
            self.place,
            f"mirror-{self._stores}",
            store=Layout.open(store, create=True).path,
            pull_through="configured",
            upstreams=[upstream],
            keep_free=0,
            scrub_days=0,
            **settings,
        )

    def first_byte(self, url: str) -> float:
        """Seconds until the first byte of what is there, on a new connection."""
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=str(self.place.certificates.ca))
        begun = time.monotonic()
        with contextlib.closing(http.client.HTTPSConnection(parts.netloc, context=context, timeout=60)) as connection:
            connection.request("GET", f"{parts.path}?{parts.query}", headers={"Accept": self.content.media_type})
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read(1):
                raise RuntimeError(f"{url}: {answer.status}")
            return time.monotonic() - begun

    def asked(self, digest: object) -> int:
        """How often the upstream was asked for this blob."""
        log = (self.place.directory / "docker-registry-2.8.2.log").read_text(errors="replace")
        return sum(f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP" in line for line in log.splitlines())


def mirrored(mirror: Running, kind: str, what: object) -> str:
    """The address of the upstream's content at the mirror."""
    return f"{mirror.url(kind, what)}?ns={UPSTREAM}"


def one_round(bench: Bench, program: pathlib.Path) -> Figures:
    """All figures once; the upstream lives."""
    big, small = bench.content.blobs[0], bench.content.blobs[-1]
    direct = replace_port(bench.upstream, bench.link)
    figures = {"first byte, upstream s": bench.first_byte(direct.url("blobs", big))}
    with bench.mirror() as mirror:
        figures["first byte, mirror s"] = bench.first_byte(mirrored(mirror, "blobs", big))
    with bench.mirror() as mirror:
        one = load(program, bench.place, mirrored(mirror, "blobs", small), 1, "-once")
    before = bench.asked(small)
    with bench.mirror() as mirror:
        crowd = load(program, bench.place, mirrored(mirror, "blobs", small), CROWD, "-once")
    figures["one client s"] = one.last[-1]
    figures["crowd, last client s"] = crowd.last[-1]
    figures["crowd, requests to the upstream"] = bench.asked(small) - before
    return figures


def away(bench: Bench, end: t.Callable[[], None], rounds: int) -> t.List[float]:
    """Seconds for a tag that was asked for before, with the upstream ended."""
    with bench.mirror(tag_ttl=0) as mirror:
        bench.first_byte(mirrored(mirror, "manifests", TAG))
        end()
        return [bench.first_byte(mirrored(mirror, "manifests", TAG)) for _number in range(rounds)]


def replace_port(upstream: Running, link: SlowLink) -> Running:
    """The upstream as it is reached over the link."""
    return replace(upstream, port=int(link.host.rpartition(":")[2]))


def with_blobs(content: Content) -> Content:
    """The same, with the two blobs that are asked for."""
    part = noise("miss", 1000 * 1000)
    blobs = [content.layout.put_bytes(part * (size // len(part))) for size in (BIG, SMALL)]
    return replace(content, blobs=[blobs[0], *content.blobs, blobs[1]])


def missed(rounds: t.Sequence[Figures], waits: t.Sequence[float]) -> t.List[str]:
    """The bars that are missed."""
    late = statistics.median(one["first byte, mirror s"] - one["first byte, upstream s"] for one in rounds)
    ratio = statistics.median(one["crowd, last client s"] / one["one client s"] for one in rounds)
    most = max(one["crowd, requests to the upstream"] for one in rounds)
    checks = [
        (late <= 0.05, f"first byte {late * 1000:.0f} ms after the upstream's, the bar is 50"),
        (ratio <= 1.2, f"the crowd's last client after {ratio:.2f} times one client's seconds, the bar is 1.2"),
        (most == 1, f"{most:.0f} requests to the upstream for one blob, the bar is 1"),
        (
            statistics.median(waits) <= 0.1,
            f"a cached tag after {statistics.median(waits) * 1000:.0f} ms, the bar is 100",
        ),
    ]
    return [told for good, told in checks if not good]


def main() -> int:
    """Run the rounds, write the section; 1 when a bar is missed."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    program = load_program()
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="bench-")))
        place = Place(directory, Certificates.make(directory))
        content = with_blobs(content_in(directory))
        living = stack.enter_context(contextlib.ExitStack())
        bench = Bench(content, place, living.enter_context(debian_registry(content, place)))
        stack.callback(bench.link.close)
        rounds = []
        for number in range(wanted):
            rounds.append(one_round(bench, program))
            shown = ", ".join(f"{figure} {value:.3f}" for figure, value in rounds[-1].items())
            print(f"round {number + 1}: {shown}", flush=True)
        waits = away(bench, living.close, max(wanted, 5))
    problems = missed(rounds, waits)
    told = "every bar is met" if not problems else "; ".join(problems)
    lines = ["| figure | min / median / max |", "|---|---|"]
    lines += [f"| {figure} | {spread([one[figure] for one in rounds], '.3f')} |" for figure in rounds[0]]
    lines.append(f"| cached tag, upstream away s | {spread(waits, '.3f')} |")
    method = (__doc__ or "").split("Usage:", maxsplit=1)[0].strip()
    document.write("mirror without the content", [method, "", f"**Result**: {told}.", "", *lines])
    print(told)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
