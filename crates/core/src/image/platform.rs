//! Platforms of Linux, in the one form in which they are compared (OCI image index, "platform"). No I/O.
//!
//! Names for the same processor become one, and the variant that is meant when none is given is left
//! out, so that what an index calls `arm64/v8` is found as `arm64` (W-13).

use std::fmt;

/// A processor that Linux runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    architecture: String,
    /// Empty for the usual one.
    variant: String,
}

impl Platform {
    /// The platform with these words; nothing where it is not one of Linux.
    pub fn linux(os: &str, architecture: &str, variant: &str) -> Option<Self> {
        if !os.eq_ignore_ascii_case("linux") || architecture.is_empty() || architecture == "unknown" {
            return None;
        }
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", String::new()),
            ("x86_64" | "x86-64", _) => ("amd64", variant),
            ("i386" | "i686" | "x86", _) => ("386", variant),
            ("aarch64" | "arm64", "" | "8" | "v8" | "v8.0") => ("arm64", String::new()),
            ("aarch64", _) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7".to_owned()),
            ("armel", _) | ("arm", "6") => ("arm", "v6".to_owned()),
            ("arm", "5") => ("arm", "v5".to_owned()),
            ("arm", "8") => ("arm", "v8".to_owned()),
            _ => (architecture.as_str(), variant),
        };
        Some(Self {
            architecture: architecture.to_owned(),
            variant,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form() {
        for (os, architecture, variant, expected) in [
            ("linux", "amd64", "", Some("linux/amd64")),
            ("Linux", "x86_64", "", Some("linux/amd64")),
            ("linux", "amd64", "v1", Some("linux/amd64")),
            ("linux", "amd64", "v3", Some("linux/amd64/v3")),
            ("linux", "arm64", "", Some("linux/arm64")),
            ("linux", "arm64", "v8", Some("linux/arm64")),
            ("linux", "aarch64", "8", Some("linux/arm64")),
            ("linux", "arm64", "v9", Some("linux/arm64/v9")),
            ("linux", "arm", "", Some("linux/arm/v7")),
            ("linux", "arm", "v7", Some("linux/arm/v7")),
            ("linux", "armhf", "", Some("linux/arm/v7")),
            ("linux", "arm", "6", Some("linux/arm/v6")),
            ("linux", "i386", "", Some("linux/386")),
            ("linux", "s390x", "", Some("linux/s390x")),
            ("windows", "amd64", "", None),
            ("unknown", "unknown", "", None),
            ("linux", "unknown", "", None),
            ("", "", "", None),
        ] {
            let platform = Platform::linux(os, architecture, variant).map(|platform| platform.to_string());
            assert_eq!(platform.as_deref(), expected, "{os}/{architecture}/{variant}");
        }
    }
}
