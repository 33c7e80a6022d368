#!/usr/bin/env bash
# Install what a target needs beside Python, where something is missing, apt-get is there and it
# may be used; for the tests JupyterHub's proxy as well, by npm. Where not, say what is missing:
# tests that need it are skipped and say so.
#
#   tools/system_packages.sh check|test|bench
set -euo pipefail

PROMETHEUS="promtool:prometheus amtool:prometheus-alertmanager"
IRKERNEL="/usr/share/jupyter/kernels/ir:r-cran-irkernel R:r-base-core"
# What must be there (a command, or a path), and Debian's package of it.
declare -A NEEDS=(
    [check]="$PROMETHEUS"
    [test]="$PROMETHEUS chromium:chromium $IRKERNEL ip:iproute2"
    [bench]="prometheus-process-exporter:prometheus-process-exporter cc:gcc
        /usr/include/stdio.h:libc6-dev"
)

is_there() {
    case $1 in
        /*) [[ -e $1 ]] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# Debian starts a service as soon as it is installed, and at each boot from then on. Here the
# programs are wanted and not the services: neither happens to those that this installs.
POLICY=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
ASIDE=""

restore_policy() {
    rm -f "$POLICY"
    if [[ -n $ASIDE ]]; then
        mv "$ASIDE" "$POLICY"
    fi
}

install_packages() {
    trap restore_policy EXIT
    if [[ -e $POLICY ]]; then
        ASIDE=$(mktemp "$POLICY.XXXXXX")
        mv "$POLICY" "$ASIDE"
    fi
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 update --quiet
    apt-get -o DPkg::Lock::Timeout=300 install --quiet --yes --no-install-recommends "$@"
    if command -v systemctl >/dev/null; then
        local package
        for package in "$@"; do
            if [[ -e /lib/systemd/system/$package.service ]]; then
                systemctl disable --quiet "$package.service"
            fi
        done
    fi
}

if [[ ${1-} == install ]]; then
    shift
    install_packages "$@"
    exit
fi

# JupyterHub's proxy, in the versions of locks/node, beside the packages of Python.
ROOT=${BASH_SOURCE[0]%/*}/..
LOCK=$ROOT/locks/node/package-lock.json
NODE=${VENV:-$ROOT/.venv}/node

install_proxy() {
    if ! command -v npm >/dev/null; then
        echo "Missing: npm. The test with a real JupyterHub needs it, and is left out." >&2
        return
    fi
    echo "Installing configurable-http-proxy"
    mkdir -p "$NODE"
    cp "$ROOT/locks/node/package.json" "$LOCK" "$NODE"
    if ! npm ci --prefix "$NODE" --ignore-scripts --no-audit --no-fund --loglevel=error; then
        rm -rf "$NODE"
        echo "npm could not install it: the test with a real JupyterHub is left out." >&2
    fi
}

target=${1:?expected check, test or bench}
if [[ $target == test ]]; then
    if [[ ! -x $NODE/node_modules/.bin/configurable-http-proxy ||
        $(<"$LOCK") != "$(<"$NODE/package-lock.json")" ]]; then
        install_proxy
    fi
fi
missing=()
for need in ${NEEDS[$target]}; do
    is_there "${need%%:*}" || missing+=("${need#*:}")
done
((${#missing[@]})) || exit 0

as_root=()
((EUID == 0)) || as_root=(sudo -n)
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    echo "Installing ${missing[*]}"
    "${as_root[@]}" "$0" install "${missing[@]}"
else
    cat >&2 <<END
Missing: ${missing[*]} (so Debian calls them).
    apt install --no-install-recommends ${missing[*]}
installs them where apt is there; it could not be used from here. What needs them is left out.
END
    [[ $target == test ]]
fi
