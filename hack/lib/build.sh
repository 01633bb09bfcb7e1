# shellcheck shell=bash
# Installs what the node needs from the distribution and builds the rest from Go modules, once, into
# $BIN. A program is built again when its folder in hack/node or the way to build it has changed.

MODULES=$HERE/node

# Each line: a file that shows that the package is there, and the package.
packages() {
  local missing=() file package
  while read -r file package; do
    [ -e "$file" ] || missing+=("$package")
  done <<'K'
/usr/lib/cni/ptp containernetworking-plugins
/usr/sbin/iptables iptables
/usr/bin/unshare util-linux
/bin/ip iproute2
/usr/sbin/conntrack conntrack
/usr/bin/openssl openssl
/usr/include/seccomp.h libseccomp-dev
/usr/bin/pkg-config pkg-config
/usr/bin/gcc gcc
/usr/include/stdlib.h libc6-dev
/usr/bin/buildah buildah
/usr/bin/skopeo skopeo
/bin/busybox busybox-static
/usr/sbin/debootstrap debootstrap
/usr/bin/docker-registry docker-registry
/usr/bin/jq jq
/usr/bin/curl curl
/usr/bin/pgrep procps
K
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "these packages are missing, and only root can install them: ${missing[*]}"
  say "installing ${missing[*]}"
  # A source that cannot be reached is no reason to stop: the packages may come from another.
  apt-get update -qq >&2 || true
  # No service may start: the registry's own would take a port of this machine.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    die "apt-get could not install ${missing[*]}"
}

# program NAME FOLDER PACKAGE [LDFLAGS [TAGS [CGO]]]
program() {
  local name=$1 folder=$MODULES/$2 package=$3 ldflags="-s -w ${4:-}" tags=${5:-} cgo=${6:-0}
  local stamp log=$BIN/.$name.log pid start=$SECONDS
  stamp=$( (cat "$folder"/go.* "$folder"/*.go; echo "$package $ldflags $tags $cgo") | sha256sum)
  [ -x "$BIN/$name" ] && [ "$(cat "$BIN/.$name.stamp" 2>/dev/null)" = "$stamp" ] && return
  command -v go >/dev/null || die "Go is needed to build $name (see $2/go.mod for its version)"
  say "building $name"
  (
    cd "$folder"
    export CGO_ENABLED=$cgo GOFLAGS=''
    exec nice -n 5 go build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$BIN/.$name.new" "$package"
  ) >"$log" 2>&1 9>&- &
  pid=$!
  # A job in the background would not notice that somebody gave up.
  # shellcheck disable=SC2064 # this very number
  trap "kill $pid 2>/dev/null || true" EXIT
  while kill -0 $pid 2>/dev/null; do
    sleep 1
    [ $(((SECONDS - start) % 30)) != 0 ] || say "  $name: $((SECONDS - start)) s so far"
  done
  wait $pid || {
    cat "$log" >&2
    die "$name does not build"
  }
  trap - EXIT
  # A rename, for a cluster that runs still executes the old file.
  mv -f "$BIN/.$name.new" "$BIN/$name"
  echo "$stamp" >"$BIN/.$name.stamp"
  rm -f "$log"
  say "  $name: $((SECONDS - start)) s, $(du -h "$BIN/$name" | cut -f1)"
}

programs() {
  local v=k8s.io/component-base/version minor c
  mkdir -p "$BIN"
  version() { sed -n "s|.*$2 v\([0-9][^ ]*\).*|\1|p" "$MODULES/$1/go.mod" | head -1; }
  local kube containerd runc helm
  kube=$(version kube k8s.io/kubernetes) containerd=$(version containerd github.com/containerd/containerd/v2)
  runc=$(version runc github.com/opencontainers/runc)
  helm=$(version helm helm.sh/helm/v4)
  minor=${kube#1.} minor=${minor%%.*}
  program etcd etcd .
  program runc runc github.com/opencontainers/runc "-extldflags -static -X main.version=$runc" "seccomp netgo osusergo" 1
  for c in containerd containerd-shim-runc-v2 ctr; do
    program $c containerd github.com/containerd/containerd/v2/cmd/$c \
      "-X github.com/containerd/containerd/v2/version.Version=$containerd" "no_btrfs no_devmapper no_zfs"
  done
  program kube kube . "-X $v.gitVersion=v$kube -X $v.gitMajor=1 -X $v.gitMinor=$minor"
  ln -sf kube "$BIN/kubectl"
  program pause pause .
  program registry-proxy registry-proxy .
  program coredns coredns .
  program provisioner provisioner .
  program helm helm helm.sh/helm/v4/cmd/helm "-X helm.sh/helm/v4/internal/version.version=v$helm"
  program kwok kwok sigs.k8s.io/kwok/cmd/kwok
  [ "$BIN/kwok.yaml" -nt "$BIN/.kwok.stamp" ] || kwok_stages
}

# kwok does nothing without stages: those that its own module has for a node that lives and for Pods
# that run at once (and end, if a Job owns them).
kwok_stages() {
  local module stage
  module=$(cd "$MODULES/kwok" && GOFLAGS='' go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)
  for stage in "$module"/kustomize/stage/{node/fast,node/heartbeat-with-lease,pod/fast}/{node,pod}-*.yaml; do
    [ ! -f "$stage" ] || { echo ---; cat "$stage"; }
  done >"$BIN/kwok.yaml"
}

build() {
  packages
  lock build
  programs
  images
  unlock
}
