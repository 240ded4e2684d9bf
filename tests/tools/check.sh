#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Everything that can be said of the code without running it; cheap and likely failures first.
set -euo pipefail
cd "$(dirname "$0")/../.."

step() { printf '==> %s\n' "$1"; shift; "$@"; }

# The packages import each other by their collection names, so types are checked where Ansible sees the tree.
mypy_tree() { (cd "$SEALER_TREE" && mypy --config-file ansible_collections/sealer/cluster/pyproject.toml ansible_collections/sealer/cluster/plugins ansible_collections/sealer/cluster/tests); }

step "ruff" ruff check --quiet .
step "black" black --quiet --check --diff .
step "yamllint" yamllint --strict .
step "shellcheck" shellcheck .ci/run tests/*/*.sh tests/lab/host/*.sh tests/unit/docs/*.sh images/mysql/entrypoint.sh images/mysql/mysql/mysql/prepare.sh
step "changelog" antsibull-changelog lint
step "reference" python docs/generate.py --check
step "types" mypy_tree
step "ansible-lint" ansible-lint --offline
