#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs one part of the tests: part.sh NAME COMMAND... Everything is shown on a terminal; elsewhere one line says how it
# ended, and where it failed the end of what it printed, with what failed above it.
set -euo pipefail

name=$1
shift
[ ! -t 1 ] || exec "$@"

log=$(mktemp "${TMPDIR:-/tmp}/sealer-$name.XXXXXX")
trap 'rm -f "$log"' EXIT
code=0
SECONDS=0
"$@" >"$log" 2>&1 || code=$?
took=$(printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)))
if [ "$code" = 0 ]; then
    echo "==> $name: passed in $took$(sed -nE 's/^=*([0-9]+ passed[^=]*).*/: \1/p' "$log" | tail -n 1)"
    exit 0
fi
sed -E '/FAILED - RETRYING/d' "$log" | tail -n 40 | cut -c 1-1000
echo "==> what failed, the last of it last"
# What a target expected to fail is followed by a line that says so.
awk '
    function tell() { for (i = 0; i < pending; i++) print held[i]; pending = 0 }
    /FAILED - RETRYING/ { next }
    /^\.\.\.ignoring/ { pending = 0; next }
    /^(TASK|PLAY|RUNNING HANDLER) / { tell(); task = $0; next }
    /^(fatal|failed): / { if (!pending) held[pending++] = task; held[pending++] = $0; next }
    /^(FAILED |ERROR |ERROR: |FATAL: |error: |E   )/ { tell(); print }
    END { tell() }
' "$log" | tail -n 15 | cut -c 1-2000
echo "==> $name: failed after $took with exit code $code"
exit "$code"
