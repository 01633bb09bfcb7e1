//! From ENTRYPOINT and CMD to a step's words (runtime.md 2.1). No I/O.
//!
//! The two are kept apart until a step asks, since it depends on the step's arguments which count
//! (W-12).

use std::collections::BTreeMap;

use super::Image;

/// What an image runs by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its CMD.
    pub cmd: Vec<String>,
}

/// What a step runs, before its own arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// The same wherever it runs; never empty.
    Same(Vec<String>),
    /// By platform; none of them empty.
    ByPlatform(BTreeMap<String, Vec<String>>),
}

impl Words {
    /// How many bytes all of them have.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Same(words) => words.iter().map(String::len).sum(),
            Self::ByPlatform(commands) => commands.values().flatten().map(String::len).sum(),
        }
    }
}

impl Command {
    /// What a step with these arguments runs before them.
    fn before(&self, args: &[String]) -> Vec<String> {
        if self.entrypoint.is_empty() {
            self.cmd.clone()
        } else if args.is_empty() {
            [self.entrypoint.as_slice(), self.cmd.as_slice()].concat()
        } else {
            self.entrypoint.clone()
        }
    }
}

impl Image {
    /// What a step with these arguments runs before them; nothing where the image says nothing.
    pub fn words(&self, args: &[String]) -> Option<Words> {
        let by_platform = self.commands.iter().map(|(platform, command)| {
            let words = command.before(args).iter().map(|word| literal(word)).collect();
            (platform.to_string(), words)
        });
        let all: BTreeMap<String, Vec<String>> = by_platform.collect();
        let first = all.values().next()?;
        if all.values().all(|words| words == first) {
            return Some(first.clone())
                .filter(|words| !words.is_empty())
                .map(Words::Same);
        }
        let said = all.into_iter().filter(|(_, words)| !words.is_empty());
        Some(Words::ByPlatform(said.collect()))
    }
}

/// As it has to stand in a Pod to reach the container unchanged: the kubelet replaces `$(NAME)` and folds
/// `$$` in arguments and variables, but not in what an image says.
fn literal(word: &str) -> String {
    word.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, Platform};

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn image(commands: &[(&str, &[&str], &[&str])]) -> Image {
        let commands = commands.iter().map(|(architecture, entrypoint, cmd)| {
            let platform = Platform::linux("linux", architecture, "").unwrap();
            let command = Command {
                entrypoint: words(entrypoint),
                cmd: words(cmd),
            };
            (platform, command)
        });
        Image {
            digest: Digest::of(b""),
            commands: commands.collect(),
        }
    }

    #[test]
    fn entrypoint_and_cmd() {
        type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], Option<&'a [&'a str]>);
        let rows: [Row<'_>; 8] = [
            (&["e"], &["c"], &[], Some(&["e", "c"])),
            (&["e"], &["c"], &["a"], Some(&["e"])),
            (&["e"], &[], &[], Some(&["e"])),
            (&[], &["c", "d"], &[], Some(&["c", "d"])),
            (&[], &["c"], &["a"], Some(&["c"])),
            (&[], &[], &[], None),
            (&[], &[], &["a"], None),
            (&["$(x) $$"], &[], &[], Some(&["$$(x) $$$$"])),
        ];
        for (entrypoint, cmd, args, expected) in rows {
            let image = image(&[("amd64", entrypoint, cmd)]);
            let expected = expected.map(|expected| Words::Same(words(expected)));
            assert_eq!(
                image.words(&words(args)),
                expected,
                "{entrypoint:?} {cmd:?} {args:?}"
            );
        }
    }

    #[test]
    fn the_same_image_answers_steps_with_and_without_arguments() {
        let image = image(&[("amd64", &["e"], &["c"])]);
        for _ in 0..2 {
            assert_eq!(image.words(&[]), Some(Words::Same(words(&["e", "c"]))));
            assert_eq!(image.words(&words(&["a"])), Some(Words::Same(words(&["e"]))));
        }
    }

    #[test]
    fn platforms_that_differ_are_told_apart() {
        let same = image(&[("amd64", &["e"], &["c"]), ("arm64", &["e"], &["d"])]);
        assert_eq!(same.words(&words(&["a"])), Some(Words::Same(words(&["e"]))));
        let by = [("linux/amd64", &["e", "c"]), ("linux/arm64", &["e", "d"])];
        let by = by.map(|(platform, own)| (platform.to_owned(), words(own)));
        assert_eq!(same.words(&[]), Some(Words::ByPlatform(by.into())));
        let one_says_nothing = image(&[("amd64", &["e"], &[]), ("arm64", &[], &[])]);
        let by = [("linux/amd64".to_owned(), words(&["e"]))];
        assert_eq!(one_says_nothing.words(&[]), Some(Words::ByPlatform(by.into())));
        assert_eq!(image(&[]).words(&[]), None);
    }
}
