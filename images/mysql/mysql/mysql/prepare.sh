#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What no manifest can hold: the node that keeps the data, and passwords. Both are chosen once.
set -euo pipefail

# A host that the inventory gives the label (sealer_node_labels: {mysql-data: here}), else the first worker.
if [ -z "$(kubectl get nodes --selector=mysql-data=here --output=name)" ]; then
    workers=$(kubectl get nodes --selector='!node-role.kubernetes.io/control-plane' --output='jsonpath={.items[*].metadata.name}')
    all=$(kubectl get nodes --output='jsonpath={.items[*].metadata.name}')
    read -r node _ <<<"$workers $all"
    kubectl label node "$node" mysql-data=here
fi

# Passwords are those of the variable apps_secret_env, else drawn here. They stand in no argument and in no file.
random() { od --address-radix=n --format=x1 --read-bytes=16 /dev/urandom | tr --delete ' \n'; }
if [ -z "$(kubectl get secret mysql --namespace=default --ignore-not-found --output=name)" ]; then
    kubectl create secret generic mysql --namespace=default \
        --from-file=root-password=<(printf %s "${MYSQL_ROOT_PASSWORD:-$(random)}") \
        --from-file=password=<(printf %s "${MYSQL_PASSWORD:-$(random)}")
fi
