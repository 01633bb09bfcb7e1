//! Results that a sidecar has written to its log: whether to read it, and what becomes of what was read
//! (runtime.md section 4, departures.md).

use std::time::Duration;

use jiff::Timestamp;
use tektite_api::TaskSpec;
use tektite_protocol::log_results::{CONTAINER, Logged};

use super::{GRACE, is_complete, steps};
use crate::pod_view::PodView;

/// Between two looks: at first it is the kubelet that writes the last lines, later something is wrong.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The log that [`log_wanted`] asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResultsLog {
    /// Nobody asked for it.
    #[default]
    NotRead,
    /// Here it is, as far as it goes.
    Text {
        /// What is in it.
        text: String,
        /// When it was read for the first time.
        since: Timestamp,
    },
    /// It cannot be had now.
    NotYet {
        /// Why.
        why: String,
        /// When that was tried for the first time.
        since: Timestamp,
    },
    /// It cannot be had.
    Never(String),
}

/// What is known of the results in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All that there are; nothing where the Pod has no such log.
    All(Logged),
    /// Look again.
    Later {
        /// Why.
        why: String,
        /// When.
        again_in: Duration,
    },
    /// They are lost; why.
    Lost(String),
}

/// The container whose log has to be read now, if there is one: its steps are over, and results are in
/// the log.
pub fn log_wanted(spec: &TaskSpec, pod: &PodView) -> Option<&'static str> {
    let views = steps::read(spec, pod);
    (has_log(pod) && is_complete(spec, &views, pod)).then_some(CONTAINER)
}

fn has_log(pod: &PodView) -> bool {
    let mut all = pod.containers().iter().chain(pod.init_containers());
    all.any(|container| container.name == CONTAINER)
}

/// Reads what was fetched.
pub(super) fn find(log: &ResultsLog, pod: &PodView, now: Timestamp) -> Found {
    if !has_log(pod) {
        return Found::All(Logged::default());
    }
    let (why, since) = match log {
        ResultsLog::NotRead => {
            let why = "nobody has read them yet".to_owned();
            return Found::Later {
                why,
                again_in: WAITS.1,
            };
        }
        ResultsLog::Never(why) => return Found::Lost(why.clone()),
        ResultsLog::NotYet { why, since } => (why.clone(), *since),
        ResultsLog::Text { text, since } => match Logged::read(text) {
            Ok(logged) => return Found::All(logged),
            Err(error) => (error.to_string(), *since),
        },
    };
    // Not from the steps' end: nobody may have been there to read it since.
    let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    if waited < GRACE {
        // As long again as it has taken: twice the time is the most that is lost.
        let again_in = waited.clamp(WAITS.0, WAITS.1);
        Found::Later { why, again_in }
    } else {
        Found::Lost(why)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tektite_api::{ConditionStatus, TaskRunStatus};
    use tektite_protocol::log_results::{Line, LineKind};

    use super::*;
    use crate::{
        config::LifecycleSettings,
        observe::{Outcome, Subject, observe},
    };

    const OVER: i64 = 1_800_000_000;

    fn spec() -> TaskSpec {
        serde_json::from_value(json!({
            "steps": [{"name": "a", "results": [{"name": "own"}]}],
            "results": [
                {"name": "list", "type": "array"},
                {"name": "lifted", "type": "string", "value": "$(steps.a.results.own)"},
            ],
        }))
        .unwrap()
    }

    fn pod(code: i32, native: Value) -> PodView {
        let over = Timestamp::from_second(OVER).unwrap().to_string();
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "step-a", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": over}}}],
            "initContainerStatuses": native,
        }}))
        .unwrap()
    }

    fn reader() -> Value {
        json!([{"name": CONTAINER, "image": "i", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}}}])
    }

    fn log(lines: &[(&str, &str, LineKind)]) -> ResultsLog {
        let written = lines.iter().map(|(name, value, kind)| Line {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            kind: *kind,
        });
        let mut all: Vec<String> = written.map(|line| line.text()).collect();
        all.push(Line::end(lines.len()).text());
        text(&all.join("\n"))
    }

    fn text(text: &str) -> ResultsLog {
        ResultsLog::Text {
            text: text.to_owned(),
            since: since(),
        }
    }

    /// Long after the steps' end: the controller was away.
    fn since() -> Timestamp {
        Timestamp::from_second(OVER + 1000).unwrap()
    }

    /// What a look says so many seconds after the first one.
    fn look(pod: &PodView, log: &ResultsLog, after: i64) -> (Outcome, TaskRunStatus) {
        let spec = spec();
        let subject = Subject {
            run_name: "tr",
            spec: &spec,
            log,
            news: None,
            settings: LifecycleSettings::default(),
            now: Timestamp::from_second(OVER + 1000 + after).unwrap(),
        };
        let mut status = TaskRunStatus::default();
        let outcome = observe(subject, pod, &mut status);
        (outcome, status)
    }

    #[test]
    fn results_of_task_and_steps_come_from_the_log() {
        let lines = [
            ("list", "[\"x\"]", LineKind::Task),
            ("step-a.own", "y\n", LineKind::Step),
        ];
        let (outcome, status) = look(&pod(0, reader()), &log(&lines), 0);
        assert_eq!(outcome, Outcome::Over);
        let results = serde_json::to_value(&status.results).unwrap();
        assert_eq!(
            results,
            json!([
                {"name": "list", "type": "array", "value": ["x"]},
                {"name": "lifted", "type": "string", "value": "y\n"},
            ])
        );
        assert_eq!(status.steps[0].results[0].name, "own");
        assert_eq!(status.succeeded().unwrap().status, ConditionStatus::True);
    }

    #[test]
    fn w34_it_is_asked_for_once_the_steps_are_over() {
        let spec = spec();
        let mut going_on = pod(0, reader());
        going_on.status.container_statuses = None;
        for (pod, wanted) in [
            (pod(0, reader()), Some(CONTAINER)),
            (pod(0, json!([])), None),
            (going_on, None),
        ] {
            assert_eq!(log_wanted(&spec, &pod), wanted);
        }
    }

    #[test]
    fn w36_what_becomes_of_a_log_that_is_no_use() {
        let slow = || ResultsLog::NotYet {
            why: "slow".to_owned(),
            since: since(),
        };
        let left_out = log(&[
            (
                "a",
                "result \"a\" has 9 bytes, and at most 8 fit",
                LineKind::LeftOut,
            ),
            ("b", "and b", LineKind::LeftOut),
        ]);
        let (user, lost) = ("TaskRunResultLargerThanAllowedLimit", "TaskRunResultsNotRead");
        for (code, log, after, reason, part) in [
            (0, ResultsLog::NotRead, 0, "Running", "results are still to come"),
            (0, slow(), 119, "Running", "come: slow"),
            (0, slow(), 120, lost, "are lost: slow"),
            (0, ResultsLog::Never("no".to_owned()), 0, lost, "are lost: no"),
            (0, text(""), 0, "Running", "it ends after 0 lines"),
            (
                0,
                text("{\"name\": 1}"),
                200,
                lost,
                "has a line that is no result",
            ),
            (0, left_out.clone(), 0, user, "at most 8 fit; and b"),
            // The step has said why; what else there is to say does not matter.
            (3, left_out, 0, "StepFailed", "exited with code 3"),
            (
                3,
                ResultsLog::Never("no".to_owned()),
                0,
                "StepFailed",
                "exited with code 3",
            ),
        ] {
            let (outcome, status) = look(&pod(code, reader()), &log, after);
            let condition = status.succeeded().unwrap();
            assert_eq!(condition.reason, reason, "{log:?}");
            assert!(condition.message.contains(part), "{}", condition.message);
            let reads_on = matches!(outcome, Outcome::Reading(_));
            assert_eq!(reads_on, reason == "Running", "{log:?}");
        }
    }

    #[test]
    fn it_is_looked_for_often_at_first() {
        for (after, millis) in [(0, 100), (1, 1000), (2, 2000), (100, 2000)] {
            let (outcome, _) = look(&pod(0, reader()), &text(""), after);
            let expected = Outcome::Reading(Duration::from_millis(millis));
            assert_eq!(outcome, expected, "{after}");
        }
    }
}
