# shellcheck shell=bash
# Settings and small helpers that every part of hack/cluster uses.

export CLUSTER=${CLUSTER:-tektite}
export STATE=${STATE:-/var/tmp/$CLUSTER}
export TEKTITE_CACHE=${TEKTITE_CACHE:-$HOME/.cache/tektite}
BIN=$TEKTITE_CACHE/bin
IMAGES=$TEKTITE_CACHE/images
# A cluster that runs keeps its network: only `up` has to be told.
[ -n "${NET:-}" ] || NET=$(cat "$STATE/net" 2>/dev/null || echo 198.51.100.0)
export NET
HOST_IP=${NET%.*}.$((${NET##*.} + 1))
NODE_IP=${NET%.*}.$((${NET##*.} + 2))
SVC_CIDR=10.96.0.0/16
POD_CIDR=10.244.0.0/16
DNS_IP=10.96.0.10
NODE=node1
PKI=$STATE/pki
ADMIN=$PKI/admin.conf
export PATH=$BIN:$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() {
  say "cluster: $*"
  exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root"; }

# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep .1
  done
}

# One writer at a time: two builds would fight over the cache, two `up` over the same names. `down`
# removes its lock's file, so whoever waited for that one has to look again.
lock() { # name
  local file=$TEKTITE_CACHE/locks/$1
  mkdir -p "$TEKTITE_CACHE/locks"
  while :; do
    exec 9>"$file"
    flock -n 9 || {
      say "waiting for another hack/cluster to finish ($1)"
      flock 9
    }
    [ ! "$file" -ef /dev/fd/9 ] || return 0
  done
}
unlock() { exec 9>&-; }

kc() { kubectl --kubeconfig="$ADMIN" "$@"; }
