//! What earlier steps left, in place of `$(steps.<step>.results.<result>)` and
//! `$(steps.<step>.outputs.<artifact>)` (api.md 4.6, runtime.md 3.7). Does I/O.
//!
//! A reference that leads nowhere is an error: a command never gets the literal text. Errors name
//! the reference, the step, and what there is, but never a value.

use std::{ffi::OsString, fs, path::PathBuf};

use tektite_protocol::{Content, artifact::Side};

use crate::{
    artifacts,
    results::{self, Limit},
};

const OPEN: &str = "$(steps.";
const RESULTS: &str = ".results.";

/// Where the steps' directories are.
#[derive(Debug)]
pub(crate) struct References {
    steps: PathBuf,
}

/// What stands behind a result's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Whole,
    All,
    Element(usize),
    Key(&'a str),
}

/// What a reference stands for.
enum Found {
    One(String),
    /// A whole list.
    Many(Vec<String>),
}

impl References {
    pub(crate) fn new(steps: PathBuf) -> Self {
        Self { steps }
    }

    /// Those of the process's environment variables that have references, with their new values.
    pub(crate) fn environment(&self) -> Result<Vec<(OsString, String)>, String> {
        let mut changed = Vec::new();
        for (name, value) in std::env::vars_os() {
            if let Some(value) = value.to_str()
                && value.contains(OPEN)
            {
                let new = self.text(value);
                let new = new.map_err(|why| format!("environment variable {}: {why}", name.display()))?;
                changed.push((name, new));
            }
        }
        Ok(changed)
    }

    /// A list, in which one element may become many.
    pub(crate) fn list(&self, items: &[String]) -> Result<Vec<String>, String> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let alone = item
                .strip_prefix(OPEN)
                .and_then(|inner| inner.strip_suffix("[*])"));
            match alone {
                Some(inner) if inner.contains(RESULTS) && !inner.contains(')') => {
                    match self.result(&item[2..item.len() - 1])? {
                        // As upstream has it: the place of a list without elements stays, and is empty.
                        Found::Many(elements) if elements.is_empty() => list.push(String::new()),
                        Found::Many(elements) => list.extend(elements),
                        Found::One(text) => list.push(text),
                    }
                }
                _ => list.push(self.text(item)?),
            }
        }
        Ok(list)
    }

    /// A text, in one pass: what takes a reference's place is not looked at again.
    pub(crate) fn text(&self, text: &str) -> Result<String, String> {
        replace(text, &|inner| {
            if !inner.contains(RESULTS) {
                return self.artifact(inner);
            }
            match self.result(inner)? {
                Found::One(value) => Ok(Some(value)),
                Found::Many(_) => Err(format!(
                    "$({inner}) takes a whole list, so it has to stand alone in an element of command, args or values"
                )),
            }
        })
    }

    /// A script: only artifacts stand in it, all else that looks like a reference is the shell's.
    pub(crate) fn script(&self, text: &str) -> Result<String, String> {
        replace(text, &|inner| self.artifact(inner))
    }

    /// What `steps.<step>.inputs.<artifact>` or `steps.<step>.outputs.<artifact>` stands for; nothing
    /// if it is neither.
    fn artifact(&self, inner: &str) -> Result<Option<String>, String> {
        let mut parts = inner.split('.').skip(1);
        let (Some(step), Some(side), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let side = match side {
            "inputs" => Side::Inputs,
            "outputs" => Side::Outputs,
            _ => return Ok(None),
        };
        if step.is_empty() || step.contains('/') || name.is_empty() {
            return Ok(None);
        }
        let directory = self.steps.join(format!("step-{step}"));
        let values = artifacts::values(&directory, side, name);
        values.map(Some).map_err(|why| format!("$({inner}): {why}"))
    }

    /// What `steps.<step>.results.<reference>` stands for: a text, or a list where all of it is meant.
    fn result(&self, inner: &str) -> Result<Found, String> {
        let wrong = |why: String| format!("$({inner}): {why}");
        let parts = inner
            .strip_prefix("steps.")
            .and_then(|rest| rest.split_once(RESULTS));
        let Some((step, reference)) = parts.filter(|(step, name)| {
            !step.is_empty() && !step.contains(['/', '.']) && !name.is_empty() && !name.contains('/')
        }) else {
            let form = "write $(steps.<step>.results.<result>), with [0], [*] or .<key> behind it";
            return Err(wrong(format!("this refers to nothing; {form}")));
        };
        let (name, part) = split(reference).ok_or_else(|| {
            wrong("what stands behind the result means nothing; write [0], [*] or .<key>".to_owned())
        })?;
        let directory = self.steps.join(format!("step-{step}")).join("results");
        let read = |name: &str| {
            results::read(&directory, name, Limit::Message).map_err(|error| wrong(error.to_string()))
        };
        let (mut name, mut part) = (name, part);
        let mut found = read(name)?;
        // Names and keys may both have dots: the longest name that there is.
        while found.is_none()
            && matches!(part, Part::Whole | Part::Key(_))
            && let Some(dot) = name.rfind('.')
        {
            part = Part::Key(&reference[dot + 1..]);
            name = &name[..dot];
            found = read(name)?;
        }
        let Some(text) = found else {
            let left = match fs::read_dir(&directory) {
                Ok(files) => {
                    let names = files
                        .flatten()
                        .map(|file| file.file_name().to_string_lossy().into_owned());
                    let mut names: Vec<String> = names.collect();
                    names.sort();
                    names.join(", ")
                }
                Err(_) => return Err(wrong(format!("no step \"{step}\" ran before this one"))),
            };
            let left = if left.is_empty() { "none" } else { &left };
            return Err(wrong(format!(
                "step \"{step}\" has left no such result; what it has left: {left}"
            )));
        };
        let wrong = |what: String| wrong(format!("result \"{name}\" of step \"{step}\" is {what}"));
        match (Content::read(&text), part) {
            (Content::Text(text), Part::Whole) => Ok(Found::One(text)),
            (Content::List(list), Part::All) => Ok(Found::Many(list)),
            (Content::Text(_), _) => Err(wrong("a text, which has neither elements nor keys".to_owned())),
            (Content::List(list), Part::Element(index)) => match list.get(index) {
                Some(element) => Ok(Found::One(element.clone())),
                None => Err(wrong(format!("a list of {}, and the first is [0]", list.len()))),
            },
            (Content::List(list), _) => Err(wrong(format!(
                "a list of {}; write [0] for an element, or [*] for all",
                list.len()
            ))),
            (Content::Map(map), part) => {
                if let Part::Key(key) = part
                    && let Some((_, value)) = map.iter().rev().find(|(known, _)| known == key)
                {
                    return Ok(Found::One(value.clone()));
                }
                let keys: Vec<&str> = map.iter().map(|(key, _)| key.as_str()).collect();
                Err(wrong(format!("an object with the keys: {}", keys.join(", "))))
            }
        }
    }
}

/// Puts in the place of each reference what `find` finds for it; where that is nothing, it stays.
fn replace(text: &str, find: &dyn Fn(&str) -> Result<Option<String>, String>) -> Result<String, String> {
    let (mut new, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(OPEN)
        && let Some(end) = rest[start..].find(')').map(|end| start + end)
    {
        new.push_str(&rest[..start]);
        match find(&rest[start + 2..end])? {
            Some(value) => new.push_str(&value),
            None => new.push_str(&rest[start..=end]),
        }
        rest = &rest[end + 1..];
    }
    new.push_str(rest);
    Ok(new)
}

/// A result's name, and which part of it is meant; nothing for brackets that hold neither `*` nor a
/// number.
fn split(reference: &str) -> Option<(&str, Part<'_>)> {
    let Some(inner) = reference.strip_suffix(']') else {
        return Some((reference, Part::Whole));
    };
    let (name, index) = inner.rsplit_once('[')?;
    if index == "*" {
        return Some((name, Part::All));
    }
    let digits = !index.is_empty() && index.bytes().all(|c| c.is_ascii_digit());
    // One that is too large for a number is too large for every list.
    digits.then(|| (name, Part::Element(index.parse().unwrap_or(usize::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> (tempfile::TempDir, References) {
        let dir = tempfile::tempdir().unwrap();
        let results = dir.path().join("step-a/results");
        fs::create_dir_all(&results).unwrap();
        fs::create_dir_all(dir.path().join("step-idle/results")).unwrap();
        fs::create_dir_all(dir.path().join("step-a/artifacts")).unwrap();
        fs::create_dir_all(dir.path().join("step-odd/artifacts")).unwrap();
        let artifacts = r#"{"outputs": [{"name": "image", "values": [{"uri": "a&b", "digest": {"z": "1", "sha256": "2"}}]},
            {"name": "none"}]}"#;
        fs::write(dir.path().join("step-a/artifacts/provenance.json"), artifacts).unwrap();
        fs::write(dir.path().join("step-odd/artifacts/provenance.json"), "[").unwrap();
        for (name, content) in [
            ("s", "plain\n"),
            ("q", "\"quoted\""),
            ("l", "[\"x\", \"y z\", \"$(steps.a.results.s)\"]"),
            ("none", "[]"),
            ("m", "{\"k\": \"v\", \"k.l\": \"w\"}"),
            ("dot.ted", "d"),
        ] {
            fs::write(results.join(name), content).unwrap();
        }
        let references = References::new(dir.path().to_owned());
        (dir, references)
    }

    #[test]
    fn texts() {
        let (_dir, references) = steps();
        for (text, expected) in [
            ("", ""),
            ("$(steps.a", "$(steps.a"),
            (
                "$(HOME) $(steps.step-a.exitCode.path)",
                "$(HOME) $(steps.step-a.exitCode.path)",
            ),
            ("$(steps.a.results.s)", "plain\n"),
            ("<$(steps.a.results.q)|$(steps.a.results.dot.ted)>", "<quoted|d>"),
            ("$(steps.a.results.l[1])", "y z"),
            ("$(steps.a.results.l[2])", "$(steps.a.results.s)"),
            ("$(steps.a.results.m.k)$$(steps.a.results.m.k.l)", "v$w"),
        ] {
            assert_eq!(references.text(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn artifacts() {
        let (_dir, references) = steps();
        let image = r#"[{"digest":{"sha256":"2","z":"1"},"uri":"a\u0026b"}]"#;
        for (text, expected) in [
            ("<$(steps.a.outputs.image)>", format!("<{image}>")),
            ("$(steps.a.outputs.none)", "[]".to_owned()),
            (
                "$(steps.a.exports.image) $(steps.a.outputs) $(steps.a.outputs.x.y)",
                "$(steps.a.exports.image) $(steps.a.outputs) $(steps.a.outputs.x.y)".to_owned(),
            ),
        ] {
            assert_eq!(references.text(text).as_ref(), Ok(&expected), "{text}");
            assert_eq!(references.script(text).as_ref(), Ok(&expected), "{text}");
        }
        let text = "$(steps.a.results.s) $(steps.a.results.x)";
        assert_eq!(references.script(text).as_deref(), Ok(text));
        for (text, part) in [
            (
                "$(steps.a.outputs.x)",
                "that step has left no such artifact; its outputs: image, none",
            ),
            (
                "$(steps.a.inputs.image)",
                "that step has left no such artifact; its inputs: none",
            ),
            ("$(steps.idle.inputs.image)", "that step has left no artifacts"),
            (
                "$(steps.odd.inputs.image)",
                "/step-odd/artifacts/provenance.json cannot be understood: EOF while",
            ),
        ] {
            let error = references.text(text).unwrap_err();
            assert!(
                error.contains(part) && error.starts_with(&text[..9]),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn lists() {
        let (_dir, references) = steps();
        let items = [
            "-x",
            "$(steps.a.results.l[*])",
            "$(steps.a.results.none[*])",
            "=$(steps.a.results.q)",
        ];
        let list = references.list(&items.map(str::to_owned)).unwrap();
        assert_eq!(list, ["-x", "x", "y z", "$(steps.a.results.s)", "", "=quoted"]);
    }

    #[test]
    fn what_leads_nowhere_says_what_there_is() {
        let (_dir, references) = steps();
        for (text, part) in [
            (
                "$(steps.a.results.x)",
                "step \"a\" has left no such result; what it has left: dot.ted, l, m, none, q, s",
            ),
            (
                "$(steps.idle.results.x)",
                "step \"idle\" has left no such result; what it has left: none",
            ),
            ("$(steps.b.results.x)", "no step \"b\" ran before this one"),
            (
                "$(steps.a.results.l)",
                "result \"l\" of step \"a\" is a list of 3; write [0]",
            ),
            ("$(steps.a.results.l[3])", "is a list of 3, and the first is [0]"),
            ("$(steps.a.results.l[99999999999999999999])", "is a list of 3"),
            ("$(steps.a.results.l.k)", "is a list of 3; write [0]"),
            ("x$(steps.a.results.l[*])", "has to stand alone"),
            ("$(steps.a.results.s[0])", "\"s\" of step \"a\" is a text, which"),
            ("$(steps.a.results.s[*])", "is a text, which"),
            ("$(steps.a.results.m)", "is an object with the keys: k, k.l"),
            ("$(steps.a.results.m.z)", "is an object with the keys: k, k.l"),
            ("$(steps.a.results.m[0])", "is an object with the keys"),
            ("$(steps.a.results.l[x])", "means nothing"),
            ("$(steps.a.results.)", "refers to nothing"),
            ("$(steps..results.x)", "refers to nothing"),
            ("$(steps.a.results.../../b)", "refers to nothing"),
            ("$(steps.a.b.results.x)", "refers to nothing"),
        ] {
            let error = references.text(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.contains("$(steps."), "{error}");
            assert!(!error.contains("plain"), "{error}");
        }
        assert!(references.list(&["$(steps.a.results.m[*])".to_owned()]).is_err());
    }
}
