#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The demo: from a Kubefile to a running cluster on two hosts without internet ("up"), and back to nothing ("down").
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
lab=(--inventory 'localhost,' -c local -e lab_name=demo -e lab_subnet_prefix=10.77.90 -e "lab_state=$SEALER_CACHE/lab" -e "ansible_python_interpreter={{ ansible_playbook_python }}")
inventory=$SEALER_CACHE/lab/demo/hosts.yml
control_plane=10.77.90.11

step() { printf '\n==> %s\n' "$*"; }

say_how_it_ended() {
    local status=$?
    [ "$status" = 0 ] || printf '\nStopped. Nothing is lost: make demo goes on from here, make demo-down takes everything down.\n' >&2
    exit "$status"
}
trap say_how_it_ended EXIT
trap 'exit 130' INT TERM

login() {
    ssh -q -i "$SEALER_CACHE/lab/demo/id_ed25519" -o "UserKnownHostsFile=$SEALER_CACHE/lab/demo/known_hosts" "root@$1" "${@:2}"
}

install_collection() {
    step "Install the collection as a user would (30 s the first time)"
    local environment
    environment=$("$here/tests/tools/installed.sh")
    eval "$environment"
}

site() {
    ansible-playbook "sealer.cluster.$1" -i "$inventory" -e "@$here/tests/lab/cluster.yml" -e sealer_image=demo:1 -e "sealer_store=$SEALER_CACHE/store" "${@:2}"
}

show() {
    step "The cluster"
    login "$control_plane" KUBECONFIG=/etc/kubernetes/admin.conf kubectl get nodes,pods --all-namespaces --output wide
    local address
    address=$(login "$control_plane" KUBECONFIG=/etc/kubernetes/admin.conf kubectl get service demo --output "jsonpath={.spec.clusterIP}")
    for host in "$control_plane" 10.77.90.12; do
        step "The page at the Service's address $address, asked from $host"
        login "$host" curl --silent --show-error --fail --retry 10 --retry-all-errors "http://$address/"
    done
    step "What tried to leave the hosts' network, besides DNS to the site's resolver"
    nft list counter inet sealer_lab_demo left | awk '$1 == "packets" {print $2, $1}'
}

up() {
    local begun=$SECONDS
    install_collection
    step "Build the base image, then the application's image on top of it (10 minutes the first time, then 10 s)"
    "$here/tests/lab/images.sh"
    step "Make two hosts without internet (90 s the first time, then 15 s)"
    ansible-playbook "$here/tests/lab/create.yml" "${lab[@]}"
    step "Run the image on them: ansible-playbook sealer.cluster.site (about 2 minutes)"
    site site
    show
    cat <<END

Done in $((SECONDS - begun)) s. Look around:
  ssh -i $SEALER_CACHE/lab/demo/id_ed25519 -o UserKnownHostsFile=$SEALER_CACHE/lab/demo/known_hosts root@$control_plane
  export KUBECONFIG=/etc/kubernetes/admin.conf; kubectl get pods -A
Take it down:
  make demo-down
END
}

down() {
    install_collection
    if [ -e "$inventory" ]; then
        step "Reset the hosts: ansible-playbook sealer.cluster.reset"
        site reset -e sealer_reset=true || echo "The reset failed; the hosts are removed all the same." >&2
    fi
    step "Remove the hosts"
    ansible-playbook "$here/tests/lab/destroy.yml" "${lab[@]}"
}

"$1"
