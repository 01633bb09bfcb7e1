//! The three facts of an ELF file that explain why it does not start: for which processor it is
//! built, which loader it asks for, and whether it is one at all. No I/O.

/// The header of an ELF file, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// The processor's number.
    machine: u16,
    /// The loader that it asks for; a static program has none.
    pub(crate) loader: Option<String>,
}

impl Elf {
    /// Reads the beginning of a file; `None` when it is no ELF file or too short to say.
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        let bytes = head.strip_prefix(b"\x7fELF").map(|_| head)?;
        let fields = Fields {
            bytes,
            wide: *bytes.get(4)? == 2,
            big_endian: *bytes.get(5)? == 2,
        };
        Some(Self {
            machine: u16::try_from(fields.number(18, 2)?).ok()?,
            loader: fields.loader(),
        })
    }

    /// The processor in the words of an image's platform.
    pub(crate) fn processor(&self) -> String {
        match self.machine {
            3 => "386".to_owned(),
            21 => "ppc64le".to_owned(),
            22 => "s390x".to_owned(),
            40 => "arm".to_owned(),
            62 => "amd64".to_owned(),
            183 => "arm64".to_owned(),
            243 => "riscv64".to_owned(),
            other => format!("processor type {other}"),
        }
    }

    /// Whether it is built for the processor that this program is built for.
    pub(crate) fn is_for_this_processor(&self) -> bool {
        self.processor() == this_processor()
    }
}

/// This program's own processor, in the words of an image's platform.
pub(crate) fn this_processor() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "386",
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    wide: bool,
    big_endian: bool,
}

impl Fields<'_> {
    fn number(&self, at: usize, length: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let append = |number: usize, byte: &u8| number.checked_mul(256)?.checked_add(usize::from(*byte));
        if self.big_endian {
            bytes.iter().try_fold(0, append)
        } else {
            bytes.iter().rev().try_fold(0, append)
        }
    }

    /// The text of the program header that names the loader.
    fn loader(&self) -> Option<String> {
        const PT_INTERP: usize = 3;
        let (table, size, count) = if self.wide {
            (self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?)
        } else {
            (self.number(28, 4)?, self.number(42, 2)?, self.number(44, 2)?)
        };
        let headers = (0..count).filter_map(|index| index.checked_mul(size)?.checked_add(table));
        let header = headers
            .into_iter()
            .find(|header| self.number(*header, 4) == Some(PT_INTERP))?;
        let (offset, length) = if self.wide {
            (self.number(header + 8, 8)?, self.number(header + 32, 8)?)
        } else {
            (self.number(header + 4, 4)?, self.number(header + 16, 4)?)
        };
        let text = self.bytes.get(offset..offset.checked_add(length)?)?;
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-bit little-endian file for `machine`, with a loader when one is named.
    pub(crate) fn elf(machine: u16, loader: Option<&str>) -> Vec<u8> {
        let mut file = vec![0u8; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        if let Some(loader) = loader {
            file[56] = 1;
            file[64] = 3;
            file[64 + 8] = 120;
            file[64 + 32] = u8::try_from(loader.len() + 1).unwrap();
            file.extend_from_slice(loader.as_bytes());
            file.push(0);
        }
        file
    }

    #[test]
    fn reads_processor_and_loader() {
        let dynamic = Elf::read(&elf(62, Some("/lib64/ld.so"))).unwrap();
        assert_eq!(dynamic.loader.as_deref(), Some("/lib64/ld.so"));
        assert_eq!(dynamic.processor(), "amd64");
        let fixed = Elf::read(&elf(183, None)).unwrap();
        assert_eq!(
            (fixed.loader.as_deref(), fixed.processor().as_str()),
            (None, "arm64")
        );
        assert_eq!(Elf::read(b"#!/bin/sh\n"), None);
        let this = std::fs::read("/proc/self/exe").unwrap();
        assert!(Elf::read(&this).unwrap().is_for_this_processor());
    }

    #[test]
    fn no_file_panics() {
        let whole = elf(62, Some("/lib64/ld.so"));
        for cut in 0..whole.len() {
            let _ = Elf::read(&whole[..cut]);
            let mut broken = whole.clone();
            broken[cut] = 0xff;
            let _ = Elf::read(&broken);
        }
    }
}
