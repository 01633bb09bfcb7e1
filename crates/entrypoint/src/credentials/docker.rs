//! Docker's configuration, put together from several: every setting is kept, of two for the same
//! place the later one counts. No I/O.

use super::{File, home::Merge, object::Object};
use crate::base64;

const PATH: &str = ".docker/config.json";
const NO_JSON: &str = "it is not the JSON object that docker reads";
const AUTHS: &str = "auths";

/// A configuration.
#[derive(Default)]
pub(super) struct Config {
    auths: Object,
    rest: Object,
}

impl Config {
    /// Adds a `.dockercfg`: registries without anything around them.
    pub(super) fn add_old(&mut self, text: &str) -> Result<(), String> {
        for (registry, entry) in object(text)?.into_pairs() {
            match whole(entry.get()) {
                Some(whole) => self.auths.insert_object(&registry, &whole),
                None => self.auths.insert(&registry, entry),
            }
        }
        Ok(())
    }

    /// Adds a `config.json`.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let mut new = object(text)?;
        if let Some(auths) = new.remove(AUTHS) {
            self.add_old(auths.get())?;
        }
        for (key, value) in new.into_pairs() {
            let old = self.rest.get(&key).and_then(|old| Object::parse(old.get()));
            match (old, Object::parse(value.get())) {
                (Some(mut both), Some(new)) => {
                    for (key, value) in new.into_pairs() {
                        both.insert(&key, value);
                    }
                    self.rest.insert_object(&key, &both);
                }
                _ => self.rest.insert(&key, value),
            }
        }
        Ok(())
    }

    /// Adds a user of one registry.
    pub(super) fn add_user(&mut self, registry: &str, user: &str, password: &str) {
        let mut entry = Object::default();
        for (key, value) in [
            ("username", user),
            ("password", password),
            ("auth", &auth(user, password)),
            // What upstream writes; old servers want one.
            ("email", "not@val.id"),
        ] {
            if !value.is_empty() {
                entry.insert_text(key, value);
            }
        }
        self.auths.insert_object(registry, &entry);
    }

    /// The file, if there is anything in it.
    pub(super) fn file(self) -> Option<File> {
        let is_empty = self.auths.is_empty() && self.rest.is_empty();
        (!is_empty).then(|| File::new(PATH, self.text(), Merge::Docker))
    }

    fn text(mut self) -> String {
        // A store is asked for every registry, and only for those that it knows it answers; the one
        // of the machine that the Secret was made on is not here.
        if !self.auths.is_empty() {
            self.rest.remove("credsStore");
        }
        let mut all = Object::default();
        all.insert_object(AUTHS, &self.auths);
        for (key, value) in self.rest.into_pairs() {
            all.insert(&key, value);
        }
        all.print()
    }
}

/// Two texts in one, `later` counting more; nothing if one is no configuration.
pub(super) fn merged(earlier: &str, later: &str) -> Option<String> {
    let mut config = Config::default();
    config.add(earlier).and_then(|()| config.add(later)).ok()?;
    Some(config.text())
}

fn object(text: &str) -> Result<Object, String> {
    Object::parse(text).ok_or_else(|| NO_JSON.to_owned())
}

/// An entry with `auth`, the only form of user and password that every program reads; nothing if it
/// can stay as it is.
fn whole(entry: &str) -> Option<Object> {
    let mut fields = Object::parse(entry)?;
    let (user, password) = (fields.text("username"), fields.text("password"));
    if !fields.text("auth").is_empty() || (user.is_empty() && password.is_empty()) {
        return None;
    }
    fields.insert_text("auth", &auth(&user, &password));
    Some(fields)
}

fn auth(user: &str, password: &str) -> String {
    base64::encode([user, ":", password].concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_kept_and_the_later_one_counts() {
        let mut config = Config::default();
        config
            .add_old(r#"{"old": {"username": "u", "password": "p"}, "both": {"auth": "b2xk"}}"#)
            .unwrap();
        config
            .add(
                r#"{"auths": {"both": {"auth": "bmV3"}, "token": {"identitytoken": "t"}},
                "credHelpers": {"a": "x"}, "credsStore": "desktop", "n": 1.50}"#,
            )
            .unwrap();
        config.add(r#"{"credHelpers": {"b": "y"}, "n": 2}"#).unwrap();
        config.add_user("https://r/v1/", "me", "p\"w");
        assert_eq!(
            config.file().unwrap().text,
            "{\"auths\":{\"old\":{\"username\":\"u\",\"password\":\"p\",\"auth\":\"dTpw\"},\
             \"both\":{\"auth\": \"bmV3\"},\"token\":{\"identitytoken\": \"t\"},\
             \"https://r/v1/\":{\"username\":\"me\",\"password\":\"p\\\"w\",\"auth\":\"bWU6cCJ3\",\"email\":\"not@val.id\"}},\
             \"credHelpers\":{\"a\":\"x\",\"b\":\"y\"},\"n\":2}"
        );
    }

    #[test]
    fn a_store_stays_where_there_is_nothing_else() {
        let mut config = Config::default();
        config.add(r#"{"credsStore": "ecr-login"}"#).unwrap();
        assert_eq!(
            config.file().unwrap().text,
            r#"{"auths":{},"credsStore":"ecr-login"}"#
        );
        assert!(Config::default().file().is_none());
        let mut config = Config::default();
        for text in ["", "[]", "{\"auths\": \"hunter2\"}"] {
            assert_eq!(config.add(text), Err(NO_JSON.to_owned()), "{text}");
        }
        assert_eq!(merged("{}", "hunter2"), None);
    }
}
