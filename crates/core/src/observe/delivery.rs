//! Whether a Pod cannot run the entrypoint at all, so that the other form of delivery may help.

use tektite_protocol::paths;

use crate::pod_view::PodView;

/// Why no step can begin, if it is the entrypoint that cannot be executed. `None` as soon as any
/// step's container has run.
pub fn cannot_run_entrypoint(pod: &PodView) -> Option<String> {
    let mut why = None;
    for container in pod
        .containers()
        .iter()
        .filter(|container| container.name.starts_with("step-"))
    {
        let state = container.state.as_ref()?;
        if state.running.is_some() {
            return None;
        }
        let (reason, message) = match (&state.waiting, &state.terminated) {
            (Some(waiting), _) => (waiting.reason.as_deref(), waiting.message.as_deref()),
            (None, Some(end)) => (end.reason.as_deref(), end.message.as_deref()),
            (None, None) => continue,
        };
        match reason {
            Some("StartError" | "RunContainerError" | "CreateContainerError") => {
                let message = message.unwrap_or_default();
                if message.contains(paths::ENTRYPOINT) || message.contains(paths::BIN_DIR) {
                    why.get_or_insert_with(|| message.to_owned());
                }
            }
            // A container that has ended in any other way has run.
            _ if state.terminated.is_some() => return None,
            _ => {}
        }
    }
    why
}
