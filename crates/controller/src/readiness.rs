//! What still has to happen before the controller can do its work. No I/O.

use std::{collections::BTreeSet, sync::Mutex, sync::PoisonError};

/// One thing that has to happen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// All TaskRuns are known.
    TaskRuns,
    /// All their Pods are known.
    Pods,
    /// All LimitRanges are known.
    LimitRanges,
    /// All ResourceQuotas are known.
    Quotas,
    /// The ConfigMaps have been read.
    Config,
    /// Nodes have been asked what they can.
    Nodes,
    /// Never opened again: the program ends.
    Shutdown,
}

impl Gate {
    /// What `/readyz` calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskRuns => "TaskRuns have not been listed",
            Self::Pods => "Pods have not been listed",
            Self::LimitRanges => "LimitRanges have not been listed",
            Self::Quotas => "ResourceQuotas have not been listed",
            Self::Config => "ConfigMaps have not been read",
            Self::Nodes => "Nodes have not been asked",
            Self::Shutdown => "shutting down",
        }
    }
}

/// The gates that are still shut.
#[derive(Debug)]
pub struct Readiness {
    shut: Mutex<BTreeSet<Gate>>,
    changed: tokio::sync::Notify,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            shut: Mutex::new(
                [
                    Gate::TaskRuns,
                    Gate::Pods,
                    Gate::LimitRanges,
                    Gate::Quotas,
                    Gate::Config,
                    Gate::Nodes,
                ]
                .into(),
            ),
            changed: tokio::sync::Notify::new(),
        }
    }
}

impl Readiness {
    /// `gate` is no obstacle any more.
    pub fn open(&self, gate: Gate) {
        let was_shut = self.lock().remove(&gate);
        if was_shut {
            tracing::debug!(gate = ?gate, "ready");
        }
        self.changed.notify_waiters();
    }

    /// From now on nothing should be expected of this process.
    pub fn begin_shutdown(&self) {
        self.lock().insert(Gate::Shutdown);
    }

    /// What is missing.
    pub fn missing(&self) -> Vec<Gate> {
        self.lock().iter().copied().collect()
    }

    /// Waits until nothing is missing.
    pub async fn wait(&self) {
        self.until(BTreeSet::is_empty).await;
    }

    /// Waits until `gate` is no obstacle.
    pub async fn wait_for(&self, gate: Gate) {
        self.until(|shut| !shut.contains(&gate)).await;
    }

    async fn until(&self, is_enough: impl Fn(&BTreeSet<Gate>) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a gate that opens in between is not missed.
            changed.as_mut().enable();
            if is_enough(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<Gate>> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn waits_for_all() {
        let readiness = Arc::new(Readiness::default());
        let waiter = tokio::spawn({
            let readiness = Arc::clone(&readiness);
            async move { readiness.wait().await }
        });
        for gate in [
            Gate::Nodes,
            Gate::TaskRuns,
            Gate::Pods,
            Gate::LimitRanges,
            Gate::Quotas,
        ] {
            readiness.open(gate);
        }
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        assert_eq!(readiness.missing(), [Gate::Config]);
        readiness.open(Gate::Config);
        waiter.await.unwrap();
        readiness.begin_shutdown();
        assert_eq!(readiness.missing(), [Gate::Shutdown]);
    }
}
