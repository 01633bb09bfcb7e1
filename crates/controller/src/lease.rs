//! Which replica works: the one that holds the Lease. I/O: that Lease, by a client of its own.
//!
//! Clocks of other machines are not believed: a lease is free when *we* have seen no renewal for its
//! length by our own monotonic clock. Who holds it renews it all the time; who cannot for
//! `renew-deadline`, which is shorter than the lease, has lost it and must end at once.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::PostParams,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use tektite_core::election::Election;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{cluster::MANAGER, error::explain, error::explain_watch};

/// How long one request about it may take.
const REQUEST: Duration = Duration::from_secs(5);

/// Why the lease is not ours any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Somebody else has it.
    #[error("\"{0}\" holds the lease now")]
    Taken(String),
    /// It could not be renewed.
    #[error("the lease could not be renewed for {0:?}")]
    Stale(Duration),
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{}", explain(.0))]
    Api(Box<kube::Error>),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl Error {
    fn has_code(&self, code: u16) -> bool {
        matches!(self, Self::Api(error) if matches!(&**error, kube::Error::Api(status) if status.code == code))
    }
}

/// The Lease as we saw it last.
struct Seen {
    /// `None`: there is none.
    object: Option<Object>,
    /// When its spec, or that there is none, was news to us.
    since: Instant,
}

/// Our claim to the Lease.
pub struct Lease {
    leases: Api<Object>,
    name: String,
    identity: String,
    waits: Election,
    seen: Option<Seen>,
    /// When the last write began that made it ours, or kept it so. Others may count from its arrival, so ours
    /// is the earlier end, however long the answer took.
    renewed: Instant,
}

impl Lease {
    /// The Lease called `name` in `namespace`, which `identity` wants to hold. `client` must not retry by
    /// itself.
    pub fn new(client: Client, namespace: &str, name: String, identity: String, waits: Election) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name,
            identity,
            waits,
            seen: None,
            renewed: Instant::now(),
        }
    }

    /// Waits until the lease is ours.
    pub async fn acquire(&mut self) {
        let changes = watch_object(self.leases.clone(), &self.name).default_backoff();
        tokio::pin!(changes);
        let mut told = None;
        loop {
            let due = self.free_in(Instant::now());
            tokio::select! {
                // News first: they may say that there is nothing to be had.
                biased;
                change = changes.next() => match change {
                    Some(Ok(object)) => self.observe(object, Instant::now()),
                    Some(Err(error)) => {
                        tracing::warn!(error = explain_watch(&error), "cannot follow the lease");
                    }
                    // It never ends by itself; nothing may spin if it does.
                    None => sleep(self.waits.retry_period).await,
                },
                () = sleep(due.unwrap_or_default()), if due.is_some() => {
                    self.renewed = Instant::now();
                    match self.write().await {
                        Ok(()) => return,
                        Err(error) => {
                            // A conflict is another replica's success. The news of it may be on a
                            // connection that died.
                            if error.has_code(409) {
                                self.look().await;
                            } else {
                                tracing::warn!(%error, "cannot take the lease");
                            }
                            sleep(self.waits.retry_period).await;
                        }
                    }
                }
            }
            let holder = self.seen.as_ref().and_then(Seen::holder).map(str::to_owned);
            if holder.is_some() && holder != told {
                tracing::info!(holder, "another replica works; waiting for the lease");
                told = holder;
            }
        }
    }

    /// Renews the lease until it is lost. Where it cannot be renewed, it is lost at the deadline, whatever is
    /// under way by then: not long afterwards another replica takes it.
    pub async fn keep(&mut self) -> Lost {
        loop {
            let deadline = self.renewed + self.waits.renew_deadline;
            let renewal = async {
                sleep(self.waits.retry_period).await;
                let begun = Instant::now();
                self.renew().await.map(|taken| (begun, taken))
            };
            match timeout_at(deadline, renewal).await {
                Ok(Ok((begun, None))) => self.renewed = begun,
                Ok(Ok((_, Some(holder)))) => return Lost::Taken(holder),
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Err(_elapsed) => return Lost::Stale(self.waits.renew_deadline),
            }
        }
    }

    /// Gives the lease back, if it is ours, so that the next replica need not wait for its end.
    pub async fn release(&mut self) {
        let result = async {
            let object = request(self.leases.get_opt(&self.name)).await?;
            self.observe(object, Instant::now());
            if self.seen.as_ref().and_then(Seen::holder) != Some(&*self.identity) {
                return Ok(());
            }
            let mut object = self.claim();
            let spec = object.spec.get_or_insert_default();
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            self.put(object).await
        };
        match result.await {
            Ok(()) => tracing::debug!("lease released"),
            Err(error) => tracing::warn!(%error, "cannot release the lease; it ends by itself"),
        }
    }

    /// Renews the lease. Says who holds it, if it is not ours any more.
    async fn renew(&mut self) -> Result<Option<String>, Error> {
        match self.write().await {
            Err(error) if error.has_code(409) || error.has_code(404) => {}
            result => return result.map(|()| None),
        }
        // Something else about it was changed, such as a label, or it was deleted; or it was taken.
        let object = request(self.leases.get_opt(&self.name)).await?;
        self.observe(object, Instant::now());
        match self.seen.as_ref().and_then(Seen::holder) {
            Some(holder) if holder != self.identity => Ok(Some(holder.to_owned())),
            _ => self.write().await.map(|()| None),
        }
    }

    /// Reads the lease, if it can be read now.
    async fn look(&mut self) {
        if let Ok(object) = request(self.leases.get_opt(&self.name)).await {
            self.observe(object, Instant::now());
        }
    }

    fn observe(&mut self, object: Option<Object>, now: Instant) {
        let spec = |object: &Option<Object>| object.as_ref().and_then(|object| object.spec.clone());
        let since = match &self.seen {
            Some(seen) if spec(&seen.object) == spec(&object) => seen.since,
            _ => now,
        };
        self.seen = Some(Seen { object, since });
    }

    /// How long the lease is still somebody else's; nothing is known while nothing was seen.
    fn free_in(&self, now: Instant) -> Option<Duration> {
        let seen = self.seen.as_ref()?;
        let Some(holder) = seen.holder() else {
            return Some(Duration::ZERO);
        };
        // Ours: left by a process before us in this very Pod, which has ended.
        if holder == self.identity {
            return Some(Duration::ZERO);
        }
        let length = seen.length().unwrap_or(self.waits.lease_duration);
        Some((seen.since + length).saturating_duration_since(now))
    }

    /// The Lease as it has to be for us to hold it.
    fn claim(&self) -> Object {
        let before = self.seen.as_ref().and_then(|seen| seen.object.clone());
        let mut object = before.unwrap_or_else(|| Object {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = object.spec.take().unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let is_ours = spec.holder_identity.as_deref() == Some(&self.identity);
        object.spec = Some(LeaseSpec {
            acquire_time: spec
                .acquire_time
                .filter(|_| is_ours)
                .or_else(|| Some(now.clone())),
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.waits.lease_duration.as_secs()).ok(),
            lease_transitions: Some(
                spec.lease_transitions
                    .map_or(0, |before| before.saturating_add(i32::from(!is_ours))),
            ),
            renew_time: Some(now),
            ..spec
        });
        object
    }

    async fn write(&mut self) -> Result<(), Error> {
        self.put(self.claim()).await
    }

    /// Writes `object`, unless somebody else has since it was read.
    async fn put(&mut self, object: Object) -> Result<(), Error> {
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let written = if object.metadata.resource_version.is_some() {
            request(self.leases.replace(&self.name, &params, &object)).await?
        } else {
            request(self.leases.create(&params, &object)).await?
        };
        self.observe(Some(written), Instant::now());
        Ok(())
    }
}

impl Seen {
    fn spec(&self) -> Option<&LeaseSpec> {
        self.object.as_ref()?.spec.as_ref()
    }

    fn holder(&self) -> Option<&str> {
        let holder = self.spec()?.holder_identity.as_deref()?;
        Some(holder).filter(|holder| !holder.is_empty())
    }

    fn length(&self) -> Option<Duration> {
        let seconds = self.spec()?.lease_duration_seconds?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }
}

async fn request<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match timeout(REQUEST, request).await {
        Ok(answer) => answer.map_err(|error| Error::Api(Box::new(error))),
        Err(_elapsed) => Err(Error::Timeout(REQUEST)),
    }
}

#[cfg(test)]
mod tests;
