#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the lab's host image: a Debian with systemd and an SSH server, imported into podman as $1.
# The root file system is kept as the archive $2, so that a podman store that was cleared needs seconds, not minutes.
set -euo pipefail

image=$1
archive=$2
here=$(dirname "$(readlink -f "$0")")
packages=systemd,systemd-sysv,dbus,openssh-server,python3,iproute2,iptables,nftables,ca-certificates,openssl,curl,procps,kmod,ethtool,socat,conntrack,ebtables,runc

debian_source() {
    apt-get indextargets --format "\$(REPO_URI) \$(CODENAME)" 'Created-By: Packages' 'Component: main' | awk '$2 == "bookworm" {print $1; exit}'
}

make_root() {
    local root=$1
    debootstrap --variant=minbase --include="$packages" bookworm "$root" "$(debian_source)"
    cp -a "$here/root/." "$root/"
    # Two machines from one image must not be the same machine.
    : >"$root/etc/machine-id"
    ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
    rm -f "$root"/etc/ssh/ssh_host_* "$root"/var/cache/apt/archives/*.deb
    rm -rf "$root"/var/lib/apt/lists/*
    for unit in systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount systemd-udevd.service \
        systemd-udevd-control.socket systemd-udevd-kernel.socket sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
        getty@.service console-getty.service apt-daily.timer apt-daily-upgrade.timer; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # These would change settings of the machine that the lab runs on.
    ln -sf /dev/null "$root/etc/sysctl.d/50-pid-max.conf"
    ln -sf /dev/null "$root/etc/sysctl.d/99-protect-links.conf"
    mkdir -p "$root/etc/systemd/system/sysinit.target.wants" "$root/etc/systemd/system/ssh.service.d"
    ln -sf ../lab-private.service "$root/etc/systemd/system/sysinit.target.wants/lab-private.service"
}

if [ ! -s "$archive" ]; then
    work=$(mktemp -d "$(dirname "$archive")/root.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    make_root "$work" >"$archive.log" 2>&1 || { tail -n 20 "$archive.log" >&2; exit 1; }
    tar -C "$work" --numeric-owner -cf "$archive.partial" .
    mv "$archive.partial" "$archive"
fi
podman import --quiet "$archive" "$image"
