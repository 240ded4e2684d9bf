#!/bin/sh
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Starts MariaDB. The first time it makes its tables, a database and users, as the variables say which are documented for
# Docker Hub's image: MYSQL_ROOT_PASSWORD, MYSQL_DATABASE, MYSQL_USER, MYSQL_PASSWORD, and passwords from the files that
# MYSQL_ROOT_PASSWORD_FILE and MYSQL_PASSWORD_FILE name.
set -eu

data=/var/lib/mysql
# Stays behind where this was killed half-way.
unfinished=$data/.unfinished

password() { # VALUE FILE
    if [ -n "$2" ]; then cat "$2"; else printf %s "$1"; fi
}

text() { # as SQL writes it
    printf "'%s'" "$(printf %s "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")"
}

name() {
    printf %s "\`$(printf %s "$1" | sed -e "s/\`/\`\`/g")\`"
}

accounts() {
    # Without passwords, for some names of this host.
    echo "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';"
    echo 'DELETE FROM mysql.proxies_priv;'
    echo 'FLUSH PRIVILEGES;'
    root=$(text "$(password "${MYSQL_ROOT_PASSWORD:-}" "${MYSQL_ROOT_PASSWORD_FILE:-}")")
    for host in localhost %; do
        echo "CREATE USER root@'$host' IDENTIFIED BY $root;"
        echo "GRANT ALL ON *.* TO root@'$host' WITH GRANT OPTION;"
    done
    [ -z "${MYSQL_DATABASE:-}" ] || echo "CREATE DATABASE $(name "$MYSQL_DATABASE");"
    [ -n "${MYSQL_USER:-}" ] || return 0
    echo "CREATE USER $(text "$MYSQL_USER")@'%' IDENTIFIED BY $(text "$(password "${MYSQL_PASSWORD:-}" "${MYSQL_PASSWORD_FILE:-}")");"
    [ -z "${MYSQL_DATABASE:-}" ] || echo "GRANT ALL ON $(name "$MYSQL_DATABASE").* TO $(text "$MYSQL_USER")@'%';"
}

case ${1:-} in
    mysqld) ;;
    -*) set -- mysqld "$@" ;;
    *) exec "$@" ;;
esac

if [ ! -d "$data/mysql" ] || [ -e "$unfinished" ]; then
    if [ -z "${MYSQL_ROOT_PASSWORD:-}${MYSQL_ROOT_PASSWORD_FILE:-}" ]; then
        echo 'There is no database yet. Set MYSQL_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD_FILE' >&2
        exit 1
    fi
    touch "$unfinished"
    find "$data" -mindepth 1 -maxdepth 1 ! -name .unfinished ! -name lost+found -exec rm -rf {} +
    # It has much to say, also where all is well. Names need not be known here.
    if ! said=$(mariadb-install-db --datadir="$data" --auth-root-authentication-method=normal --skip-test-db --force 2>&1); then
        printf '%s\n' "$said" >&2
        exit 1
    fi
    accounts | mysqld --datadir="$data" --bootstrap
    rm "$unfinished"
fi
unset MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
exec "$@"
