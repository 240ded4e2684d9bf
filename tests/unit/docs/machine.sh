#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The first process of a machine that is made of namespaces, on which a guide is followed:
# machine.sh CHECKOUT GIVEN SESSION USER DIRECTORY. SESSION/prepare is run by root, SESSION/guide by USER, me or root, in DIRECTORY.
# What they write is kept in memory and ends with the machine, but for SESSION. Its network is the loopback interface, on
# which registries answer under the names in GIVEN/hosts.
set -euo pipefail
checkout=$1 given=$2 session=$3 user=$4 directory=$5

mount -t tmpfs none /mnt
mkdir -p /mnt/given /mnt/session /mnt/me/.ansible/collections
mount --bind "$given" /mnt/given
mount --bind "$session" /mnt/session

overlay() {
    mkdir -p "/mnt/upper$1" "/mnt/scratch$1"
    chmod --reference "${2:-$1}" "/mnt/upper$1"
    chmod a+rx "/mnt/upper$1"
    mount -t overlay overlay -o "lowerdir=${2:-$1},upperdir=/mnt/upper$1,workdir=/mnt/scratch$1" "$1"
}
for place in /etc /usr/local /var /tmp "$HOME" "$checkout"; do overlay "$place"; done
overlay /mnt/me/.ansible/collections "$COLLECTIONS"
# Nothing here finds the services of the machine outside.
for place in /run /dev/shm; do mount -t tmpfs none "$place"; done
mount -o remount,bind,ro /
cp -R /mnt/given/etc /
cat /mnt/given/hosts >>/etc/hosts
echo 'me:x:4000:4000::/mnt/me:/bin/bash' >>/etc/passwd
echo 'me:x:4000:' >>/etc/group
ip link set lo up

# Starts a server, and waits until it listens at a port: serve PORT COMMAND …
serve() {
    "${@:2}" >"/mnt/$1.log" 2>&1 </dev/null &
    while kill -0 $! 2>/dev/null; do
        ! (: 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
        sleep 0.05
    done
    echo "nothing listens at port $1: $(cat "/mnt/$1.log")" >&2
    exit 1
}
cp -R /mnt/given/registry /mnt/registry
cat >/mnt/registry.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /mnt/registry}}
http: {addr: "127.0.0.1:443", tls: {certificate: /etc/sealer/pki/registry.crt, key: /etc/sealer/pki/registry.key}}
END
serve 443 docker-registry serve /mnt/registry.yml
mkdir -p /mnt/me/.local/share/sealer
cp -R /mnt/given/store /mnt/me/.local/share/sealer/
cp -R /mnt/given/work /mnt/me/
echo fail >/mnt/me/.curlrc

# What a guide may need besides, as its entry in guides.yml says.

# Runs the collection's own mirror, as the role registry leaves it on a host.
mirror() {
    echo 'sealer-mirror:x:4001:4001::/:/usr/sbin/nologin' >>/etc/passwd
    echo 'sealer-mirror:x:4001:' >>/etc/group
    mkdir -p /usr/local/lib/sealer /var/lib/sealer
    cp /mnt/given/mirror.pyz /usr/local/lib/sealer/
    cp -R /mnt/given/store /var/lib/sealer/
    chown -R sealer-mirror: /etc/sealer /var/lib/sealer
    serve 5000 runuser -u sealer-mirror -- /usr/bin/python3 -I /usr/local/lib/sealer/mirror.pyz --config /etc/sealer/mirror.json
}

# Takes the collection away, and lets it and Python packages be installed without internet.
package_registries() {
    umount /mnt/me/.ansible/collections
    serve 8080 python -m http.server 8080 --bind 127.0.0.1 --directory /mnt/given/galaxy
    export ANSIBLE_GALAXY_SERVER=http://127.0.0.1:8080/api/ PIP_NO_INDEX=1 PIP_FIND_LINKS
    PIP_FIND_LINKS=$(dirname "$(command -v ansible)")/../wheels
}

# A program of somebody else, by what it does: program NAME SHELL
program() {
    printf '#!/bin/sh\n%s\n' "$2" >"/usr/local/bin/$1"
    chmod +x "/usr/local/bin/$1"
}

cd /mnt/me/work
export HOME=/mnt/me USER="$user" LOGNAME="$user" CHECKOUT="$checkout" SSL_CERT_FILE=/mnt/given/ca.crt
export ANSIBLE_NOCOLOR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 SEALER_NEEDED_GIB=0
unset COLLECTIONS
# shellcheck source=/dev/null
. /mnt/session/prepare
chown -R "$user": /mnt/me /mnt/session
cd "$directory"
exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups bash /mnt/session/guide
