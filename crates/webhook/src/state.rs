//! What all parts of the program share. No I/O.

use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tektite_core::config::Config;

use crate::{metrics::Metrics, references::References};

/// One thing that has to happen before the API server may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The ConfigMaps have been read.
    Config,
    /// A certificate is served.
    Certificate,
    /// The configurations hold the certificate's CA.
    Bundle,
    /// The listener accepts.
    Listener,
    /// Never opened again: the program ends.
    Shutdown,
}

impl Gate {
    /// What `/readyz` calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "ConfigMaps have not been read",
            Self::Certificate => "no certificate is served",
            Self::Bundle => "the webhook configurations do not hold the CA",
            Self::Listener => "the listener does not accept",
            Self::Shutdown => "shutting down",
        }
    }
}

/// Shared by requests, watches and probes.
#[derive(Debug)]
pub struct State {
    /// The operator's settings in force.
    pub config: ArcSwap<Config>,
    /// The namespace that they lie in.
    pub namespace: String,
    /// What their names begin with.
    pub config_prefix: String,
    /// Who looks at what objects refer to; nobody in tests of other things.
    pub references: Option<References>,
    /// What is counted.
    pub metrics: Metrics,
    /// What prints it.
    pub registry: Registry,
    shut: Mutex<Vec<Gate>>,
}

impl Default for State {
    fn default() -> Self {
        let mut registry = Registry::default();
        Self {
            config: ArcSwap::default(),
            namespace: String::new(),
            config_prefix: String::new(),
            references: None,
            metrics: Metrics::register(&mut registry),
            registry,
            shut: Mutex::new(vec![
                Gate::Config,
                Gate::Certificate,
                Gate::Bundle,
                Gate::Listener,
            ]),
        }
    }
}

impl State {
    /// For a program whose settings lie in `namespace`, in ConfigMaps whose names begin with `config_prefix`.
    pub fn new(namespace: String, config_prefix: String, references: References) -> Self {
        Self {
            namespace,
            config_prefix,
            references: Some(references),
            ..Self::default()
        }
    }

    /// `gate` is no obstacle any more.
    pub fn open(&self, gate: Gate) {
        self.shut
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| *other != gate);
    }

    /// `gate` is an obstacle from now on.
    pub fn shut(&self, gate: Gate) {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        if !shut.contains(&gate) {
            shut.push(gate);
        }
    }

    /// What is still to come; empty when the API server may call.
    pub fn missing(&self) -> Vec<&'static str> {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        shut.iter().map(|gate| gate.as_str()).collect()
    }
}
