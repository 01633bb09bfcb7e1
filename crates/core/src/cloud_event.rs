//! What is told of a TaskRun to other programs: CloudEvents (api.md 8.2). No I/O.
//!
//! [`Told`] knows what has been told already, [`CloudEvent::new`] makes the rest into headers and a body.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tektite_api::{Condition, ConditionStatus, TaskRun, TaskRunStatus};

use crate::{convert, reason::Reason};

/// What has become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is there.
    Queued,
    /// It is looked after.
    Started,
    /// Steps run.
    Running,
    /// Something else that is not its end.
    Unknown,
    /// It ended well.
    Successful,
    /// It did not.
    Failed,
}

impl Kind {
    /// What a Succeeded condition means.
    pub fn of(condition: Option<&Condition>) -> Self {
        let Some(condition) = condition else {
            return Self::Queued;
        };
        match condition.status {
            ConditionStatus::True => Self::Successful,
            ConditionStatus::False => Self::Failed,
            ConditionStatus::Unknown if condition.reason == Reason::Started.as_str() => Self::Started,
            ConditionStatus::Unknown if condition.reason == Reason::Running.as_str() => Self::Running,
            ConditionStatus::Unknown => Self::Unknown,
        }
    }

    /// The type on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "dev.tekton.event.taskrun.queued.v1",
            Self::Started => "dev.tekton.event.taskrun.started.v1",
            Self::Running => "dev.tekton.event.taskrun.running.v1",
            Self::Unknown => "dev.tekton.event.taskrun.unknown.v1",
            Self::Successful => "dev.tekton.event.taskrun.successful.v1",
            Self::Failed => "dev.tekton.event.taskrun.failed.v1",
        }
    }
}

/// How long it is known what was told of a run.
const MEMORY: SignedDuration = SignedDuration::from_hours(2);
/// How often what is older is looked for.
const SWEEP: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug)]
struct Memory {
    kinds: HashSet<Kind>,
    conditions: HashSet<u64>,
    since: Timestamp,
}

/// What has been told of which run.
#[derive(Debug)]
pub struct Told {
    by_uid: HashMap<String, Memory>,
    swept: Timestamp,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            by_uid: HashMap::new(),
            swept: Timestamp::UNIX_EPOCH,
        }
    }
}

impl Told {
    /// Whether it is news that the run with `uid` has this condition, and from now on it is none. Each kind
    /// is told once, [`Kind::Unknown`] once for each condition.
    pub fn is_news(&mut self, uid: &str, condition: Option<&Condition>, now: Timestamp) -> bool {
        if now.duration_since(self.swept) > SWEEP {
            self.by_uid
                .retain(|_, memory| now.duration_since(memory.since) < MEMORY);
            self.swept = now;
        }
        let memory = self.by_uid.entry(uid.to_owned()).or_insert_with(|| Memory {
            kinds: HashSet::new(),
            conditions: HashSet::new(),
            since: now,
        });
        let mut hasher = DefaultHasher::new();
        condition
            .map(|known| (known.status as u8, &known.reason, &known.message))
            .hash(&mut hasher);
        let kind = Kind::of(condition);
        let is_new_condition = memory.conditions.insert(hasher.finish());
        let is_new_kind = memory.kinds.insert(kind);
        is_new_condition && (is_new_kind || kind == Kind::Unknown)
    }
}

/// An event: its attributes and its data.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudEvent {
    /// What it tells.
    pub kind: Kind,
    /// The same for the same news, however often it is sent; a UUID by its form.
    pub id: String,
    /// The run's name.
    pub subject: String,
    /// The run's path.
    pub source: String,
    /// When it happened.
    pub time: Timestamp,
    /// The run, as v1beta1.
    pub data: Value,
}

impl CloudEvent {
    /// What the condition of `run` tells.
    pub fn new(run: &TaskRun, now: Timestamp) -> Self {
        let condition = run.status.as_ref().and_then(TaskRunStatus::succeeded);
        let mut tree = serde_json::to_value(run).unwrap_or_default();
        // It fails for no kind and version of ours.
        let _always_ok = convert::convert(&mut tree, "tekton.dev/v1beta1");
        Self {
            kind: Kind::of(condition),
            id: id(run.uid(), condition),
            subject: run.name().to_owned(),
            source: format!(
                "/apis/tekton.dev/v1/namespaces/{}/TaskRun/{}",
                run.namespace(),
                run.name()
            ),
            time: now,
            data: json!({ "taskRun": tree }),
        }
    }

    /// The attributes as HTTP headers.
    pub fn headers(&self) -> [(&'static str, String); 7] {
        [
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", self.id.clone()),
            ("ce-type", self.kind.as_str().to_owned()),
            ("ce-source", self.source.clone()),
            ("ce-subject", self.subject.clone()),
            ("ce-time", self.time.to_string()),
            ("content-type", "application/json".to_owned()),
        ]
    }
}

fn id(uid: &str, condition: Option<&Condition>) -> String {
    let mut hash = Sha256::new();
    let (status, reason, message) = match condition {
        Some(known) => (known.status as u8, known.reason.as_str(), known.message.as_str()),
        None => (u8::MAX, "", ""),
    };
    for part in [uid.as_bytes(), &[status], reason.as_bytes(), message.as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    let mut bytes: [u8; 16] = std::array::from_fn({
        let digest = hash.finalize();
        move |index| digest[index]
    });
    // Version 8: bytes of one's own choice.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: ConditionStatus, reason: &str, message: &str) -> Condition {
        Condition {
            condition_type: "Succeeded".to_owned(),
            status,
            severity: String::new(),
            last_transition_time: None,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn each_kind_once_and_unknown_for_each_condition() {
        use ConditionStatus::{False, True, Unknown};
        let mut told = Told::default();
        for (seen, kind, news) in [
            (None, Kind::Queued, true),
            (None, Kind::Queued, false),
            (Some(condition(Unknown, "Started", "")), Kind::Started, true),
            (
                Some(condition(Unknown, "Pending", "no room")),
                Kind::Unknown,
                true,
            ),
            (
                Some(condition(Unknown, "Pending", "no room")),
                Kind::Unknown,
                false,
            ),
            (
                Some(condition(Unknown, "Pending", "no image")),
                Kind::Unknown,
                true,
            ),
            (Some(condition(Unknown, "Running", "a")), Kind::Running, true),
            (Some(condition(Unknown, "ToBeRetried", "a")), Kind::Unknown, true),
            (Some(condition(Unknown, "Running", "b")), Kind::Running, false),
            (Some(condition(True, "Succeeded", "")), Kind::Successful, true),
            (Some(condition(False, "Failed", "")), Kind::Failed, true),
        ] {
            assert_eq!(Kind::of(seen.as_ref()), kind);
            assert_eq!(told.is_news("u", seen.as_ref(), at(0)), news, "{seen:?}");
        }
        assert!(told.is_news("other", None, at(0)));
        assert!(told.is_news("u", None, at(3 * 3600)), "forgotten");
        assert_eq!(told.by_uid.len(), 1);
    }

    #[test]
    fn form() {
        let run: TaskRun = serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "n", "uid": "u"},
            "spec": {"taskSpec": {"steps": [{"image": "i", "computeResources": {"limits": {"cpu": "1"}}}]}},
            "status": {"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}]},
        }))
        .unwrap();
        let event = CloudEvent::new(&run, at(0));
        let run_of_data = &event.data["taskRun"];
        assert_eq!(run_of_data["apiVersion"], "tekton.dev/v1beta1");
        assert_eq!(
            run_of_data["spec"]["taskSpec"]["steps"][0]["resources"]["limits"]["cpu"],
            "1"
        );
        let headers = event.headers();
        let header = |name| headers.iter().find(|(key, _)| *key == name).unwrap().1.as_str();
        assert_eq!(header("ce-type"), "dev.tekton.event.taskrun.successful.v1");
        assert_eq!(header("ce-source"), "/apis/tekton.dev/v1/namespaces/n/TaskRun/r");
        assert_eq!(header("ce-subject"), "r");
        let parts: Vec<usize> = header("ce-id").split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(CloudEvent::new(&run, at(9)).id, event.id, "the same news");
        let mut failed = run.clone();
        failed.status.as_mut().unwrap().conditions[0].status = ConditionStatus::False;
        assert_ne!(CloudEvent::new(&failed, at(0)).id, event.id);
    }
}
