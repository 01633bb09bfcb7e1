//! What the tests of this module share.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tektite_api::{StepAction, TaskRun};

use super::{DeliverySettings, Fallback, Fetched, Gathered};
use crate::{
    account::Account, config::Config, delivery::Delivery, image::Answers, limit_range::Limits,
    observe::ResultsLog, pod_view::PodView, sidecars::Surroundings,
};

/// So many seconds after the moment at which all is decided.
pub(super) fn at(second: i64) -> Timestamp {
    const NOW: i64 = 1_800_000_000;
    Timestamp::from_second(NOW + second).unwrap()
}

static NO_ACTIONS: BTreeMap<String, StepAction> = BTreeMap::new();
static NO_LIMITS: Limits = Limits::NONE;
static NO_IMAGES: Answers = Answers::new();

/// What there is of `run` and its Pod, and nothing else.
pub(super) fn gathered<'a>(run: &'a TaskRun, pod: Option<&'a PodView>, config: &'a Config) -> Gathered<'a> {
    Gathered {
        run,
        pod,
        earlier: None,
        news: None,
        fetched: Fetched::Nothing,
        actions: &NO_ACTIONS,
        log: &ResultsLog::NotRead,
        images: &NO_IMAGES,
        account: &Account::NotRead,
        config,
        delivery: DeliverySettings {
            form: Delivery::ImageVolume,
            fallback: Fallback::Once,
            image: "entrypoint:1",
            pull_policy: "IfNotPresent",
        },
        around: Surroundings::default(),
        limits: &NO_LIMITS,
        revision: "abc1234",
        now: at(0),
    }
}
