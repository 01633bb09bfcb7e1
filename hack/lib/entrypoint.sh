# shellcheck shell=bash
# The entrypoint for its image: static, and as small as the machine allows. Sourced by hack/images.
#
# Linked with musl it is a fifth of what a static glibc makes of it. Where rustup has the musl target
# that is all there is to it. Where it has not, Debian's compiler (rustc-web) and the sources of its
# standard library (rust-web-src) build the library for musl as well, without what finds the lines of
# a backtrace. Where those cannot be had either, it is linked with glibc.

GNU=x86_64-unknown-linux-gnu MUSL=x86_64-unknown-linux-musl
DEBIAN_RUSTC=/usr/bin/rustc

# Whether Debian's compiler with sources is there, or could be installed.
debian_musl() {
  local packages=(rustc-web rust-web-src musl-tools)
  if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] || return 1
    echo "installing ${packages[*]}" >&2
    { apt-get update -qq || true
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove "${packages[@]}"
    } >/dev/null 2>&1 || return 1
  fi
  [ -d "$("$DEBIAN_RUSTC" --print sysroot)/lib/rustlib/src/rust/library/std" ]
}

# Prints how the entrypoint is built: rustup-musl, debian-musl or gnu. ENTRYPOINT_TARGET, a target's
# name, decides for one of the two with rustup's own compiler.
entrypoint_way() {
  case ${ENTRYPOINT_TARGET:-} in
    "$MUSL") echo rustup-musl ;;
    "$GNU") echo gnu ;;
    "")
      if [ -d "$(rustc --print sysroot)/lib/rustlib/$MUSL" ]; then echo rustup-musl
      elif debian_musl; then echo debian-musl
      else echo gnu
      fi
      ;;
    *) echo "hack/images: ENTRYPOINT_TARGET is $ENTRYPOINT_TARGET; possible are $GNU and $MUSL" >&2; return 1 ;;
  esac
}

# Where the way given leaves the binary.
entrypoint_binary() {
  case $1 in
    rustup-musl) echo "target/static/$MUSL/entrypoint/tektite-entrypoint" ;;
    debian-musl) echo "target/musl/$MUSL/entrypoint/tektite-entrypoint" ;;
    gnu) echo "target/static/$GNU/entrypoint/tektite-entrypoint" ;;
  esac
}

build_entrypoint() { # way
  case $1 in
    rustup-musl) static_build entrypoint "$MUSL" tektite-entrypoint ;;
    gnu) static_build entrypoint "$GNU" tektite-entrypoint ;;
    debian-musl) build_with_debian ;;
  esac
}

# Another compiler, so another directory. RUSTC_BOOTSTRAP: building the standard library is a feature
# of nightly compilers. The two functions of the stub are all that the library then wants of an
# unwinder, and only to print a backtrace; a panic still says its sentence and where it was. Nobody
# reads the tables for unwinding then, an eighth of the file.
build_with_debian() {
  local stub=target/musl/unwind
  mkdir -p "$stub"
  if [ ! -s "$stub/libunwind.a" ] || [ hack/lib/unwind.c -nt "$stub/libunwind.a" ]; then
    musl-gcc -Os -c hack/lib/unwind.c -o "$stub/unwind.o"
    rm -f "$stub/libunwind.a"
    ar rc "$stub/libunwind.a" "$stub/unwind.o"
  fi
  RUSTC=$DEBIAN_RUSTC RUSTC_BOOTSTRAP=1 CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=musl-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS="-C target-feature=+crt-static -C link-self-contained=no -C relocation-model=static -C force-unwind-tables=no -L native=$PWD/$stub" \
    cargo build --locked --profile entrypoint --target "$MUSL" --target-dir target/musl \
    -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size --package tektite-entrypoint
}
