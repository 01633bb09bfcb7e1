//! What must not be told: the values of the step's Secrets, found where the controller says that
//! they are, and only once there is something to say. Does I/O.

use std::{
    cell::OnceCell,
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use tektite_protocol::{log::SecretPlaces, paths};

/// What stands in a secret's place.
const HIDDEN: &str = "***";
/// Shorter ones are common in our own sentences ("1", "on"), which would say nothing without them.
const LONG: usize = 4;
/// A file longer than this is no Secret: those have 1 MiB in all.
const FILE_BYTES: u64 = 1024 * 1024;
/// The most files that are looked at, in directories no deeper than the kubelet's own links.
const FILES: usize = 1000;
const DEPTH: usize = 4;
/// How many lines of a file are secrets of their own; a key has some dozens.
const LINES: usize = 200;
/// A line shorter than this says nothing about the file that it is part of (`{`, `-----`).
const LINE: usize = 8;

/// Variables that Kubernetes, the runtime and shells set: no Secret's, whatever Secrets are there.
const PUBLIC: [&str; 9] = [
    "PATH", "HOME", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "TERM", "LANG", "TMPDIR",
];

/// The secrets of this step.
#[derive(Debug)]
pub(crate) struct Secrets {
    places: SecretPlaces,
    /// The longest first, so that one that contains another is hidden whole.
    values: OnceCell<Vec<String>>,
}

impl Secrets {
    pub(crate) fn at(places: SecretPlaces) -> Self {
        Self {
            places,
            values: OnceCell::new(),
        }
    }

    /// `text`, which is the user's, with secrets hidden: short ones where they stand alone.
    pub(crate) fn hide(&self, text: String) -> String {
        let mut text = self.hide_long(text);
        for value in self.values().iter().filter(|value| value.len() < LONG) {
            text = replace_words(&text, value);
        }
        text
    }

    /// `text` with secrets hidden, but for those that are too short to be told from other words.
    pub(crate) fn hide_long(&self, mut text: String) -> String {
        for value in self.values().iter().filter(|value| value.len() >= LONG) {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), HIDDEN);
            }
        }
        text
    }

    fn values(&self) -> &[String] {
        self.values.get_or_init(|| {
            let mut values = Vec::new();
            for (name, value) in std::env::vars_os() {
                if self.is_secret(&name.to_string_lossy()) {
                    add(&mut values, &value.to_string_lossy());
                }
            }
            let mut left = FILES;
            let own = self.places.paths.iter().map(Path::new);
            for path in own.chain([Path::new(paths::CREDENTIAL_SECRETS_DIR)]) {
                read(path, DEPTH, &mut left, &mut values);
            }
            values
        })
    }

    fn is_secret(&self, name: &str) -> bool {
        if self.places.env.iter().any(|secret| secret == name) {
            return true;
        }
        let from_a_whole_one = |prefix: &String| name.starts_with(prefix.as_str());
        self.places.env_prefixes.iter().any(from_a_whole_one)
            && !PUBLIC.contains(&name)
            && !name.starts_with("KUBERNETES_")
    }
}

/// The value as it is, without the line end that most files have, and what it is made of: lines, and
/// in a registry's configuration the texts behind its keys.
fn add(values: &mut Vec<String>, value: &str) {
    let trimmed = value.trim_ascii();
    insert(values, value);
    insert(values, trimmed);
    let lines = trimmed.split('\n').take(LINES).map(str::trim_ascii);
    lines
        .filter(|line| line.len() >= LINE)
        .for_each(|line| insert(values, line));
    if trimmed.starts_with('{') {
        // Between quotation marks is every second piece; a name is followed by a colon.
        let mut pieces = trimmed.split('"').skip(1).take(LINES);
        let mut text = pieces.next();
        while let (Some(found), Some(behind)) = (text, pieces.next()) {
            if found.len() >= LONG && !behind.trim_ascii_start().starts_with(':') {
                insert(values, found);
            }
            text = pieces.next();
        }
    }
}

/// Keeps the longest first; a sort for so few would be most of this program's part.
fn insert(values: &mut Vec<String>, value: &str) {
    if !value.is_empty() && values.iter().all(|known| known != value) {
        let shorter = values.iter().position(|known| known.len() < value.len());
        values.insert(shorter.unwrap_or(values.len()), value.to_owned());
    }
}

/// What cannot be read can be in no line either: this program would have had to read it.
fn read(path: &Path, depth: usize, left: &mut usize, values: &mut Vec<String>) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries.filter(|_| depth > 0) {
            read(&entry.path(), depth - 1, left, values);
        }
    } else if metadata.is_file() && metadata.len() <= FILE_BYTES && *left > 0 {
        *left -= 1;
        let mut bytes = Vec::new();
        if File::open(path).is_ok_and(|mut file| file.read_to_end(&mut bytes).is_ok()) {
            add(values, &String::from_utf8_lossy(&bytes));
        }
    }
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

    fn secrets(values: &[&str]) -> Secrets {
        let mut all = Vec::new();
        for value in values {
            add(&mut all, value);
        }
        let secrets = Secrets::at(SecretPlaces::default());
        secrets.values.set(all).unwrap();
        secrets
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        for (values, text, hidden) in [
            (
                &["hunter2"][..],
                "--password=hunter2 hunter",
                "--password=*** hunter",
            ),
            (&["pass\n"], "-ppass", "-p***"),
            (&["abcd", "abcdefgh"], "abcdefgh abcd", "*** ***"),
            (&["abc"], "abc --x=abc abcd xabc", "*** --x=*** abcd xabc"),
            (&["1"], "1 of 11", "*** of 11"),
            (&[""], "text", "text"),
            (
                &["first line\n}\nsecond line\n"],
                "say second line }",
                "say *** }",
            ),
            (&["ä€"], "ä€x", "***x"),
            (
                &["{\"auths\": {\"r.io\": {\"username\": \"u\", \"password\": \"hunter2\"}}}"],
                "username u password hunter2 r.io",
                "username u password *** r.io",
            ),
        ] {
            assert_eq!(secrets(values).hide(text.to_owned()), hidden, "{values:?}");
        }
        assert_eq!(
            secrets(&["1", "long"]).hide_long("code 1 long".to_owned()),
            "code 1 ***"
        );
    }

    #[test]
    fn which_variables_are_secret() {
        let secrets = Secrets::at(SecretPlaces {
            env: vec!["TOKEN".to_owned(), "PATH".to_owned()],
            env_prefixes: vec!["DB_".to_owned()],
            paths: Vec::new(),
        });
        for (name, secret) in [
            ("TOKEN", true),
            ("PATH", true),
            ("DB_USER", true),
            ("DBX", false),
            ("HOME", false),
        ] {
            assert_eq!(secrets.is_secret(name), secret, "{name}");
        }
        let all = Secrets::at(SecretPlaces {
            env_prefixes: vec![String::new()],
            ..SecretPlaces::default()
        });
        for (name, secret) in [("anything", true), ("PATH", false), ("KUBERNETES_PORT", false)] {
            assert_eq!(all.is_secret(name), secret, "{name}");
        }
    }

    #[test]
    fn files_are_read_through_the_kubelets_links() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("..data")).unwrap();
        fs::write(dir.path().join("..data/password"), "s3cret\n").unwrap();
        std::os::unix::fs::symlink("..data/password", dir.path().join("password")).unwrap();
        let secrets = Secrets::at(SecretPlaces {
            paths: vec![dir.path().join("password").to_str().unwrap().to_owned()],
            ..SecretPlaces::default()
        });
        assert_eq!(secrets.hide("xs3cretx".to_owned()), "x***x");
    }
}
