//! Yes and no as Go reads them, in flags and in CEL. No I/O.

/// What `text` means; nothing where Go would refuse it.
pub(crate) fn parse(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (words, expected) in [
            (&["1", "t", "T", "true", "TRUE", "True"][..], Some(true)),
            (&["0", "f", "F", "false", "FALSE", "False"], Some(false)),
            (&["", "tRUE", "true ", "yes", "on", "2", "-1"], None),
        ] {
            for word in words {
                assert_eq!(parse(word), expected, "{word}");
            }
        }
    }
}
