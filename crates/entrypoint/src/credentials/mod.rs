//! What a step may log in with: read from the mounted Secrets, written to the step's own directory,
//! and put where programs look for it (runtime.md 1.13). Does I/O.
//!
//! Programs look in the step's home. Where that cannot be written, or belongs to a step of another
//! UID, environment variables lead them to the step's own directory. Nothing here fails a step: it is
//! said in the log, without anything that a Secret holds, and the command then says what it misses.

mod docker;
mod git;
mod home;
mod object;
mod ssh;

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write as _,
    iter,
    path::{Path, PathBuf},
};

use nix::unistd::getuid;
use tektite_protocol::credentials::{Credential, CredentialKind};

use crate::{files, layout::Layout, log::Log, sys};
pub(crate) use git::escape as escape_for_url;
use home::Merge;

/// A file below the step's directory and below its home.
struct File {
    path: String,
    text: String,
    merge: Merge,
}

impl File {
    fn new(path: &str, text: String, merge: Merge) -> Self {
        let path = path.to_owned();
        Self { path, text, merge }
    }
}

/// Programs that look in the same places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Docker,
    Git,
    Ssh,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Git => "git",
            Self::Ssh => "ssh",
        }
    }
}

/// The files of the step, by program.
struct Provided<'a> {
    /// The step's own directory.
    own: &'a Path,
    docker: Vec<File>,
    git: Vec<File>,
    ssh: Vec<File>,
    log: Log,
}

/// A variable's name and its value.
pub(crate) type Variable = (String, String);

/// Brings `credentials` to where programs find them, and returns the variables that it has set for that.
/// `writer` tells this step's temporary files from those of others that share its home.
pub(crate) fn provide(credentials: &[Credential], layout: &Layout, writer: &str, log: Log) -> Vec<Variable> {
    let mut set = Vec::new();
    if credentials.is_empty() {
        return set;
    }
    let own = layout.credentials_dir();
    let read = Secrets {
        directory: layout.credential_secrets_dir(),
        log,
    };
    let provided = read.provided(credentials, &own);
    let home = env::var_os("HOME").map(PathBuf::from);
    for (program, files) in [
        (Program::Docker, &provided.docker),
        (Program::Git, &provided.git),
        (Program::Ssh, &provided.ssh),
    ] {
        if !files.is_empty() {
            set.extend(provided.bring(program, files, home.as_deref(), writer));
        }
    }
    set
}

impl Provided<'_> {
    /// The variables that it has set.
    fn bring(&self, program: Program, files: &[File], home: Option<&Path>, writer: &str) -> Vec<Variable> {
        let name = program.name();
        for file in files {
            if let Err(error) = own_file(self.own, &file.path, &file.text) {
                let log = self.log;
                log.error(format_args!("there are no credentials for {name}: {error}"));
                return Vec::new();
            }
        }
        let put = match home {
            Some(home) if home.is_absolute() => files.iter().try_for_each(|file| {
                let path = home.join(&file.path);
                home::put(&path, file, writer).map_err(|error| format!("{}: {error}", path.display()))
            }),
            _ => Err("HOME is not set".to_owned()),
        };
        let why = match (put, home) {
            (Ok(()), Some(home)) if program != Program::Ssh || is_accounts_home(home) => {
                let home = home.display();
                let log = self.log;
                log.info(format_args!("credentials for {name} are in {home}"));
                return Vec::new();
            }
            (Ok(()), _) => "ssh looks in the home that /etc/passwd names, which is not HOME".to_owned(),
            (Err(why), _) => why,
        };
        let variables = match program {
            Program::Docker => self.for_docker(files, home),
            Program::Git => self.for_git(),
            Program::Ssh => self.for_ssh(),
        };
        for (name, value) in &variables {
            sys::set_variable(OsStr::new(name), value);
        }
        let own = self.own.display();
        let said = variables.first().map(|(name, _)| name.as_str());
        let said = said.unwrap_or("no variable, for the step has its own");
        self.log.info(format_args!(
            "credentials for {name} are in {own}, and {said} says so: {why}"
        ));
        variables
    }

    /// A home that can be read but not written keeps what it says: it may be there on purpose.
    fn for_docker(&self, files: &[File], home: Option<&Path>) -> Vec<Variable> {
        for file in files {
            let theirs = home.and_then(|home| fs::read_to_string(home.join(&file.path)).ok());
            if let Some(both) = theirs.and_then(|theirs| docker::merged(&file.text, &theirs))
                && let Err(error) = own_file(self.own, &file.path, &both)
            {
                self.log.error(format_args!("{error}"));
            }
        }
        let own = self.own.join(".docker");
        unless_set("DOCKER_CONFIG", own.display().to_string())
    }

    /// Git reads these after all its files, and the files too.
    fn for_git(&self) -> Vec<Variable> {
        const COUNT: &str = "GIT_CONFIG_COUNT";
        let count = env::var(COUNT).unwrap_or_else(|_| "0".to_owned());
        let Ok(count) = count.parse::<usize>() else {
            return Vec::new();
        };
        let own = self.own.display();
        // The first helper forgets those before it: a store in a home of somebody else's would be
        // written anew, with this step's user only.
        let settings = [
            ("include.path", format!("{own}/.gitconfig")),
            ("credential.helper", String::new()),
            (
                "credential.helper",
                format!("store --file={own}/.git-credentials"),
            ),
        ];
        let has_logins = self.git.iter().any(|file| file.path == git::CREDENTIALS);
        let used = if has_logins { settings.len() } else { 1 };
        let settings = (count..).zip(settings).take(used);
        let settings = settings.flat_map(|(index, (key, value))| {
            [
                (format!("GIT_CONFIG_KEY_{index}"), key.to_owned()),
                (format!("GIT_CONFIG_VALUE_{index}"), value),
            ]
        });
        let count = (COUNT.to_owned(), (count + used).to_string());
        iter::once(count).chain(settings).collect()
    }

    fn for_ssh(&self) -> Vec<Variable> {
        if env::var_os("GIT_SSH").is_some() {
            return Vec::new();
        }
        let own = self.own.display();
        let all = format!(
            "Include {own}/.ssh/config ~/.ssh/config /etc/ssh/ssh_config\nUserKnownHostsFile \
             {own}/.ssh/known_hosts ~/.ssh/known_hosts\n"
        );
        if let Err(error) = own_file(self.own, ".ssh/all", &all) {
            self.log.error(format_args!("{error}"));
            return Vec::new();
        }
        unless_set("GIT_SSH_COMMAND", format!("ssh -F {own}/.ssh/all"))
    }
}

fn own_file(own: &Path, path: &str, text: &str) -> Result<(), files::FileError> {
    files::replace(&own.join(path), 0o600, |file| file.write_all(text.as_bytes()))
}

fn unless_set(name: &str, value: String) -> Vec<Variable> {
    let is_set = env::var_os(name).is_some();
    (!is_set).then(|| (name.to_owned(), value)).into_iter().collect()
}

/// Whether `home` is what ssh takes for it: not HOME, but what the account says.
fn is_accounts_home(home: &Path) -> bool {
    let uid = getuid().to_string();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut accounts = accounts.lines().map(|line| line.split(':'));
    let own = accounts.find_map(|mut fields| {
        let is_own = fields.nth(2) == Some(&uid);
        is_own.then(|| fields.nth(2)).flatten()
    });
    own.is_some_and(|own| Path::new(own) == home)
}

/// The directory with one directory per Secret.
struct Secrets {
    directory: PathBuf,
    log: Log,
}

impl Secrets {
    fn provided<'a>(&self, credentials: &[Credential], own: &'a Path) -> Provided<'a> {
        let mut docker = docker::Config::default();
        let (mut logins, mut keys) = (Vec::new(), Vec::new());
        // Later ones win: docker's older form, the newer one, single users.
        for kind in [
            CredentialKind::DockerCfg,
            CredentialKind::DockerConfig,
            CredentialKind::BasicDocker,
            CredentialKind::BasicGit,
            CredentialKind::SshGit,
        ] {
            for credential in credentials.iter().filter(|credential| credential.kind == kind) {
                let taken = match kind {
                    CredentialKind::DockerCfg => self
                        .read(credential, ".dockercfg")
                        .and_then(|text| docker.add_old(&text)),
                    CredentialKind::DockerConfig => self
                        .read(credential, ".dockerconfigjson")
                        .and_then(|text| docker.add(&text)),
                    CredentialKind::BasicDocker => self.user(credential).map(|(user, password)| {
                        docker.add_user(&credential.url, &user, &password);
                    }),
                    CredentialKind::BasicGit => self
                        .user(credential)
                        .and_then(|(user, password)| git::Login::new(&credential.url, user, password))
                        .map(|login| logins.push(login)),
                    CredentialKind::SshGit => self.key(credential).map(|key| keys.push(key)),
                };
                if let Err(why) = taken {
                    let (flag, secret) = (kind.flag(), &credential.secret);
                    self.log.error(format_args!(
                        "Secret \"{secret}\" cannot be used for {flag}: {why}"
                    ));
                }
            }
        }
        let ssh = ssh::Files::of(&keys, own);
        Provided {
            own,
            docker: docker.file().into_iter().collect(),
            git: git::files(&logins, &ssh.aliases),
            ssh: ssh.files,
            log: self.log,
        }
    }

    fn user(&self, credential: &Credential) -> Result<(String, String), String> {
        // No name and no password ends with a line's end, but many a file that they come from does.
        let read = |key| {
            self.read(credential, key)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
        };
        Ok((read("username")?, read("password")?))
    }

    fn key(&self, credential: &Credential) -> Result<ssh::Key, String> {
        let key = self.read(credential, "ssh-privatekey")?;
        let known_hosts = self.read(credential, "known_hosts").ok();
        ssh::Key::new(&credential.url, &credential.secret, key, known_hosts)
    }

    fn read(&self, credential: &Credential, key: &str) -> Result<String, String> {
        let path = self.directory.join(&credential.secret).join(key);
        fs::read_to_string(path).map_err(|error| format!("{key}: {error}"))
    }
}
