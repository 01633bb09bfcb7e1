//! What the entrypoint is told about its own log: how much to say, in which form, and what of the
//! step's surroundings is a secret. No I/O.

use crate::flags::FlagError;

/// How much the entrypoint says in the step's log, on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// What went wrong.
    #[default]
    Error,
    /// And what the step waits for, runs, and how it ended.
    Info,
    /// And each file and signal.
    Debug,
}

impl LogLevel {
    /// All of them, from the quietest on.
    pub const ALL: [Self; 4] = [Self::Off, Self::Error, Self::Info, Self::Debug];
    /// What may be written, for messages.
    pub const ALLOWED: &'static str = "write off, error, info or debug";

    /// The word on the command line and in the annotation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level called `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// What stands behind the prefix of each line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `time=… level=error msg="…"`.
    #[default]
    Logfmt,
    /// An object with the same keys.
    Json,
}

impl LogFormat {
    /// What may be written, for messages.
    pub const ALLOWED: &'static str = "write logfmt or json";

    /// The word on the command line and in the setting.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        }
    }

    /// The format called `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Logfmt, Self::Json]
            .into_iter()
            .find(|format| format.as_str() == word)
    }
}

/// Where secrets are. Never what they are: a command line is no place for that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretPlaces {
    /// Environment variables.
    pub env: Vec<String>,
    /// How the names of variables begin that come from whole Secrets. An empty one leaves open which
    /// they are.
    pub env_prefixes: Vec<String>,
    /// Files, and directories with all that is in them.
    pub paths: Vec<String>,
}

/// Everything about the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFlags {
    /// How much to say.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
    /// What must not be said.
    pub secrets: SecretPlaces,
}

impl LogFlags {
    /// Adds the flags; what is as usual has none.
    pub fn add_to(&self, args: &mut Vec<String>) {
        let mut flag = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        if self.level != LogLevel::default() {
            flag("-log_level", self.level.as_str());
        }
        if self.format != LogFormat::default() {
            flag("-log_format", self.format.as_str());
        }
        let secrets = &self.secrets;
        for (name, values) in [
            ("-secret_env", &secrets.env),
            ("-secret_env_prefix", &secrets.env_prefixes),
            ("-secret_path", &secrets.paths),
        ] {
            for value in values {
                flag(name, value);
            }
        }
    }

    /// Takes the value of flag `name` (without dashes), if it is one of these.
    ///
    /// # Errors
    /// A word that is none of those that the flag takes.
    pub fn take(
        &mut self,
        name: &str,
        value: &mut dyn FnMut() -> Result<String, FlagError>,
    ) -> Result<Taken, FlagError> {
        let word = |word: String, allowed: &str| FlagError::BadValue {
            flag: format!("-{name}"),
            value: word,
            allowed: allowed.to_owned(),
        };
        match name {
            "log_level" => {
                let given = value()?;
                self.level = LogLevel::from_word(&given).ok_or_else(|| word(given, LogLevel::ALLOWED))?;
            }
            "log_format" => {
                let given = value()?;
                self.format = LogFormat::from_word(&given).ok_or_else(|| word(given, LogFormat::ALLOWED))?;
            }
            "secret_env" => self.secrets.env.push(value()?),
            "secret_env_prefix" => self.secrets.env_prefixes.push(value()?),
            "secret_path" => self.secrets.paths.push(value()?),
            _ => return Ok(Taken::No),
        }
        Ok(Taken::Yes)
    }
}

/// Whether a flag was one of those asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was, and its value is read.
    Yes,
    /// It is somebody else's.
    No,
}
