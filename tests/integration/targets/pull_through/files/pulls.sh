#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Pulls with one client and says what is in the images: pulls.sh CLIENT, with the variables of vars/main.yml. It is the
# first process of a namespace: what it started ends with it.
set -euo pipefail
client=$1
work=$(mktemp -d "$TEST_DIR/c.XXXX")
mount -t tmpfs none "$work"
export HOME=$work CONTAINERS_REGISTRIES_CONF=$TEST_DIR/registries.conf SSL_CERT_FILE=$TEST_DIR/ca.crt
unset XDG_RUNTIME_DIR REGISTRY_AUTH_FILE DOCKER_CONFIG
by_path=127.0.0.1:$MIRROR_PORT/first.example by_host=localhost:$MIRROR_PORT

fail() {
    tail --lines 5 "$work"/*.log >&2
    exit 1
}

# How each client gets an image of a platform and shows its file: show_CLIENT NAME ARCHITECTURE DIRECTORY

show_containerd() {
    local ctr=("$programs/ctr" --address "$work/containerd.sock")
    "${ctr[@]}" images pull --hosts-dir "$TEST_DIR/hosts" --snapshotter overlayfs --platform "linux/$2" "$1" >"$3.log" 2>&1 || fail
    "${ctr[@]}" images export "${export[@]}" --skip-manifest-json --platform "linux/$2" "$3.tar" "$1" >>"$3.log" 2>&1 || fail
    skopeo --override-arch "$2" copy --quiet "oci-archive:$3.tar" "dir:$3" >>"$3.log" 2>&1 || fail
    text_of_layer "$3"
}

show_podman() {
    local podman=(podman --root "$3" --runroot "${3}r" --storage-driver vfs) id
    id=$("${podman[@]}" pull --quiet --cert-dir "$TEST_DIR/certs" --arch "$2" "$1" 2>"$3.log") || fail
    cat "$("${podman[@]}" image mount "$id")/whoami"
}

show_skopeo() {
    skopeo --registries-conf "$CONTAINERS_REGISTRIES_CONF" --override-arch "$2" copy --quiet --src-cert-dir "$TEST_DIR/certs" "docker://$1" "dir:$3" >"$3.log" 2>&1 || fail
    text_of_layer "$3"
}

text_of_layer() {
    local layer
    layer=$(grep -oE '"digest": *"sha256:[0-9a-f]{64}"' "$1/manifest.json" | tail -n 1 | grep -oE '[0-9a-f]{64}')
    tar --extract --gzip --to-stdout --file "$1/$layer" whoami
}

show_crane() {
    "$CACHE/bin/crane" export --platform "linux/$2" "$1" - 2>"$3.log" | tar --extract --to-stdout whoami || fail
}

start_containerd() {
    cat >"$work/config.toml" <<END
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
END
    "$programs/containerd" --config "$work/config.toml" --address "$work/containerd.sock" --root "$work/root" --state "$work/state" >"$work/containerd.log" 2>&1 &
    for _ in $(seq 60); do
        if "$programs/ctr" --address "$work/containerd.sock" version >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    fail
}

show=show_$client first=first.example second=second.example:5443 first_long=$WIDE second_long=$WIDE
case $client in
    containerd-1.6 | containerd-2)
        show=show_containerd programs=$TEST_DIR/containerd/usr/bin export=() first_long=$LONGEST second_long=$LONGEST
        # Else containerd 2 exports by a stream, and ctr may end before the end of it is written.
        [ "$client" = containerd-1.6 ] || programs=$CONTAINERD_2 export=(--local)
        "$programs/containerd" --version | grep -qE " v?${client#containerd-}\." || { echo "$programs/containerd is another version" >&2; exit 1; }
        start_containerd
        ;;
    crane)
        first=$by_path second=$by_host second_long=$LONGEST
        ;;
esac

say() {
    local text
    text=$("$show" "$2" "$3" "$4")
    printf '%s: %s\n' "$1" "$text" >>"$work/said"
}

pull_first() {
    say tag "$first/$APP:1.0" amd64 "$work/first-tag"
    say digest "$first/$APP@$FIRST_DIGEST" arm64 "$work/first-digest"
    say long "$first/$first_long" amd64 "$work/first-long"
}

pull_second() {
    say tag "$second/$APP:1.0" amd64 "$work/second-tag"
    say digest "$second/$APP@$SECOND_DIGEST" arm64 "$work/second-digest"
    say long "$second/$second_long" amd64 "$work/second-long"
}

pull_first &
one=$!
pull_second &
wait "$!"
wait "$one"
cat "$work/said"
