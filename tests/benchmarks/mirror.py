# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast the mirror serves beside CNCF distribution and nginx, in one run, turn by turn.

Method. One machine; the clients (a Go program, one TLS connection each, kept) share its processors with the server. All
servers have the same certificate (P-256) and the same files, in the page cache, and run all the time; one at a time is
asked. A round is, for each of these figures, a few seconds for each server; each round begins with another one:

1. a blob of 512 MB by 1, 8 and 64 clients: MB a second, over all clients
2. a manifest by tag by 32 clients: requests a second

With 64 clients, memory is the highest sum of the proportional set sizes of a server's processes.

nginx serves plain files and knows nothing of manifests: its requests a second say what the machine can do.
A ratio is made within a round, so what else the machine does hits all alike; min/median/max over the rounds. The bars,
by the median: throughput at least that of either distribution and 0.9 of nginx's at each number of clients, three times
the manifests a second of either distribution, 100 MB of memory.

Usage: python tests/benchmarks/mirror.py [ROUNDS] [SECONDS] (7 rounds of 2 s by default); writes docs/benchmarks.md.
"""

from __future__ import annotations

import contextlib
import pathlib
import statistics
import sys
import tempfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.benchmarks import document
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
    nginx,
    ours,
    registry_v3,
)
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

CLIENTS = (1, 8, 64)
BLOB_SIZE = 512 * 1000 * 1000
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
SERVERS: t.Mapping[str, t.Callable[[Content, Place], t.ContextManager[Running]]] = {
    "ours": ours,
    "docker-registry 2.8.2": debian_registry,
    "distribution v3": registry_v3,
    "nginx": nginx,
}
Figures = t.Dict[str, float]
MANIFESTS = "manifests/s"
MEMORY = "memory MB, 64 clients"


def content_in(directory: pathlib.Path) -> Content:
    """A store with an image of one large layer, its tag under the name that a client without registry means."""
    layout = Layout.open(str(directory / "store"), create=True)
    part = noise("benchmark", 1000 * 1000)
    blob = layout.put_bytes(part * (BLOB_SIZE // len(part)))
    config = layout.put_bytes(b"{}")
    entries = {"config": (config, 2, media.OCI_CONFIG), "layer": (blob, BLOB_SIZE, LAYER)}
    described = {
        name: {"mediaType": kind, "digest": str(digest), "size": size} for name, (digest, size, kind) in entries.items()
    }
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": described["config"],
            "layers": [described["layer"]],
        }
    )
    digest = layout.put_bytes(manifest)
    layout.tag(Reference.parse(f"docker.io/{REPOSITORY}:{TAG}"), Descriptor(media.OCI_MANIFEST, digest, len(manifest)))
    return Content(layout, digest, media.OCI_MANIFEST, [blob, config])


def figure_of(
    name: str, server: Running, content: Content, place: Place, program: pathlib.Path, seconds: str
) -> Figures:
    """One server, asked for a while."""
    if name == MANIFESTS:
        accept = ("-accept", content.media_type, "-seconds", seconds)
        return {name: load(program, place, server.url("manifests", TAG), 32, *accept).rate}
    clients = int(name.split()[1])
    with server.watched() as samples:
        found = load(program, place, server.url("blobs", content.blobs[0]), clients, "-seconds", seconds)
    figures = {name: found.throughput}
    if clients == max(CLIENTS):
        figures[MEMORY] = max(samples) / 1e6
    return figures


def one_round(
    servers: t.Sequence[Running], content: Content, place: Place, program: pathlib.Path, seconds: str
) -> t.Dict[str, Figures]:
    """All figures of all servers."""
    figures: t.Dict[str, Figures] = {name: {} for name in SERVERS}
    for name in (*(f"MB/s, {clients} clients" for clients in CLIENTS), MANIFESTS):
        for server in servers:
            figures[server.name].update(figure_of(name, server, content, place, program, seconds))
    return figures


def spread(values: t.Sequence[float], form: str) -> str:
    """Minimum, median and maximum."""
    return " / ".join(format(value, form) for value in (min(values), statistics.median(values), max(values)))


def tables(rounds: t.Sequence[t.Mapping[str, Figures]]) -> t.List[str]:
    """What was measured, and ours divided by theirs."""
    names = list(rounds[0])
    lines = [f"| min / median / max | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for figure in rounds[0]["ours"]:
        cells = [spread([one[name][figure] for one in rounds], ".0f") for name in names]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    others = [name for name in names if name != "ours"]
    lines += ["", f"| ours divided by | {' | '.join(others)} |", "|---" * (len(others) + 1) + "|"]
    for figure in rounds[0]["ours"]:
        cells = [spread([one["ours"][figure] / one[name][figure] for one in rounds], ".2f") for name in others]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return [*lines, ""]


def missed(rounds: t.Sequence[t.Mapping[str, Figures]]) -> t.List[str]:
    """The bars that are missed, by the median of the ratios."""

    def ratio(figure: str, name: str) -> float:
        return statistics.median(one["ours"][figure] / one[name][figure] for one in rounds)

    bars = [(MANIFESTS, name, 3.0) for name in SERVERS if name not in ("ours", "nginx")]
    for clients in CLIENTS:
        bars += [
            (f"MB/s, {clients} clients", name, 0.9 if name == "nginx" else 1.0) for name in SERVERS if name != "ours"
        ]
    found = [
        f"{figure}: {ratio(figure, name):.2f} of {name}, the bar is {least}"
        for figure, name, least in bars
        if ratio(figure, name) < least
    ]
    used = max(one["ours"][MEMORY] for one in rounds)
    return found + ([f"memory: {used:.0f} MB, the bar is 100"] if used > 100 else [])


def main() -> int:
    """Run the rounds, write the section; 1 when a bar is missed."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    seconds = sys.argv[2] if len(sys.argv) > 2 else "2"
    program = load_program()
    rounds: t.List[t.Dict[str, Figures]] = []
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="bench-")))
        place = Place(directory, Certificates.make(directory))
        content = content_in(directory)
        servers = [stack.enter_context(server(content, place)) for server in SERVERS.values()]
        for number in range(wanted):
            turn = number % len(servers)
            rounds.append(one_round(servers[turn:] + servers[:turn], content, place, program, seconds))
            for name, figures in rounds[-1].items():
                shown = ", ".join(f"{figure} {value:.0f}" for figure, value in figures.items())
                print(f"round {number + 1}: {name}: {shown}", flush=True)
    problems = missed(rounds)
    told = "every bar is met" if not problems else "; ".join(problems)
    method = (__doc__ or "").split("Usage:", maxsplit=1)[0].strip()
    document.write("mirror beside distribution and nginx", [method, "", f"**Result**: {told}.", "", *tables(rounds)])
    print(told)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
