#!/bin/sh
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The double of k3s's install script, where k3s lies in /usr/local/bin already: writes unit, environment and links as the
# variables INSTALL_K3S_* say (https://docs.k3s.io/reference/env-variables), enables the service and starts it.
set -eu

directory=${INSTALL_K3S_SYSTEMD_DIR:-/etc/systemd/system}
line=${INSTALL_K3S_EXEC:-}
case $line in
    server | "server "* | agent | "agent "*) command=${line%% *} ;;
    *) command='' ;;
esac
arguments=${line#"$command"}
if [ -z "$command" ]; then
    command=$([ -n "${K3S_URL:-}" ] && echo agent || echo server)
fi
name=k3s
type=notify
if [ "$command" = agent ]; then
    name=k3s-agent
    type="exec"
fi
if [ "${INSTALL_K3S_SKIP_DOWNLOAD:-false}" != true ] || [ ! -x /usr/local/bin/k3s ]; then
    echo "error: /usr/local/bin/k3s has to be there, and INSTALL_K3S_SKIP_DOWNLOAD=true: the double downloads nothing" >&2
    exit 1
fi
for link in kubectl crictl ctr; do
    [ -e "/usr/local/bin/$link" ] || ln -s k3s "/usr/local/bin/$link"
done
(umask 077 && { env | grep -E '^(K3S|CONTAINERD)_' || true; } >"$directory/$name.service.env")
cat >"$directory/$name.service" <<UNIT
[Unit]
Description=Lightweight Kubernetes, set up by the double of its install script
Wants=network-online.target
After=network-online.target

[Service]
Type=$type
EnvironmentFile=-$directory/$name.service.env
ExecStart=/usr/local/bin/k3s $command $arguments
KillMode=process
Delegate=yes
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
UNIT
[ "${INSTALL_K3S_SKIP_ENABLE:-false}" = true ] && exit
systemctl daemon-reload
systemctl enable --quiet "$name"
[ "${INSTALL_K3S_SKIP_START:-false}" = true ] || systemctl restart "$name"
