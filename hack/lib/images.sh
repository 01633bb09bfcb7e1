# shellcheck shell=bash
# The images that steps run in, made from this machine's packages and kept as OCI archives in
# $IMAGES, with a registry's storage that holds the same. Layers stay uncompressed: nothing of them
# travels over a network, and unpacking them is what `up` would wait for.

# The packages of the debian image, besides the smallest system.
DEBIAN_PACKAGES=git,python3-minimal,openssh-client,ca-certificates,curl,jq
# What the registry holds: repository and archive. The library/ ones are for docker.io's mirror.
registry_content() {
  cat <<'K'
busybox busybox
alpine busybox
debian debian
ubuntu debian
bash debian
library/busybox busybox
library/alpine busybox
library/debian debian
library/ubuntu debian
library/bash debian
private/busybox private
K
}

# The names that are in containerd from the start: name and archive.
node_images() {
  cat <<'K'
localhost/pause:1 pause
docker.io/library/busybox:latest busybox
docker.io/library/alpine:latest busybox
docker.io/library/debian:latest debian
docker.io/library/ubuntu:latest debian
docker.io/library/bash:latest debian
K
}

pause_rootfs() {
  cp "$BIN/pause" "$1/pause"
}

busybox_rootfs() {
  local applet
  mkdir -p "$1"/{bin,etc,home,root,tmp,usr,var/tmp}
  ln -s ../bin "$1/usr/bin"
  chmod 1777 "$1/tmp" "$1/var/tmp"
  cp /bin/busybox "$1/bin/busybox"
  for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
  done
  printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/home:/bin/false >"$1/etc/passwd"
  printf '%s\n' root:x:0: nogroup:x:65534: >"$1/etc/group"
}

# Not quite busybox, so that a pull has something to fetch that the node does not have yet.
private_rootfs() {
  busybox_rootfs "$1"
  echo private >"$1/etc/issue"
}

debian_rootfs() {
  local codename mirror
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # The mirror that this machine's package manager is set up with.
  mirror=$(apt-get --print-uris update | sed -n "s|^'\(.*\)/dists/$codename/\(In\)\{0,1\}Release'.*|\1|p" | head -1)
  [ -n "$mirror" ] || die "apt has no source for $codename to make the debian image from"
  debootstrap --variant=minbase --include="$DEBIAN_PACKAGES" "$codename" "$1" "$mirror" >&2
  # What no step reads is half of the image.
  rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/usr/share/{doc,man,locale,info,i18n}/* "$1"/dev/*
  rm -f "$1/etc/resolv.conf" "$1/etc/hostname"
}

# image NAME REFERENCE COMMAND
image() {
  local name=$1 reference=$2 command=$3 stamp work start=$SECONDS container
  stamp=$( (declare -f "$name"_rootfs busybox_rootfs image; echo "$reference $command $DEBIAN_PACKAGES"; [ "$name" != pause ] || cat "$BIN/.pause.stamp") | sha256sum)
  [ -f "$IMAGES/$name.tar" ] && [ "$(cat "$IMAGES/$name.stamp" 2>/dev/null)" = "$stamp" ] && return
  need_root "making images"
  say "making image $name"
  work=$(mktemp -d "$IMAGES/.$name.XXXXXX")
  mkdir -m 755 "$work/rootfs"
  if ! "$name"_rootfs "$work/rootfs" 2>"$work/log"; then
    cat "$work/log" >&2
    die "image $name cannot be made (left in $work)"
  fi
  ( # buildah's storage is ours alone, so that nothing stays in the machine's
    export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
    b() { buildah --root "$work/storage" --runroot "$work/run" "$@"; }
    container=$(b from scratch)
    tar -C "$work/rootfs" --sort=name --mtime=@0 -cf "$work/rootfs.tar" .
    b add -q "$container" "$work/rootfs.tar" / >/dev/null
    b config --cmd "$command" --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    b commit -q --timestamp 0 --disable-compression "$container" "oci-archive:$IMAGES/.$name.tar:$reference" >/dev/null
  )
  mv -f "$IMAGES/.$name.tar" "$IMAGES/$name.tar"
  echo "$stamp" >"$IMAGES/$name.stamp"
  rm -rf "$work"
  say "  $name: $((SECONDS - start)) s, $(du -h "$IMAGES/$name.tar" | cut -f1)"
}

registry_config() { # storage, address
  cat <<K
version: 0.1
log: {level: info}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: $1}
  delete: {enabled: true}
http: {addr: "$2"}
K
}

# Where a full registry for the images as they are now is or will be.
registry_seed() {
  local sum
  sum=$( (cat "$IMAGES"/*.stamp; declare -f registry_storage registry_content registry_variants) | sha256sum)
  echo "$IMAGES/registry-${sum:0:12}"
}

# Variants of busybox that run something by themselves, in the registry at 127.0.0.1:5000 alone: only its
# configurations and manifests are new. tool:1 has an ENTRYPOINT and a CMD, tool:silent has neither, and
# tool:platforms is an index of images that run different things.
registry_variants() {
  local registry=http://127.0.0.1:5000/v2 work=$1
  local image=application/vnd.oci.image.manifest.v1+json index=application/vnd.oci.image.index.v1+json
  fetch() { curl -fsS -H "Accept: $image" "$registry/busybox/$1"; }
  sum() { printf 'sha256:%s' "$(sha256sum "$1" | cut -d' ' -f1)"; }
  put() { # name type file
    curl -fsS -o /dev/null -X PUT -H "Content-Type: $2" --data-binary "@$3" "$registry/tool/manifests/$1"
  }
  variant() { # architecture entrypoint cmd: prints the new manifest's digest
    local upload
    fetch "blobs/$config" | jq -c --arg a "$1" --argjson e "$2" --argjson c "$3" \
      '.architecture = $a | .config.Entrypoint = $e | .config.Cmd = $c' >"$work/config"
    upload=$(curl -fsS -o /dev/null -D - -X POST "$registry/tool/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    curl -fsS -o /dev/null -X PUT -H "Content-Type: application/octet-stream" --data-binary "@$work/config" "$upload&digest=$(sum "$work/config")"
    jq -c --arg d "$(sum "$work/config")" --argjson n "$(stat -c %s "$work/config")" \
      '.config.digest = $d | .config.size = $n' "$work/busybox" >"$work/manifest"
    put "$(sum "$work/manifest")" $image "$work/manifest"
    sum "$work/manifest"
  }
  local config layer digest
  fetch manifests/latest >"$work/busybox"
  config=$(jq -r .config.digest "$work/busybox")
  for layer in $(jq -r '.layers[].digest' "$work/busybox"); do
    curl -fsS -o /dev/null -X POST "$registry/tool/blobs/uploads/?mount=$layer&from=busybox"
  done
  # shellcheck disable=SC2016 # not for this shell
  variant amd64 '["echo", "entrypoint", "$HOME"]' '["cmd"]' >/dev/null
  put 1 $image "$work/manifest"
  variant amd64 null null >/dev/null
  put silent $image "$work/manifest"
  digest=$(variant amd64 '["echo", "for this one"]' '["cmd"]')
  entry() { # digest architecture
    jq -cn --arg t $image --arg d "$1" --arg a "$2" --argjson n "$(stat -c %s "$work/manifest")" \
      '{mediaType: $t, digest: $d, size: $n, platform: {os: "linux", architecture: $a}}'
  }
  entry "$digest" amd64 >"$work/entries"
  digest=$(variant arm64 '["echo", "for another"]' '["cmd"]')
  entry "$digest" arm64 >>"$work/entries"
  jq -cs --arg t $index '{schemaVersion: 2, mediaType: $t, manifests: .}' "$work/entries" >"$work/index"
  put platforms $index "$work/index"
}

# Fills a registry once. It runs in a network namespace of its own, so that its port is free.
registry_storage() {
  local seed work old start=$SECONDS
  seed=$(registry_seed)
  [ ! -d "$seed" ] || return 0
  need_root "filling the registry"
  say "filling the registry"
  work=$(mktemp -d "$IMAGES/.registry.XXXXXX")
  registry_config "$work/storage" 127.0.0.1:5000 >"$work/config.yml"
  registry_content >"$work/content"
  # shellcheck disable=SC2016 # the inner shell expands these
  unshare --net --pid --fork --kill-child bash -euc '
    ip link set lo up
    docker-registry serve "$1/config.yml" >"$1/log" 2>&1 &
    until curl -fs -o /dev/null http://127.0.0.1:5000/v2/; do sleep .1; done
    while read -r repository archive; do
      skopeo copy -q --preserve-digests --dest-tls-verify=false "oci-archive:$2/$archive.tar" "docker://127.0.0.1:5000/$repository:latest"
    done <"$1/content"
    eval "$3"
    registry_variants "$1"' - "$work" "$IMAGES" "$(declare -f registry_variants)" >&2 9>&- || die "the registry cannot be filled (see $work/log)"
  for old in "$IMAGES"/registry-*; do
    # A cluster that runs may still have an older one mounted.
    grep -qs "lowerdir=$old" /proc/[0-9]*/mountinfo || rm -rf "$old"
  done
  mv "$work/storage" "$seed"
  rm -rf "$work"
  say "  registry: $((SECONDS - start)) s, $(du -sh "$seed" | cut -f1)"
}

images() {
  mkdir -p "$IMAGES"
  rm -rf "$IMAGES"/.[a-z]* # what an attempt that failed left
  image pause localhost/pause:1 /pause
  image busybox docker.io/library/busybox:latest sh
  image private registry.local:5000/private/busybox:latest sh
  image debian docker.io/library/debian:latest bash
  registry_storage
}

# Into the node's containerd, while the rest of the node still starts.
import_images() {
  local archive name tags=()
  for archive in pause busybox debian; do
    load "$IMAGES/$archive.tar"
  done
  while read -r name archive; do
    case $name in
    */"$archive":*) ;;
    *) tags+=("docker.io/library/$archive:latest $name") ;;
    esac
  done < <(node_images)
  for name in "${tags[@]}"; do
    # shellcheck disable=SC2086 # two words
    inside ctr -n k8s.io images tag --force $name >/dev/null
  done
}
