//! What a step's process finds around it, for the debug log: names of environment variables and
//! mounts. Does I/O.

use std::fs;

/// All names, without a single value.
pub(crate) fn environment() -> String {
    let mut names = String::new();
    for (name, _) in std::env::vars_os() {
        names.push_str(&name.to_string_lossy());
        names.push(' ');
    }
    names
}

/// Every mount that is not the runtime's own, as `/workspace(ext4,rw)`.
pub(crate) fn mounts() -> String {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(mount).collect::<Vec<_>>().join(" ")
}

/// A line of the kernel's table: `id parent device root place options ... - type source options`.
fn mount(line: &str) -> Option<String> {
    let (before, behind) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(4);
    let (place, options) = (before.next()?, before.next()?);
    let own = ["/proc", "/sys", "/dev"];
    if own
        .iter()
        .any(|own| place == *own || place.starts_with(&format!("{own}/")))
    {
        return None;
    }
    let kind = behind.split(' ').next()?;
    let mode = options.split(',').next()?;
    Some(format!("{place}({kind},{mode})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_named_with_type_and_mode() {
        for (line, expected) in [
            (
                "36 35 98:0 /mnt1 /workspace rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
                Some("/workspace(ext3,rw)"),
            ),
            (
                "1 2 0:5 / /tekton/bin ro,relatime - erofs /dev/loop0 ro",
                Some("/tekton/bin(erofs,ro)"),
            ),
            ("1 2 0:5 / /dev/mqueue rw - mqueue mqueue rw", None),
            ("1 2 0:5 / /proc rw - proc proc rw", None),
            ("nonsense", None),
        ] {
            assert_eq!(mount(line).as_deref(), expected, "{line}");
        }
        assert!(mounts().contains("/("), "{}", mounts());
        assert!(environment().split(' ').any(|name| name == "PATH"));
    }
}
