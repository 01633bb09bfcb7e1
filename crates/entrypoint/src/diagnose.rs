//! Why a program did not start, as one sentence that says what to do. The kernel says "no such
//! file" of a script whose interpreter is missing; this looks which one it is. Does I/O.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access, getuid},
};

use crate::elf::{self, Elf};

/// How much of a program is read: an ELF file's headers and its loader's name are in there.
const HEAD_BYTES: u64 = 4096;

/// The sentence for `error`, which starting `program` gave.
pub(crate) fn why_not_started(program: &Path, error: &io::Error) -> String {
    let name = program.display();
    let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
    let head = head(program);
    match errno {
        Errno::ENOENT => missing(program, head.as_deref()),
        Errno::ENOTDIR | Errno::ELOOP => {
            format!("{name} is no path to a file ({error}): check the step's command")
        }
        Errno::EACCES | Errno::EPERM => not_allowed(program, head.as_deref()),
        Errno::ENOEXEC => no_program(program, head.as_deref()),
        Errno::E2BIG => {
            format!(
                "{name} was given more arguments and environment than the kernel takes: pass them in a file"
            )
        }
        Errno::ETXTBSY => format!("{name} is still open for writing by another process: close it first"),
        Errno::EAGAIN | Errno::ENOMEM => {
            format!(
                "no process could be made for {name} ({error}): raise the container's memory or process limit"
            )
        }
        _ => format!("{name} could not be started: {error}"),
    }
}

fn head(program: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(program).ok()?;
    file.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    Some(head)
}

fn missing(program: &Path, head: Option<&[u8]>) -> String {
    let name = program.display();
    if let Some(interpreter) = head.and_then(interpreter) {
        if let Some(interpreter) = interpreter.strip_suffix('\r') {
            return format!(
                "{name} asks for the interpreter {interpreter}\\r: its first line ends in a carriage return, so save \
                 it with Unix line ends"
            );
        }
        return format!(
            "{name} asks for the interpreter {interpreter} in its first line, which the image does not have: change \
             that line or use an image that has it"
        );
    }
    if let Some(loader) = head.and_then(Elf::read).and_then(|elf| elf.loader) {
        return format!(
            "{name} asks for the loader {loader}, which the image does not have: it is built for another C library, \
             so use a static build or an image with that library"
        );
    }
    if program.is_relative() {
        let directory = std::env::current_dir().unwrap_or_default();
        return format!(
            "{name} does not exist in the working directory {}: check the step's command and workingDir",
            directory.display()
        );
    }
    format!("{name} does not exist in the container: check the step's command, or use an image that has it")
}

fn not_allowed(program: &Path, head: Option<&[u8]>) -> String {
    let (name, uid) = (program.display(), getuid());
    let Ok(metadata) = fs::metadata(program) else {
        return format!("{name} cannot be reached by uid {uid}: check the modes of the directories above it");
    };
    if metadata.is_dir() {
        return format!("{name} is a directory: name the program in it");
    }
    if access(program, AccessFlags::X_OK).is_ok()
        && let Some(interpreter) = head.and_then(interpreter)
    {
        return format!(
            "{name} asks for the interpreter {interpreter} in its first line, which uid {uid} may not execute: change \
             that line or the interpreter's mode"
        );
    }
    let mode = metadata.permissions().mode() & 0o7777;
    format!(
        "{name} may not be executed by uid {uid} (its mode is {mode:04o}): set its execute bit (chmod +x), and check \
         that its volume is not mounted noexec"
    )
}

fn no_program(program: &Path, head: Option<&[u8]>) -> String {
    let name = program.display();
    let Some(head) = head else {
        return format!("{name} is not a program that this node can run (exec format error)");
    };
    if let Some(elf) = Elf::read(head) {
        if elf.is_for_this_processor() {
            return format!("{name} is a damaged program (exec format error): build or copy it again");
        }
        return format!(
            "{name} is built for {}, but this node is {} (exec format error): use an image for this processor",
            elf.processor(),
            elf::this_processor()
        );
    }
    let text = head.trim_ascii_start();
    if text.is_empty() {
        return format!("{name} is empty (exec format error)");
    }
    if text.starts_with(b"#!") {
        return format!(
            "the #! of {name} is not at its very beginning (exec format error): remove what stands before it"
        );
    }
    format!("{name} is a text without #! line (exec format error): begin it with a line such as #!/bin/sh")
}

/// The program that a script's first line names.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let word = line
        .trim_start_matches([' ', '\t'])
        .split([' ', '\t'])
        .next()
        .unwrap_or_default();
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(content: &[u8], mode: u32, errno: Errno) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        why_not_started(&path, &errno.into())
    }

    #[test]
    fn each_cause_has_its_sentence() {
        for (content, mode, errno, part) in [
            (
                &b"#!/bin/nope -x\n"[..],
                0o755,
                Errno::ENOENT,
                "the interpreter /bin/nope in its",
            ),
            (
                b"#! /bin/sh\r\n",
                0o755,
                Errno::ENOENT,
                "/bin/sh\\r: its first line ends in a carriage",
            ),
            (
                b"x",
                0o644,
                Errno::EACCES,
                "(its mode is 0644): set its execute bit",
            ),
            (
                b"#!/etc/passwd\n",
                0o755,
                Errno::EACCES,
                "interpreter /etc/passwd in its first line, which uid",
            ),
            (b"", 0o755, Errno::ENOEXEC, "is empty"),
            (b"echo\n", 0o755, Errno::ENOEXEC, "a text without #! line"),
            (
                b"\n#!/bin/sh\n",
                0o755,
                Errno::ENOEXEC,
                "is not at its very beginning",
            ),
            (b"x", 0o755, Errno::E2BIG, "more arguments"),
            (b"x", 0o755, Errno::EAGAIN, "process limit"),
            (
                b"x",
                0o755,
                Errno::EIO,
                "could not be started: Input/output error",
            ),
        ] {
            let text = explain(content, mode, errno);
            assert!(text.contains(part), "{text}");
            assert!(text.contains("/tool"), "{text}");
        }
    }

    #[test]
    fn programs_for_others_are_named() {
        let mut elf = vec![0u8; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 22;
        let text = explain(&elf, 0o755, Errno::ENOEXEC);
        assert!(text.contains("is built for s390x, but this node is"), "{text}");
        let error = Errno::ENOENT.into();
        let text = why_not_started(Path::new("./gone"), &error);
        assert!(
            text.contains("./gone does not exist in the working directory /"),
            "{text}"
        );
        let text = why_not_started(Path::new("/gone"), &error);
        assert!(text.contains("/gone does not exist in the container"), "{text}");
        let text = why_not_started(Path::new("/etc"), &Errno::EACCES.into());
        assert!(text.contains("is a directory"), "{text}");
    }
}
