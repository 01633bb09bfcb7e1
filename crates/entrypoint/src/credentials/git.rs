//! Git's configuration and its store of users and passwords. No I/O.

use std::fmt::Write as _;

use super::{File, home::Merge, ssh::Alias};

const CONFIG: &str = ".gitconfig";
/// Where git's helper `store` looks.
pub(super) const CREDENTIALS: &str = ".git-credentials";

/// A user of one server, or of one repository on it.
pub(super) struct Login {
    /// As the annotation has it.
    url: String,
    /// Up to `://`, and with it.
    scheme: String,
    /// From the host on.
    place: String,
    user: String,
    password: String,
}

impl Login {
    /// The error is a sentence for people.
    pub(super) fn new(url: &str, user: String, password: String) -> Result<Self, String> {
        let wrong =
            || format!("\"{url}\" is not a URL such as https://github.com or https://github.com/org/repo");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        // The Secret says who the user is.
        let place = match authority.rfind('@') {
            Some(at) => &rest[at + 1..],
            None => rest,
        };
        let is_bad = |character: char| character.is_control() || character.is_whitespace();
        if scheme.is_empty() || place.is_empty() || place.starts_with('/') || url.contains(is_bad) {
            return Err(wrong());
        }
        Ok(Self {
            url: url.to_owned(),
            scheme: format!("{scheme}://"),
            place: place.to_owned(),
            user,
            password,
        })
    }

    fn has_path(&self) -> bool {
        self.place
            .split_once('/')
            .is_some_and(|(_, path)| !path.is_empty())
    }
}

/// `.gitconfig` and `.git-credentials`, as far as there is something for them.
pub(super) fn files(logins: &[Login], aliases: &[Alias]) -> Vec<File> {
    // Of settings the last that fits counts, of the store's lines the first, and what is for a
    // repository fits its whole server too, where nobody asks for the path.
    let (servers, repositories): (Vec<&Login>, Vec<&Login>) =
        logins.iter().partition(|login| !login.has_path());
    let logins = [servers, repositories].concat();
    let mut config = String::new();
    if !logins.is_empty() {
        config.push_str("[credential]\n\thelper = store\n");
    }
    // Writing into a String cannot fail.
    for login in &logins {
        let (url, user) = (quotable(&login.url), value(&login.user));
        let _ = write!(config, "[credential \"{url}\"]\n\tusername = {user}\n");
        if login.has_path() {
            config.push_str("\tuseHttpPath = true\n");
        }
    }
    for alias in aliases {
        for (new, old) in alias.urls() {
            let _ = write!(config, "[url \"{new}\"]\n\tinsteadOf = {old}\n");
        }
    }
    let mut files = Vec::new();
    if !config.is_empty() {
        files.push(File::new(CONFIG, config, Merge::Append));
    }
    if !logins.is_empty() {
        files.push(File::new(CREDENTIALS, store(&logins), Merge::Logins));
    }
    files
}

fn store(logins: &[&Login]) -> String {
    let mut text = String::new();
    for login in logins {
        text.push_str(&login.scheme);
        escape(&mut text, &login.user);
        text.push(':');
        escape(&mut text, &login.password);
        text.push('@');
        text.push_str(&login.place);
        text.push('\n');
    }
    text
}

/// What may not stand in front of a URL's host is escaped.
pub(crate) fn escape(text: &mut String, part: &str) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,;=".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

fn quotable(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A value of a setting: in quotes only where git would read something else.
fn value(text: &str) -> String {
    if text.contains(['"', '#', ';']) || text.trim() != text {
        format!("\"{}\"", quotable(text))
    } else {
        text.replace('\\', "\\\\")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(url: &str, user: &str, password: &str) -> Login {
        Login::new(url, user.to_owned(), password.to_owned()).unwrap()
    }

    #[test]
    fn servers_come_before_repositories_and_users_are_escaped() {
        let logins = [
            login("https://a.example/org/repo", "dom\\me", "p@ss:/%"),
            login("https://b.example", "me", "x"),
            login("https://old@c.example:8443/", "a#b", "$&+,;=!"),
        ];
        let files = files(&logins, &[]);
        assert_eq!(files[0].path, ".gitconfig");
        assert_eq!(
            files[0].text,
            "[credential]\n\thelper = store\n\
             [credential \"https://b.example\"]\n\tusername = me\n\
             [credential \"https://old@c.example:8443/\"]\n\tusername = \"a#b\"\n\
             [credential \"https://a.example/org/repo\"]\n\tusername = dom\\\\me\n\tuseHttpPath = true\n"
        );
        assert_eq!(files[1].path, ".git-credentials");
        assert_eq!(
            files[1].text,
            "https://me:x@b.example\n\
             https://a%23b:$&+,;=%21@c.example:8443/\n\
             https://dom%5Cme:p%40ss%3A%2F%25@a.example/org/repo\n"
        );
    }

    #[test]
    fn what_is_no_url_is_said() {
        for url in [
            "github.com",
            "https://",
            "://x",
            "https:///x",
            "https://a\n[x]",
            "https://a b",
        ] {
            let why = Login::new(url, "hunter".to_owned(), "hunter2".to_owned())
                .err()
                .unwrap();
            assert!(why.starts_with(&format!("\"{url}\" is not a URL")), "{why}");
            assert!(!why.contains("hunter"), "{why}");
        }
    }
}
