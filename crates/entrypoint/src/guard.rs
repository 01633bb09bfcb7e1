//! Whether a step's `when` holds (runtime.md 3.7). Does I/O through what it refers to.

use tektite_protocol::{When, cel};

use crate::references::References;

/// What the guards say together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The command may run.
    Open,
    /// One does not hold; which.
    Closed(String),
}

/// Looks at the guards in order, up to one that does not hold. No text appears in what it says:
/// where the text comes from, and whether it is a secret, is not known here.
pub(crate) fn all(guards: &[When], references: &References) -> Result<Guard, String> {
    for (index, guard) in guards.iter().enumerate() {
        let wrong = |sentence: String| format!("when[{index}]: {sentence}");
        let (holds, what) = if guard.cel.is_empty() {
            let input = references.text(&guard.input).map_err(wrong)?;
            let found = references.list(&guard.values).map_err(wrong)?.contains(&input);
            if guard.operator == "in" {
                (found, "input is not in values")
            } else {
                (!found, "input is in values")
            }
        } else {
            let holds = cel::holds(&guard.cel, &mut |text| references.text(text));
            (
                holds.map_err(|error| wrong(format!("cel, {error}")))?,
                "cel is false",
            )
        };
        if !holds {
            return Ok(Guard::Closed(format!("when[{index}] does not hold, {what}")));
        }
    }
    Ok(Guard::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards() {
        let references = References::new("/nowhere".into());
        let plain = |input: &str, operator: &str, values: &[&str]| When {
            input: input.into(),
            operator: operator.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            cel: String::new(),
        };
        let cel = |cel: &str| When {
            cel: cel.into(),
            ..When::default()
        };
        let closed =
            |index: usize, what: &str| Ok(Guard::Closed(format!("when[{index}] does not hold, {what}")));
        for (guards, expected) in [
            (vec![], Ok(Guard::Open)),
            (vec![plain("a", "in", &["b", "a"])], Ok(Guard::Open)),
            (
                vec![plain("a", "in", &["a"]), plain("a", "in", &["b"])],
                closed(1, "input is not in values"),
            ),
            (vec![plain("a", "notin", &["a"])], closed(0, "input is in values")),
            (vec![plain("a", "", &["b"])], Ok(Guard::Open)),
            (vec![cel("'a' == 'a'")], Ok(Guard::Open)),
            (vec![cel("'a' == 'b'")], closed(0, "cel is false")),
            (
                vec![cel("true"), cel("dyn(1)")],
                Err("when[1]: cel, at character 1: the expression is not evaluated to a boolean, but to a value of type int".to_owned()),
            ),
        ] {
            assert_eq!(all(&guards, &references), expected, "{guards:?}");
        }
        let missing = all(&[cel("'$(steps.a.results.r)' == ''")], &references).unwrap_err();
        assert!(
            missing.starts_with("when[0]: cel, at character 1: $(steps.a.results.r)"),
            "{missing}"
        );
    }
}
