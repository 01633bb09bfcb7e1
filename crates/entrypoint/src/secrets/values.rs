//! The texts that must not be told, and the forms in which programs write them. No I/O.
//!
//! There is an end to it: what a driver mounts may be of any size, and every text of the log is compared
//! with every value.

use std::borrow::Cow;

use crate::{base64, credentials::escape_for_url};

/// What stands in a secret's place.
const HIDDEN: &str = "***";
/// Shorter ones are common in our own sentences ("1", "on"), which would say nothing without them.
const LONG: usize = 4;
/// The most values, and the most bytes that they may have together.
pub(super) const MOST: usize = 4000;
pub(super) const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How many lines of one value are secrets of their own; a key has some dozens.
const LINES: usize = 1000;
/// A line shorter than this says nothing about the value that it is part of (`{`, `-----`).
const LINE: usize = 8;

/// The values.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// The longest first, so that one that contains another is hidden whole.
    texts: Vec<String>,
    bytes: usize,
}

/// There was no room for all of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Values {
    /// Takes a value without the line end that most files have, and what it is made of: lines, and in
    /// JSON, such as a registry's configuration, the texts behind its keys.
    pub(super) fn add(&mut self, value: &str) -> Result<(), Full> {
        let value = value.trim_ascii();
        let whole = self.add_text(value);
        if value.starts_with(['{', '[', '"']) {
            self.add_json(value)?;
        }
        if value.contains('\n') {
            let mut lines = value.split('\n');
            for line in lines.by_ref().take(LINES).map(str::trim_ascii) {
                if line.len() >= LINE {
                    self.add_text(line)?;
                }
            }
            if lines.next().is_some() {
                return Err(Full);
            }
        }
        whole
    }

    /// Takes what programs make of a user with a password: `auth` of docker and of HTTP, and the password
    /// in a URL.
    pub(super) fn add_login(&mut self, user: &str, password: &str) -> Result<(), Full> {
        if password.is_empty() {
            return Ok(());
        }
        self.insert(&base64::encode([user, ":", password].concat().as_bytes()))?;
        let mut escaped = String::new();
        escape_for_url(&mut escaped, password);
        self.insert(&escaped)
    }

    /// Takes a text, and how it looks inside a JSON string.
    fn add_text(&mut self, text: &str) -> Result<(), Full> {
        self.insert(text)?;
        if text.bytes().any(|byte| byte < b' ' || b"\"\\".contains(&byte)) {
            let quoted = serde_json::to_string(text).unwrap_or_default();
            self.insert(quoted.trim_matches('"'))?;
        }
        Ok(())
    }

    /// What is no key. Not by a parser: a text that breaks off is no less secret.
    fn add_json(&mut self, text: &str) -> Result<(), Full> {
        let (mut key, mut user, mut password) = (Cow::default(), None, None);
        let mut rest = text;
        while let Some((between, from)) = rest.split_once('"') {
            if between.contains('}') {
                (user, password) = (None, None);
            }
            let (written, behind) = from.split_at(end_of_string(from));
            rest = behind.get(1..).unwrap_or_default();
            let meant = unescaped(written);
            if rest.trim_ascii_start().starts_with(':') {
                key = meant;
                continue;
            }
            if written.len() >= LONG {
                self.insert(written)?;
                self.add_text(&meant)?;
            }
            match &*key {
                "auth" => self.add_auth(&meant)?,
                "username" => user = Some(meant),
                "password" => {
                    self.add_text(&meant)?;
                    password = Some(meant);
                }
                _ => {}
            }
            if let (Some(user), Some(password)) = (&user, &password) {
                self.add_login(user, password)?;
            }
        }
        Ok(())
    }

    /// The password in docker's `auth`.
    fn add_auth(&mut self, auth: &str) -> Result<(), Full> {
        let pair = base64::decode(auth).and_then(|bytes| String::from_utf8(bytes).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((user, password)) => {
                self.add_text(password)?;
                self.add_login(user, password)
            }
            None => Ok(()),
        }
    }

    /// Keeps the longest first; a sort for so few would be most of this program's part.
    fn insert(&mut self, text: &str) -> Result<(), Full> {
        if text.is_empty() || self.texts.iter().any(|known| known == text) {
            return Ok(());
        }
        if self.texts.len() >= MOST || self.bytes + text.len() > MOST_BYTES {
            return Err(Full);
        }
        self.bytes += text.len();
        let shorter = self.texts.iter().position(|known| known.len() < text.len());
        self.texts
            .insert(shorter.unwrap_or(self.texts.len()), text.to_owned());
        Ok(())
    }

    /// `text`, which is the user's, with all values hidden: short ones where they stand alone.
    pub(super) fn hide(&self, text: String) -> String {
        let mut text = self.hide_long(text);
        for value in self.texts.iter().filter(|value| value.len() < LONG) {
            text = replace_words(&text, value);
        }
        text
    }

    /// `text` with values hidden, but for those that are too short to be told from other words.
    pub(super) fn hide_long(&self, mut text: String) -> String {
        for value in self.texts.iter().filter(|value| value.len() >= LONG) {
            // The search alone makes tables of the value.
            if value.len() <= text.len() && text.contains(value.as_str()) {
                text = text.replace(value.as_str(), HIDDEN);
            }
        }
        text
    }
}

/// Where the JSON string ends whose text begins here.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.unwrap_or(text.len())
}

/// What the inside of a JSON string means; itself where that is nothing.
fn unescaped(written: &str) -> Cow<'_, str> {
    if !written.contains('\\') {
        return Cow::Borrowed(written);
    }
    let quoted = ["\"", written, "\""].concat();
    serde_json::from_str(&quoted).map_or(Cow::Borrowed(written), Cow::Owned)
}

/// Without the tables of all scripts: what is not ASCII is most often a letter.
fn is_letter(character: char) -> bool {
    character.is_ascii_alphanumeric() || !character.is_ascii()
}

/// `text` with `word` hidden where neither letter nor digit touches it.
fn replace_words(text: &str, word: &str) -> String {
    let (mut new, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(word) {
        let (before, behind) = (&rest[..at], &rest[at + word.len()..]);
        let previous = before.chars().next_back().or_else(|| new.chars().next_back());
        let touches = [previous, behind.chars().next()]
            .into_iter()
            .flatten()
            .any(is_letter);
        new.push_str(before);
        new.push_str(if touches { word } else { HIDDEN });
        rest = behind;
    }
    new.push_str(rest);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(all: &[&str]) -> Values {
        let mut values = Values::default();
        for value in all {
            values.add(value).unwrap();
        }
        values
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        for (secrets, text, hidden) in [
            (
                &["hunter2"][..],
                "--password=hunter2 hunter",
                "--password=*** hunter",
            ),
            (&["pass\n"], "-ppass", "-p***"),
            (&["abcd", "abcdefgh"], "abcdefgh abcd", "*** ***"),
            (&["abc"], "abc --x=abc abcd xabc", "*** --x=*** abcd xabc"),
            (&["1"], "1 of 11", "*** of 11"),
            (&["", "\n"], "text\n", "text\n"),
            (
                &["first line\n}\nsecond line\n"],
                "say second line }",
                "say *** }",
            ),
            (&["ä€"], "ä€x", "***x"),
            // As they stand in JSON that somebody makes of them.
            (
                &["pa\"ss\\word", "two\nlines"],
                r#"{"p": "pa\"ss\\word", "q": "two\nlines"}"#,
                r#"{"p": "***", "q": "***"}"#,
            ),
        ] {
            assert_eq!(values(secrets).hide(text.to_owned()), hidden, "{secrets:?}");
        }
        assert_eq!(
            values(&["1", "long"]).hide_long("code 1 long".to_owned()),
            "code 1 ***"
        );
    }

    #[test]
    fn a_registrys_configuration_holds_secrets_of_its_own() {
        // dTpodW50ZXIy is u:hunter2, dTpw is u:p.
        for (configuration, text, hidden) in [
            (
                r#"{"auths": {"r.io": {"username": "u", "password": "hunter2"}}}"#,
                "username u password hunter2 r.io auth dTpodW50ZXIy",
                "username u password *** r.io auth ***",
            ),
            (
                r#"{"auths": {"r.io": {"auth": "dTpodW50ZXIy"}}}"#,
                "u:hunter2 dTpodW50ZXIy r.io",
                "u:*** *** r.io",
            ),
            (
                r#"{"a": {"password": "p"}, "b": {"username": "u"}}"#,
                "p u dTpw",
                "*** u dTpw",
            ),
            (
                r#"{"password": "p\u0061\"ss\nword/%"}"#,
                "pa\"ss\nword/% pa\\\"ss\\nword/% p\\u0061\\\"ss\\nword/%",
                "*** *** ***",
            ),
            (
                r#"[{"password" : "cut in the mid"#,
                "password cut in the mid",
                "password ***",
            ),
            (r#""just a text""#, "just a text", "***"),
        ] {
            let values = values(&[configuration]);
            assert_eq!(values.hide(text.to_owned()), hidden, "{configuration}");
        }
    }

    #[test]
    fn a_login_has_forms_that_programs_write() {
        let mut values = Values::default();
        values.add_login("u", "hunter/2").unwrap();
        let text = "Basic dTpodW50ZXIvMg== https://u:hunter%2F2@host";
        assert_eq!(values.hide(text.to_owned()), "Basic *** https://u:***@host");
        values.add_login("u", "").unwrap();
        assert_eq!(values.texts.len(), 2);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut values = Values::default();
        for number in 0..MOST {
            values.add(&format!("value {number:06}")).unwrap();
        }
        assert_eq!(values.add("one more"), Err(Full));
        assert_eq!(values.add("value 000007"), Ok(()), "it is known");
        let mut values = Values::default();
        values.add(&"x".repeat(MOST_BYTES)).unwrap();
        assert_eq!(values.add("y"), Err(Full));
        let mut values = Values::default();
        let many = |lines: usize| "a line of it\n".repeat(lines) + "the last line";
        assert_eq!(values.add(&many(LINES)), Err(Full));
        assert_eq!(values.add(&many(LINES - 1)), Ok(()));
    }
}
