#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs the role and then the engines in a mount namespace of its own, over copies of the host's files:
# inside.sh TEST_DIR ANSIBLE_PLAYBOOK FILES "ENGINE …" ADDRESS
set -euo pipefail
test_dir=$1 ansible_playbook=$2 files=$3 engines=$4 address=$5
work=$(mktemp -d "$test_dir/inside.XXXXXX")
mount -t tmpfs none "$work"
for place in /etc /root /var/lib; do
    mkdir -p "$work$place" "$work/work$place"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$work$place,workdir=$work/work$place" "$place"
done
export PATH="$test_dir/engines/usr/bin:$test_dir/engines/usr/sbin:$PATH" HOME=/root
unset XDG_RUNTIME_DIR REGISTRY_AUTH_FILE
pause=registry.k8s.io/pause:3.10.1 web=docker.io/library/web:1.0 absent=docker.io/library/absent:1

run() {
    local name=$1
    shift
    if ! "$ansible_playbook" -i localhost, "$files/clients.yml" -e "@$test_dir/variables.json" -e "ansible_python_interpreter=${ansible_playbook%/*}/python" "$@" >"$work/$name.log" 2>&1; then
        cat "$work/$name.log" >&2
        exit 1
    fi
    printf '%s: %s\n' "$name" "$(grep '^localhost .*changed=' "$work/$name.log")"
}

# dockerd makes a key of its own
state() { (cd / && find etc/containers etc/containerd etc/docker etc/sealer root/.config/containers -type f ! -name key.json -exec sha256sum {} + 2>/dev/null || true) | sort -k 2; }

pulled() { printf 'pulled %s %s\n' "$1" "$2"; }

refuses() {
    local name=$1
    shift
    if "$@" >"$work/refused.log" 2>&1; then
        echo "$name pulled what is not there" >&2
        exit 1
    fi
    printf 'refused %s\n' "$name"
}

wait_for() {
    for _ in $(seq 60); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    echo "no answer: $*" >&2
    cat "$work"/*.log >&2
    exit 1
}

containerd_pulls() {
    local socket=$work/containerd.sock
    containerd config dump | grep -F 'config_path = "/etc/containerd/certs.d"' >/dev/null
    containerd config dump | grep -F 'bin_dir = "/usr/lib/cni"' >/dev/null
    containerd --config /etc/containerd/config.toml --address "$socket" --root "$work/containerd" --state "$work/containerd-state" >"$work/containerd.log" 2>&1 &
    local ctr=(ctr --address "$socket") pid=$!
    wait_for "${ctr[@]}" version
    for image in "$web" "$pause"; do
        "${ctr[@]}" images pull --hosts-dir /etc/containerd/certs.d --snapshotter native --platform linux/amd64 "$image" >"$work/ctr.log" 2>&1 || { cat "$work/ctr.log" >&2; exit 1; }
        pulled ctr "$image"
    done
    refuses ctr "${ctr[@]}" images pull --hosts-dir /etc/containerd/certs.d --snapshotter native "$absent"
    kill "$pid"
    wait "$pid" || true
}

containers_pull() {
    local store=(--root "$work/podman" --runroot "$work/podman-run" --storage-driver vfs) image
    for image in "$web" "$pause"; do
        skopeo inspect --raw "docker://$image" >"$work/skopeo.json"
        grep -q '"manifests"' "$work/skopeo.json"
        pulled skopeo "$image"
        podman "${store[@]}" pull --quiet "$image" >/dev/null
        pulled podman "$image"
        buildah "${store[@]}" from --pull-always "$image" >/dev/null
        pulled buildah "$image"
    done
    refuses skopeo skopeo inspect --raw "docker://$absent"
    refuses podman podman "${store[@]}" pull "$absent"
    refuses buildah buildah "${store[@]}" from "$absent"
}

docker_pulls() {
    local socket=unix://$work/docker.sock
    # dockerd has no mirrors for other registries, but a mirror can stand in the place of one.
    echo "$address registry.k8s.io" >>/etc/hosts
    mkdir -p /etc/docker/certs.d/registry.k8s.io
    cp "$test_dir/ca.crt" /etc/docker/certs.d/registry.k8s.io/
    dockerd --host "$socket" --data-root "$work/docker" --exec-root "$work/docker-exec" --pidfile "$work/docker.pid" \
        --storage-driver vfs --bridge none --iptables=false --ip-forward=false >"$work/dockerd.log" 2>&1 &
    local pid=$!
    wait_for docker --host "$socket" version
    docker --host "$socket" info --format '{{.LoggingDriver}}' | grep -qx journald
    docker --host "$socket" pull --quiet web:1.0 >/dev/null
    pulled docker "$web"
    docker --host "$socket" pull --quiet "$pause" >/dev/null
    rm -r /etc/docker/certs.d/registry.k8s.io
    pulled docker "$pause"
    kill "$pid"
    wait "$pid" || true
}

# What others have configured
mkdir -p /etc/docker /etc/containerd
echo '{"log-driver": "journald"}' >/etc/docker/daemon.json
cat >/etc/containerd/config.toml <<'END'
version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
END

before=$(state)
run checked --check --diff
diff <(echo "$before") <(state) && echo untouched
run made
run again
for engine in $engines; do
    case $engine in
        containerd) containerd_pulls ;;
        containers) containers_pull ;;
        docker) docker_pulls ;;
    esac
done
run undone -e entry=reset
diff <(echo "$before") <(state) && echo 'as before'
