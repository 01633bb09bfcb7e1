//! YAML as kubectl reads it: `0444` is octal, as modes of files are written. No I/O.

use serde_json::Value;

/// Reads one document.
///
/// # Errors
/// Where it is no YAML.
pub fn read(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_as_kubectl_does() {
        assert_eq!(
            read("[0444, 0o17, 0x10, 1.10, yes, y, '0444', ~]").unwrap(),
            json!([292, 15, 16, 1.1, true, true, "0444", null])
        );
    }
}
