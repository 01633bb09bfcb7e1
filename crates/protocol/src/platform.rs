//! What a step runs whose image runs different things on different platforms: the controller writes all of
//! them into a variable, the entrypoint takes its own.

use std::collections::BTreeMap;

/// The variable: a JSON object from platform to words, the step's own arguments not among them.
pub const COMMANDS_VARIABLE: &str = "TEKTON_PLATFORM_COMMANDS";

/// The platforms whose programs this one runs, the best first.
const OURS: &[&str] = if cfg!(target_arch = "x86_64") {
    &["linux/amd64"]
} else if cfg!(target_arch = "aarch64") {
    &["linux/arm64"]
} else if cfg!(target_arch = "arm") {
    &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
} else if cfg!(target_arch = "s390x") {
    &["linux/s390x"]
} else if cfg!(target_arch = "powerpc64") {
    &["linux/ppc64le"]
} else if cfg!(target_arch = "riscv64") {
    &["linux/riscv64"]
} else {
    &["linux/386"]
};

/// This platform's command in the variable's `value`.
///
/// # Errors
/// A sentence: it cannot be read, or has nothing for this platform.
pub fn own_command(value: &str) -> Result<Vec<String>, String> {
    let mut commands: BTreeMap<String, Vec<String>> = serde_json::from_str(value)
        .map_err(|error| format!("{COMMANDS_VARIABLE} cannot be read: {error}"))?;
    let exact = OURS.iter().find_map(|platform| commands.remove(*platform));
    // An image may only be there for a variant; as it runs, it is for this one.
    let variant = |commands: &mut BTreeMap<String, Vec<String>>| {
        let ours = commands.keys().find(|key| {
            let behind = OURS.iter().find_map(|platform| key.strip_prefix(platform));
            behind.is_some_and(|behind| behind.starts_with('/'))
        })?;
        commands.remove(&ours.clone())
    };
    let words = exact.or_else(|| variant(&mut commands)).unwrap_or_default();
    if words.is_empty() {
        let known: Vec<&str> = commands.keys().map(String::as_str).collect();
        return Err(format!(
            "could not find command for platform \"{}\": the image has one for {} only; give the step a command",
            OURS[0],
            known.join(", ")
        ));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_best_match_counts() {
        for (value, expected) in [
            (r#"{"linux/amd64":["a"],"linux/arm64":["b"]}"#, Ok(vec!["a"])),
            (
                r#"{"linux/amd64":["a","x"],"linux/amd64/v3":["b"]}"#,
                Ok(vec!["a", "x"]),
            ),
            (r#"{"linux/amd64/v2":["a"],"linux/arm64":["b"]}"#, Ok(vec!["a"])),
            (
                r#"{"linux/arm64":["b"]}"#,
                Err("could not find command for platform \"linux/amd64\""),
            ),
            (r#"{"linux/amd64x":["b"]}"#, Err("one for linux/amd64x only")),
            (
                r#"{"linux/amd64":null}"#,
                Err("TEKTON_PLATFORM_COMMANDS cannot be read"),
            ),
            ("", Err("TEKTON_PLATFORM_COMMANDS cannot be read")),
        ] {
            match (own_command(value), expected) {
                (Ok(words), Ok(expected)) => assert_eq!(words, expected),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (result, _) => panic!("{value}: {result:?}"),
            }
        }
    }
}
