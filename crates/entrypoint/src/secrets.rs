//! What must not be told: the values of the step's Secrets, found where the controller says that
//! they are, and only once there is something to say. Does I/O.

mod values;

use std::{
    cell::{Cell, OnceCell},
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use tektite_protocol::{log::SecretPlaces, paths};

use self::values::{Full, MOST, MOST_BYTES, Values};

/// A file longer than this is no Secret: those have 1 MiB in all.
const FILE_BYTES: u64 = 1024 * 1024;
/// The most files that are looked at, in directories no deeper than anybody mounts Secrets.
const FILES: usize = 1000;
const DEPTH: usize = 4;
/// The token that Kubernetes mounts for the Pod's account; what lies beside it anybody may know.
const ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Variables that Kubernetes, the runtime and shells set: no Secret's, whatever Secrets are there.
const PUBLIC: [&str; 9] = [
    "PATH", "HOME", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "TERM", "LANG", "TMPDIR",
];

/// The secrets of this step.
#[derive(Debug)]
pub(crate) struct Secrets {
    places: SecretPlaces,
    found: OnceCell<Found>,
    is_told: Cell<bool>,
}

/// What was found, and where more is than can be hidden.
#[derive(Debug, Default)]
struct Found {
    values: Values,
    files: usize,
    /// The first of these places.
    beyond: Option<String>,
    more_beyond: usize,
}

impl Secrets {
    pub(crate) fn at(places: SecretPlaces) -> Self {
        Self {
            places,
            found: OnceCell::new(),
            is_told: Cell::new(false),
        }
    }

    /// `text`, which is the user's, with secrets hidden: short ones where they stand alone.
    pub(crate) fn hide(&self, text: String) -> String {
        self.found().values.hide(text)
    }

    /// `text` with secrets hidden, but for those that are too short to be told from other words.
    pub(crate) fn hide_long(&self, text: String) -> String {
        self.found().values.hide_long(text)
    }

    /// What is not hidden, for those who have not been told yet.
    pub(crate) fn warning(&self) -> Option<String> {
        if self.is_told.replace(true) {
            return None;
        }
        let found = self.found();
        let beyond = found.beyond.as_ref()?;
        let more = match found.more_beyond {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "secrets of this step may be in its log: not everything in {beyond}{more} is hidden, since that takes at \
             most {FILES} files of {FILE_BYTES} bytes, {MOST} values, and {MOST_BYTES} bytes in all"
        ))
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| {
            let mut found = Found::default();
            for (name, value) in std::env::vars_os() {
                let name = name.to_string_lossy();
                if self.is_secret(&name) {
                    let added = found.values.add(&value.to_string_lossy());
                    found.note(added, || format!("variable {name}"));
                }
            }
            let own = self.places.paths.iter().map(Path::new);
            let known = [paths::CREDENTIAL_SECRETS_DIR, ACCOUNT_TOKEN].map(Path::new);
            for path in known.into_iter().chain(own) {
                found.read(path, DEPTH);
            }
            found
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

impl Found {
    fn note(&mut self, added: Result<(), Full>, place: impl Fn() -> String) {
        match (added, &self.beyond) {
            (Ok(()), _) => {}
            (Err(Full), None) => self.beyond = Some(place()),
            (Err(Full), Some(_)) => self.more_beyond += 1,
        }
    }

    fn read(&mut self, path: &Path, depth: usize) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if metadata.is_dir() {
            self.read_all_in(path, depth);
        } else if metadata.is_file() {
            let added = self.read_file(path);
            self.note(added, || path.display().to_string());
        }
    }

    fn read_all_in(&mut self, directory: &Path, depth: usize) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            // Behind such names the kubelet keeps what the others are links to.
            if entry.file_name().as_encoded_bytes().starts_with(b"..") {
                continue;
            }
            if depth == 0 || self.files >= FILES {
                return self.note(Err(Full), || directory.display().to_string());
            }
            self.read(&entry.path(), depth - 1);
        }
        // A Secret with a user and a password.
        let part = |name| contents(&directory.join(name)).unwrap_or_default();
        let (user, password) = (part("username"), part("password"));
        let added = self.values.add_login(user.trim_ascii(), password.trim_ascii());
        self.note(added, || directory.display().to_string());
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Full> {
        if self.files >= FILES {
            return Err(Full);
        }
        self.files += 1;
        self.values.add(&contents(path)?)
    }
}

/// Nothing of what cannot be read: it can be in no line either, this program would have had to read it.
fn contents(path: &Path) -> Result<String, Full> {
    let mut bytes = Vec::new();
    // A pipe is no Secret, and opening it would wait.
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && let Ok(file) = File::open(path)
        // One byte more tells that there is more.
        && file.take(FILE_BYTES + 1).read_to_end(&mut bytes).is_ok()
        && bytes.len() as u64 > FILE_BYTES
    {
        return Err(Full);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn of(directory: &Path) -> Secrets {
        Secrets::at(SecretPlaces {
            paths: vec![directory.to_str().unwrap().to_owned()],
            ..SecretPlaces::default()
        })
    }

    #[test]
    fn files_are_read_through_the_kubelets_links() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("..data")).unwrap();
        for (name, value) in [("password", "s3cret/\n"), ("username", "me\n")] {
            fs::write(dir.path().join("..data").join(name), value).unwrap();
            std::os::unix::fs::symlink(format!("..data/{name}"), dir.path().join(name)).unwrap();
        }
        for place in [dir.path().join("password"), dir.path().to_owned()] {
            assert_eq!(of(&place).hide("xs3cret/x".to_owned()), "x***x");
        }
        let secrets = of(dir.path());
        // The whole of user and password in base64.
        assert_eq!(secrets.hide("bWU6czNjcmV0Lw== s3cret%2F".to_owned()), "*** ***");
        assert_eq!(secrets.found().files, 2, "each once");
        assert_eq!(secrets.warning(), None);
    }

    #[test]
    fn what_is_too_much_is_told_once_and_hides_nothing_else() {
        for (files, place) in [
            (
                vec![
                    ("large", "x".repeat(1024 * 1024 + 1)),
                    ("small", "hidden".to_owned()),
                ],
                "/large is hidden",
            ),
            (
                vec![
                    ("lines", "0123456789\n".repeat(1001)),
                    ("small", "hidden".to_owned()),
                ],
                "/lines is hidden",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            for (name, value) in files {
                fs::write(dir.path().join(name), value).unwrap();
            }
            let secrets = of(dir.path());
            assert_eq!(secrets.hide("hidden".to_owned()), "***");
            let warning = secrets.warning().unwrap();
            assert!(warning.contains(place), "{warning}");
            assert_eq!(secrets.warning(), None);
        }
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=FILES {
            fs::write(dir.path().join(number.to_string()), format!("value-{number}")).unwrap();
        }
        let secrets = of(dir.path());
        let warning = secrets.warning().unwrap();
        let expected = format!("not everything in {} is hidden", dir.path().display());
        assert!(warning.contains(&expected), "{warning}");
        assert_eq!(secrets.found().files, FILES);
    }
}
