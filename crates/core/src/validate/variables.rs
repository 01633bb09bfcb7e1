//! Variables in texts: `$(root.name)`, `$(root["name"])`, `$(root['name'])`, with an index behind a
//! list's name (api.md 4.1, 3.5). No I/O.

use crate::{field_error::FieldError, substitute::LONGEST_NAME};

/// What stands between `$(` and the first `)` behind it, for each `$(` in the text; not what is longer
/// than any name that is replaced.
pub(super) fn inner(text: &str) -> impl Iterator<Item = &str> {
    // Many may share one `)`, or there may be none for all of them.
    let mut close = 0;
    text.match_indices("$(")
        .map_while(move |(start, _)| {
            let begin = start + 2;
            if close < begin {
                close = begin + text[begin..].find(')')?;
            }
            Some(&text[begin..close])
        })
        .filter(|inner| inner.len() <= LONGEST_NAME)
}

/// How a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `params.name`
    Dot,
    /// `params["name"]`
    Bracket,
}

/// What stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail<'a> {
    /// Nothing.
    None,
    /// `[*]`: all of it.
    Star,
    /// `[3]`.
    Index(&'a str),
    /// Something that means nothing, or for results `.path`.
    Other(&'a str),
}

/// One use of a variable under a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use<'a> {
    /// Everything between `$(` and `)`.
    pub(super) inner: &'a str,
    pub(super) form: Form,
    /// What follows the root; in dot form with all its dots, without index.
    pub(super) name: &'a str,
    pub(super) tail: Tail<'a>,
}

impl<'a> Use<'a> {
    /// Reads `inner` if it begins with `root` and names something under it.
    pub(super) fn parse(inner: &'a str, root: &str) -> Option<Self> {
        let rest = inner.strip_prefix(root)?;
        if let Some(dotted) = rest.strip_prefix('.') {
            let (name, tail) = split_index(dotted);
            return Some(Self {
                inner,
                form: Form::Dot,
                name,
                tail,
            });
        }
        for (open, close) in [("[\"", "\"]"), ("['", "']")] {
            let Some(quoted) = rest.strip_prefix(open) else {
                continue;
            };
            let end = quoted.find(close)?;
            let behind = &quoted[end + close.len()..];
            let tail = match behind {
                "" => Tail::None,
                "[*]" => Tail::Star,
                behind => behind
                    .strip_prefix('[')
                    .and_then(|behind| behind.strip_suffix(']'))
                    .filter(|digits| is_index(digits))
                    .map_or(Tail::Other(behind), Tail::Index),
            };
            return Some(Self {
                inner,
                form: Form::Bracket,
                name: &quoted[..end],
                tail,
            });
        }
        None
    }

    /// The variable's name, and the key behind it for the dot form.
    pub(super) fn parts(&self) -> (&'a str, Option<&'a str>) {
        match (self.form, self.name.split_once('.')) {
            (Form::Dot, Some((name, key))) => (name, Some(key)),
            _ => (self.name, None),
        }
    }

    /// Whether it is written without an index, or with `[*]`.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.tail, Tail::None | Tail::Star)
    }
}

fn is_index(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
}

fn split_index(name: &str) -> (&str, Tail<'_>) {
    if let Some(name) = name.strip_suffix("[*]") {
        return (name, Tail::Star);
    }
    match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
        Some((name, digits)) if is_index(digits) => (name, Tail::Index(digits)),
        _ => (name, Tail::None),
    }
}

/// All uses of parameters in a text; the old form `inputs.params` too.
pub(super) fn params(text: &str) -> impl Iterator<Item = Use<'_>> {
    inner(text).filter_map(|inner| Use::parse(inner, "params").or_else(|| Use::parse(inner, "inputs.params")))
}

/// The names that directly follow `root` in a text, up to the next dot.
pub(super) fn names_after<'a>(text: &'a str, root: &str) -> Vec<&'a str> {
    inner(text)
        .filter_map(|inner| Use::parse(inner, root))
        .filter(|used| !matches!(used.tail, Tail::Other(_)))
        .map(|used| used.parts().0)
        .collect()
}

/// `steps.<step>.results.<result>`.
pub(super) fn is_step_result(inner: &str) -> bool {
    inner
        .strip_prefix("steps.")
        .is_some_and(|rest| rest.contains(".results."))
}

/// `steps.<step>.outputs.<name>` and the like.
pub(super) fn is_artifact(inner: &str) -> bool {
    let rest = inner
        .strip_prefix("steps.")
        .or_else(|| inner.strip_prefix("tasks."));
    rest.is_some_and(|rest| rest.contains(".inputs.") || rest.contains(".outputs."))
}

/// A variable in `text` that stands for nothing.
pub(super) fn non_existent(text: &str, path: impl Into<String>) -> FieldError {
    FieldError::new(format!("non-existent variable in \"{text}\""), path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_read() {
        for (inner, form, name, tail, parts) in [
            ("params.a", Form::Dot, "a", Tail::None, ("a", None)),
            ("params.a.b", Form::Dot, "a.b", Tail::None, ("a", Some("b"))),
            ("params.a[*]", Form::Dot, "a", Tail::Star, ("a", None)),
            ("params.a[12]", Form::Dot, "a", Tail::Index("12"), ("a", None)),
            ("params.a[x]", Form::Dot, "a[x]", Tail::None, ("a[x]", None)),
            ("params[\"a.b\"]", Form::Bracket, "a.b", Tail::None, ("a.b", None)),
            (
                "params['a.b'][*]",
                Form::Bracket,
                "a.b",
                Tail::Star,
                ("a.b", None),
            ),
            (
                "params['a'][0]",
                Form::Bracket,
                "a",
                Tail::Index("0"),
                ("a", None),
            ),
            (
                "params['a'].k",
                Form::Bracket,
                "a",
                Tail::Other(".k"),
                ("a", None),
            ),
        ] {
            let used = Use::parse(inner, "params").unwrap();
            assert_eq!(
                (used.form, used.name, used.tail, used.parts()),
                (form, name, tail, parts),
                "{inner}"
            );
        }
        for inner in ["paramsx", "params", "params[a]", "params['a", "other.a"] {
            assert_eq!(Use::parse(inner, "params"), None, "{inner}");
        }
    }

    #[test]
    fn variables_are_found() {
        let text = "a $(params.x) $$(params.y) $(params.z $(inputs.params.w)";
        let names: Vec<&str> = params(text).map(|used| used.name).collect();
        assert_eq!(names, ["x", "y", "z $(inputs.params.w", "w"]);
        assert!(is_step_result("steps.a.results.b"));
        assert!(!is_step_result("step.results.b.path"));
        assert!(is_artifact("steps.a.outputs.b") && is_artifact("tasks.a.inputs.b"));
    }
}
