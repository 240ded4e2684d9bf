# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run parts of the tests, and print a table of what each proved: ``python -m …tests.tools.parts NAME…``.

A name is a suite (test, long, all) or a part of tests/parts.yml.
"""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import sys
import time

from ansible_collections.sealer.cluster.tests.tools.parts.outcome import Outcome, Result
from ansible_collections.sealer.cluster.tests.tools.parts.plan import SUITES, UnknownPart, read, select
from ansible_collections.sealer.cluster.tests.tools.parts.runner import Runner, end_on_signals
from ansible_collections.sealer.cluster.tests.tools.parts.table import table


def main() -> int:
    given = argparse.ArgumentParser(description="Runs parts of the tests.")
    given.add_argument(
        "names", nargs="+", metavar="NAME", help="a suite (test, long, all) or a part of tests/parts.yml"
    )
    given.add_argument("--setup-began", type=float, help="when the machine began to be set up, in seconds since 1970")
    options = given.parse_args()
    parts = read()
    try:
        chosen = select(parts, options.names)
    except UnknownPart as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    end_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    begun = options.setup_began or time.time()
    setup = [Outcome("setup", Result.PASSED, time.time() - begun)] if options.setup_began else []
    cache = pathlib.Path(os.environ.get("SEALER_CACHE") or pathlib.Path.home() / ".cache/sealer-cluster")
    outcomes = [*setup, *Runner(cache / "logs").run(chosen)]
    suites = set(options.names) & set(SUITES)
    print("\n" + table(outcomes, time.time() - begun, [part for part in parts if suites and part not in chosen]))
    return 0 if all(one.result.good for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
