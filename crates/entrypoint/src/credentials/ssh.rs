//! Keys for git over SSH, and the configuration that says which is for whom. No I/O.

use std::{fmt::Write as _, path::Path};

use super::{File, home::Merge};

/// A server, or one repository on it.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    host: String,
    port: String,
    /// Without slashes at its ends and without `.git`; empty for the whole server.
    path: String,
}

/// A key.
pub(super) struct Key {
    place: Place,
    secret: String,
    key: String,
    known_hosts: Option<String>,
}

impl Key {
    /// The error is a sentence for people.
    pub(super) fn new(
        url: &str,
        secret: &str,
        key: String,
        known_hosts: Option<String>,
    ) -> Result<Self, String> {
        let place = Place::parse(url).ok_or_else(|| {
            format!("\"{url}\" is not a server such as github.com, github.com:2222 or github.com/org/repo")
        })?;
        let secret = secret.to_owned();
        Ok(Self {
            place,
            secret,
            key: terminated(key),
            known_hosts: known_hosts.map(terminated),
        })
    }
}

/// The last line counts only with its end.
fn terminated(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

impl Place {
    /// `host`, `host:port`, `host/path`, and what people write instead: a scheme, a user, a path
    /// behind a colon.
    fn parse(url: &str) -> Option<Self> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        let path = if is_port {
            path.to_owned()
        } else {
            format!("{port}{path}")
        };
        let path = path.trim_matches('/');
        let is_bad = |character: char| {
            character.is_control() || character.is_whitespace() || matches!(character, '"' | '\\')
        };
        if host.is_empty() || url.contains(is_bad) {
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            port: if is_port && !port.is_empty() { port } else { "22" }.to_owned(),
            path: path.strip_suffix(".git").unwrap_or(path).to_owned(),
        })
    }

    fn name(&self) -> String {
        let (host, path) = (&self.host, &self.path);
        if path.is_empty() {
            host.clone()
        } else {
            format!("{host}--{}", path.replace('/', "--"))
        }
    }
}

/// A repository with a key of its own: for git it is on a server of its own.
pub(super) struct Alias(Place);

impl Alias {
    /// The URLs of the repository, and by what git replaces them: new and old.
    pub(super) fn urls(&self) -> Vec<(String, String)> {
        let Place { host, port, path } = &self.0;
        let name = self.0.name();
        let port = if port == "22" {
            String::new()
        } else {
            format!(":{port}")
        };
        vec![
            (format!("git@{name}:{path}.git"), format!("git@{host}:{path}.git")),
            (
                format!("ssh://{name}/{path}.git"),
                format!("ssh://{host}{port}/{path}.git"),
            ),
            (
                format!("ssh://git@{name}/{path}.git"),
                format!("ssh://git@{host}{port}/{path}.git"),
            ),
        ]
    }
}

/// What `.ssh` has in it, and what git has to know about it.
pub(super) struct Files {
    pub(super) files: Vec<File>,
    pub(super) aliases: Vec<Alias>,
}

impl Files {
    /// `own` is where ssh finds the keys, whatever its home is.
    pub(super) fn of(keys: &[Key], own: &Path) -> Self {
        let mut all = Self {
            files: Vec::new(),
            aliases: Vec::new(),
        };
        if keys.is_empty() {
            return all;
        }
        let mut places: Vec<&Place> = Vec::new();
        for key in keys {
            if !places.contains(&&key.place) {
                places.push(&key.place);
            }
        }
        let (hosts, repositories): (Vec<&Place>, Vec<&Place>) =
            places.iter().partition(|place| place.path.is_empty());
        let mut config = String::new();
        for place in hosts.into_iter().chain(repositories) {
            let Place { host, port, path } = place;
            let name = place.name();
            // Writing into a String cannot fail.
            let _ = write!(config, "Host {name}\n    HostName {host}\n    Port {port}\n");
            for key in keys.iter().filter(|key| key.place == *place) {
                let (own, secret) = (own.display(), &key.secret);
                let _ = writeln!(config, "    IdentityFile {own}/.ssh/id_{secret}");
            }
            if !path.is_empty() {
                all.aliases.push(Alias(place.clone()));
            }
        }
        let mut known_hosts: Vec<&str> = keys.iter().filter_map(|key| key.known_hosts.as_deref()).collect();
        known_hosts.dedup();
        for key in keys {
            let path = format!(".ssh/id_{}", key.secret);
            if all.files.iter().all(|file| file.path != path) {
                all.files.push(File::new(&path, key.key.clone(), Merge::Replace));
            }
        }
        if !known_hosts.is_empty() {
            let text = known_hosts.concat();
            all.files
                .push(File::new(".ssh/known_hosts", text, Merge::Prepend));
        }
        all.files.push(File::new(".ssh/config", config, Merge::Prepend));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: &str, secret: &str, known_hosts: Option<&str>) -> Key {
        Key::new(url, secret, "KEY".to_owned(), known_hosts.map(str::to_owned)).unwrap()
    }

    #[test]
    fn places_are_read_as_people_write_them() {
        for (url, expected) in [
            ("github.com", "github.com 22 "),
            ("github.com:2222", "github.com 2222 "),
            ("github.com/org/repo", "github.com 22 org/repo"),
            ("h:29418/org/repo/", "h 29418 org/repo"),
            ("h:29418/org/repo.git", "h 29418 org/repo"),
            ("https://github.com", "github.com 22 "),
            ("ssh://git@h:22/org/repo", "h 22 org/repo"),
            ("git@github.com:org/repo.git", "github.com 22 org/repo"),
            ("", ""),
            ("a b", ""),
            ("a\nHost *", ""),
        ] {
            let place = Place::parse(url);
            let text = place.map(|place| format!("{} {} {}", place.host, place.port, place.path));
            assert_eq!(text.unwrap_or_default(), expected, "{url}");
        }
    }

    #[test]
    fn hosts_come_before_repositories_and_share_keys() {
        let keys = [
            key("h/org/repo", "deploy", Some("h ssh-rsa A")),
            key("h:2222", "one", Some("h ssh-rsa A")),
            key("h:2222", "two", None),
            key("h:2222/x", "one", None),
        ];
        let all = Files::of(&keys, Path::new("/tekton/creds"));
        let paths: Vec<&str> = all.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                ".ssh/id_deploy",
                ".ssh/id_one",
                ".ssh/id_two",
                ".ssh/known_hosts",
                ".ssh/config"
            ]
        );
        assert_eq!(all.files[0].text, "KEY\n");
        assert_eq!(all.files[3].text, "h ssh-rsa A\n");
        assert_eq!(
            all.files[4].text,
            "Host h\n    HostName h\n    Port 2222\n    IdentityFile /tekton/creds/.ssh/id_one\n    \
             IdentityFile /tekton/creds/.ssh/id_two\n\
             Host h--org--repo\n    HostName h\n    Port 22\n    IdentityFile /tekton/creds/.ssh/id_deploy\n\
             Host h--x\n    HostName h\n    Port 2222\n    IdentityFile /tekton/creds/.ssh/id_one\n"
        );
        let urls: Vec<String> = all
            .aliases
            .iter()
            .flat_map(Alias::urls)
            .map(|(new, old)| format!("{old} > {new}"))
            .collect();
        assert_eq!(
            urls,
            [
                "git@h:org/repo.git > git@h--org--repo:org/repo.git",
                "ssh://h/org/repo.git > ssh://h--org--repo/org/repo.git",
                "ssh://git@h/org/repo.git > ssh://git@h--org--repo/org/repo.git",
                "git@h:x.git > git@h--x:x.git",
                "ssh://h:2222/x.git > ssh://h--x/x.git",
                "ssh://git@h:2222/x.git > ssh://git@h--x/x.git",
            ]
        );
        assert!(Files::of(&[], Path::new("/")).files.is_empty());
    }
}
