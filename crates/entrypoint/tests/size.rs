//! The release artefact is static and small. It is built by `hack/images`, not here: with
//! `TEKTITE_ENTRYPOINT_ELF` set the file must be there, without it a missing file is no failure.
// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const GNU: &str = "target/static/x86_64-unknown-linux-gnu/entrypoint/tektite-entrypoint";
/// A static glibc alone is two thirds of it.
const GNU_LIMIT: usize = 1_310_720;
const MUSL_LIMIT: usize = 500 * 1024;

/// Types of the program headers of a 64-bit little-endian ELF file.
fn program_headers(elf: &[u8]) -> Vec<u32> {
    let number = |at: usize, length: usize| {
        let bytes = elf[at..at + length].iter().rev();
        bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    assert_eq!(&elf[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file");
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let types = (0..count).map(|index| number(table + index * size, 4));
    types.map(|kind| u32::try_from(kind).unwrap()).collect()
}

#[test]
fn the_artefact_is_static_and_small() {
    const PT_INTERP: u32 = 3;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named = env::var_os("TEKTITE_ENTRYPOINT_ELF").map(PathBuf::from);
    let must_exist = named.is_some();
    // A relative name is meant from the workspace, where make runs.
    let path = root.join(named.unwrap_or_else(|| PathBuf::from(GNU)));
    if !must_exist && !path.exists() {
        println!("note: {} is not built, so nothing was checked", path.display());
        return;
    }
    let elf = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        !program_headers(&elf).contains(&PT_INTERP),
        "{} asks for a loader",
        path.display()
    );
    // The name of a variable that every static glibc looks for at its start.
    let glibc = elf.windows(14).any(|bytes| bytes == b"GLIBC_TUNABLES");
    let limit = if glibc { GNU_LIMIT } else { MUSL_LIMIT };
    println!("{}: {} bytes of {limit}", path.display(), elf.len());
    assert!(
        elf.len() <= limit,
        "{} has {} bytes, more than {limit}",
        path.display(),
        elf.len()
    );
}

#[test]
fn a_loader_is_seen() {
    let own = fs::read("/proc/self/exe").unwrap();
    assert!(
        program_headers(&own).contains(&3),
        "this test is a dynamic program"
    );
}
