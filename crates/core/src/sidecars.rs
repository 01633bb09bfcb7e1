//! How a Pod's sidecars run, and what the first step waits for: what the operator and the cluster say
//! (runtime.md 1.8, departures.md). No I/O.

use tektite_api::Sidecar;

/// How sidecars run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As init containers that the kubelet starts before the steps and stops after them.
    #[default]
    Native,
    /// As ordinary containers beside the steps.
    Classic,
}

/// Whether containers that others add to the Pod are waited for:
/// `running-in-environment-with-injected-sidecars`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Injected {
    /// In Pods that get any.
    #[default]
    Auto,
    /// In every Pod.
    Always,
    /// In none.
    Never,
}

/// Whether the first step waits for containers beside it: `await-sidecar-readiness`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// Until they are ready.
    #[default]
    Awaited,
    /// It begins at once.
    Ignored,
}

/// The operator's settings about sidecars: part of ConfigMap `feature-flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `enable-kubernetes-sidecar`.
    pub form: Form,
    /// `running-in-environment-with-injected-sidecars`.
    pub injected: Injected,
    /// `await-sidecar-readiness`.
    pub readiness: Readiness,
}

/// What the cluster does to a Pod that is not in its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the kubelets know native sidecars.
    pub kubernetes: Kubernetes,
    /// What others add to the Pod.
    pub foreign: Foreign,
}

/// Containers that are not of the run, such as a service mesh's proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// So many.
    Added {
        /// Beside the steps.
        ordinary: usize,
        /// Before them, native sidecars among them.
        init: usize,
    },
    /// Nobody knows.
    Unknown,
}

impl Default for Foreign {
    fn default() -> Self {
        Self::Added { ordinary: 0, init: 0 }
    }
}

impl Foreign {
    /// How many containers the Pod has because of them. Where nobody knows, a proxy and what prepares the
    /// network for it.
    pub const fn count(self) -> usize {
        match self {
            Self::Added { ordinary, init } => ordinary + init,
            Self::Unknown => 2,
        }
    }

    /// Whether a step may have something to wait for: waiting for nothing costs a second, and a step that
    /// begins before its proxy fails.
    pub const fn may_need_time(self) -> bool {
        match self {
            Self::Added { ordinary, .. } => ordinary > 0,
            Self::Unknown => true,
        }
    }
}

/// What the API server's version means for sidecars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kubernetes {
    /// 1.29 or later; also where nobody knows, since nothing older is supported.
    #[default]
    RunsNativeSidecars,
    /// Older.
    RunsOrdinaryOnly,
}

impl Kubernetes {
    /// Reads the words of `/version`, such as `1` and `29+`.
    pub fn from_version(major: &str, minor: &str) -> Self {
        let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) if (major, minor) < (1, 29) => Self::RunsOrdinaryOnly,
            _ => Self::RunsNativeSidecars,
        }
    }
}

/// Whether the entrypoint stops the sidecar when the steps are over, where the kubelet does not: it is
/// the parent of what it runs. One that leaves its command to the image, or wants the container's own
/// stdin, it is not.
pub fn ends_with_steps(sidecar: &Sidecar) -> bool {
    let says_what =
        !sidecar.script.is_empty() || sidecar.command.first().is_some_and(|word| !word.is_empty());
    says_what && !sidecar.stdin && !sidecar.tty
}

impl Settings {
    /// The form on this cluster.
    pub const fn form_on(self, kubernetes: Kubernetes) -> Form {
        match kubernetes {
            Kubernetes::RunsNativeSidecars => self.form,
            Kubernetes::RunsOrdinaryOnly => Form::Classic,
        }
    }

    /// Whether somebody has to ask what others add to a Pod: unless the operator says that nobody does.
    /// Also where nothing waits for them, they take their share of what the kubelet keeps of messages.
    pub fn asks_for_foreign(self) -> bool {
        self.injected != Injected::Never
    }

    /// Whether the first step of a Pod with so many sidecars of its own waits for the word of the
    /// controller. Native sidecars are waited for by the kubelet.
    pub fn first_step_waits(self, sidecars: usize, around: Surroundings) -> bool {
        let own = sidecars > 0 && self.form_on(around.kubernetes) == Form::Classic;
        let foreign = match self.injected {
            Injected::Auto => around.foreign.may_need_time(),
            Injected::Always => true,
            Injected::Never => false,
        };
        self.readiness == Readiness::Awaited && (own || foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        use Kubernetes::{RunsNativeSidecars, RunsOrdinaryOnly};
        for (major, minor, expected) in [
            ("1", "37", RunsNativeSidecars),
            ("1", "29+", RunsNativeSidecars),
            ("1", "28+", RunsOrdinaryOnly),
            ("2", "0", RunsNativeSidecars),
            ("", "", RunsNativeSidecars),
        ] {
            assert_eq!(
                Kubernetes::from_version(major, minor),
                expected,
                "{major}.{minor}"
            );
        }
    }

    #[test]
    fn who_is_waited_for() {
        use Injected::{Always, Auto, Never};
        let around = |foreign| Surroundings {
            foreign,
            ..Surroundings::default()
        };
        let added = |ordinary, init| Foreign::Added { ordinary, init };
        let (none, one, first) = (Foreign::default(), added(1, 0), added(0, 1));
        for (form, injected, readiness, sidecars, foreign, waits) in [
            (Form::Native, Auto, Readiness::Awaited, 2, none, false),
            (Form::Native, Auto, Readiness::Awaited, 0, one, true),
            (Form::Native, Auto, Readiness::Awaited, 0, first, false),
            (Form::Native, Auto, Readiness::Awaited, 0, Foreign::Unknown, true),
            (Form::Native, Auto, Readiness::Ignored, 0, Foreign::Unknown, false),
            (Form::Classic, Auto, Readiness::Awaited, 0, none, false),
            (Form::Classic, Never, Readiness::Awaited, 1, none, true),
            (Form::Native, Always, Readiness::Awaited, 0, none, true),
            (Form::Native, Never, Readiness::Awaited, 0, one, false),
            (Form::Classic, Always, Readiness::Ignored, 1, one, false),
        ] {
            let settings = Settings {
                form,
                injected,
                readiness,
            };
            let seen = settings.first_step_waits(sidecars, around(foreign));
            assert_eq!(seen, waits, "{settings:?} {sidecars} {foreign:?}");
        }
        let old = Surroundings {
            kubernetes: Kubernetes::RunsOrdinaryOnly,
            foreign: none,
        };
        assert!(Settings::default().first_step_waits(1, old));
    }
}
