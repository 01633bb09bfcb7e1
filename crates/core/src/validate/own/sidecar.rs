//! What only sidecars have, where fields depend on each other: probes and ports. No I/O.

use k8s_openapi::{
    api::core::v1::{ContainerPort, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tektite_api::Sidecar;

use crate::{
    field_error::FieldError,
    validate::{Rules, text},
};

pub(super) fn check(rules: &mut Rules<'_>, sidecar: &Sidecar, at: &str) {
    for (probe, field) in [
        (&sidecar.liveness_probe, "livenessProbe"),
        (&sidecar.readiness_probe, "readinessProbe"),
        (&sidecar.startup_probe, "startupProbe"),
    ] {
        if let Some(probe) = probe {
            named_port(rules, probe, &sidecar.ports, &format!("{at}.{field}"));
        }
    }
    let readiness = sidecar.readiness_probe.as_ref();
    if readiness.is_some_and(|probe| probe.termination_grace_period_seconds.is_some()) {
        let path = format!("{at}.readinessProbe.terminationGracePeriodSeconds");
        let note = format!("{path}: a readiness probe ends nothing");
        rules.push(FieldError::own("must not set the field(s)", path).with_note(note));
    }
    for (index, port) in sidecar.ports.iter().enumerate() {
        let same = |earlier: &ContainerPort| port.name.is_some() && earlier.name == port.name;
        if sidecar.ports[..index].iter().any(same) {
            let path = format!("{at}.ports[{index}].name");
            let name = port.name.as_deref().unwrap_or_default();
            rules.push(FieldError::own(
                format!("port name \"{name}\" must be unique"),
                path,
            ));
        }
    }
}

/// A port that a probe names is one of the container's.
fn named_port(rules: &mut Rules<'_>, probe: &Probe, ports: &[ContainerPort], at: &str) {
    let http = probe.http_get.as_ref().map(|get| ("httpGet", &get.port));
    let tcp = probe
        .tcp_socket
        .as_ref()
        .map(|socket| ("tcpSocket", &socket.port));
    for (field, port) in http.into_iter().chain(tcp) {
        let IntOrString::String(name) = port else { continue };
        let known = || ports.iter().filter_map(|port| port.name.as_deref());
        if super::forms::Form::PortName.fits(name) && !known().any(|known| known == name) {
            let path = format!("{at}.{field}.port");
            let note = format!(
                "{path}: {}",
                text::suggestion(name, known().collect::<Vec<_>>(), "named ports")
            );
            rules.push(FieldError::own(format!("undefined port \"{name}\""), path).with_note(note));
        }
    }
}
