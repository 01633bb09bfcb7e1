//! What only sidecars have: probes, ports, hooks, policies. No I/O.

use k8s_openapi::api::core::v1::{ContainerPort, Probe};
use tektite_api::Sidecar;

use super::containers::one_of;
use crate::{field_error::FieldError, validate::Rules};

pub(super) fn sidecar(rules: &mut Rules<'_>, sidecar: &Sidecar, at: &str) {
    for (probe, field) in [
        (&sidecar.liveness_probe, "livenessProbe"),
        (&sidecar.readiness_probe, "readinessProbe"),
        (&sidecar.startup_probe, "startupProbe"),
    ] {
        if let Some(probe) = probe {
            self::probe(rules, probe, &format!("{at}.{field}"));
        }
    }
    for (index, port) in sidecar.ports.iter().enumerate() {
        self::port(rules, port, &format!("{at}.ports[{index}]"));
    }
    let policies = ["Always", "OnFailure", "Never"];
    one_of(
        rules,
        &sidecar.restart_policy,
        &policies,
        &format!("{at}.restartPolicy"),
    );
    one_of(
        rules,
        &sidecar.termination_message_policy,
        &["File", "FallbackToLogsOnError"],
        &format!("{at}.terminationMessagePolicy"),
    );
}

fn probe(rules: &mut Rules<'_>, probe: &Probe, at: &str) {
    let given = [
        probe.exec.is_some(),
        probe.grpc.is_some(),
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
    ];
    let count = given.into_iter().filter(|given| *given).count();
    if count != 1 {
        let got = if count == 0 { "neither" } else { "both" };
        rules.push(
            FieldError::own(format!("expected exactly one, got {got}"), at)
                .with_note(format!("{at}: one of exec, grpc, httpGet, tcpSocket")),
        );
    }
    for (value, field) in [
        (probe.initial_delay_seconds, "initialDelaySeconds"),
        (probe.period_seconds, "periodSeconds"),
        (probe.timeout_seconds, "timeoutSeconds"),
        (probe.success_threshold, "successThreshold"),
        (probe.failure_threshold, "failureThreshold"),
    ] {
        if let Some(value) = value.filter(|value| *value < 0) {
            rules.push(FieldError::own(
                format!("invalid value: {value} should be >= 0"),
                format!("{at}.{field}"),
            ));
        }
    }
}

fn port(rules: &mut Rules<'_>, port: &ContainerPort, at: &str) {
    if !(1..=65_535).contains(&port.container_port) {
        let at = format!("{at}.containerPort");
        rules.push(
            FieldError::own(format!("invalid value: {}", port.container_port), at.clone())
                .with_note(format!("{at}: allowed are 1 to 65535")),
        );
    }
    let protocol = port.protocol.as_deref().unwrap_or_default();
    one_of(
        rules,
        protocol,
        &["TCP", "UDP", "SCTP"],
        &format!("{at}.protocol"),
    );
}
