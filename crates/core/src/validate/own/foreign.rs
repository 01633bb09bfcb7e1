//! What looks like a variable and is none that is replaced in a TaskRun. No I/O.

/// Why `inner`, what stands between `$(` and `)`, stands for nothing here; nothing where it may be a
/// command, or a variable of the environment.
pub(super) fn hint(inner: &str) -> Option<String> {
    let word = |c: u8| c.is_ascii_alphanumeric() || b"._-[]*\"'".contains(&c);
    if !inner.bytes().all(word) {
        return None;
    }
    let (root, rest) = inner.split_once(['.', '['])?;
    let first = rest.split(['.', '[']).next().unwrap_or_default();
    Some(match root {
        "tasks" | "finally" if rest.contains('.') => {
            "it belongs to Pipelines, which hand values to a Task as params".to_owned()
        }
        "inputs" | "outputs" | "resources" | "input" | "output" if rest.contains('.') || root == "inputs" => {
            "it belongs to an older form of Tasks; use params, workspaces and results".to_owned()
        }
        "tt" => "it belongs to triggers, which replace it before they create a TaskRun".to_owned(),
        "task" if first == "results" => "did you mean \"$(results.<name>.path)\"?".to_owned(),
        "taskRun" | "taskrun" => format!("did you mean \"$(context.taskRun.{first})\"?"),
        "step" => "a step has $(step.results.<name>.path) of its own".to_owned(),
        "workspace"
            if matches!(
                rest.rsplit('.').next(),
                Some("path" | "bound" | "claim" | "volume")
            ) =>
        {
            "did you mean \"$(workspaces.<name>.path)\"?".to_owned()
        }
        "credential" | "credentials" => "did you mean \"$(credentials.path)\"?".to_owned(),
        _ => return None,
    })
}

/// Whether a shell would find a program of this name: `$(steps.sh --all)`.
pub(super) fn is_command(inner: &str) -> bool {
    const ENDINGS: [&str; 10] = ["sh", "bash", "py", "pl", "rb", "js", "php", "exe", "ps1", "awk"];
    let program = inner.split_whitespace().next().unwrap_or_default();
    program
        .rsplit_once('.')
        .is_some_and(|(name, ending)| !name.contains('.') && ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_others_are_told_from_commands() {
        for inner in [
            "tasks.t.results.r",
            "inputs.resources.src.url",
            "inputs.s",
            "outputs.r.path",
            "tt.params.x",
            "task.results.r.path",
            "taskRun.name",
            "step.exitCode.path",
            "workspace.path",
            "credentials.paths",
        ] {
            assert!(hint(inner).is_some(), "{inner}");
        }
        for inner in [
            "date",
            "git rev-parse HEAD",
            "cat file.txt",
            "VAR",
            "tasks",
            "jq.sh",
            "a.b",
            "body.x",
        ] {
            assert_eq!(hint(inner), None, "{inner}");
        }
        assert!(is_command("steps.sh --all") && is_command("context.py"));
        assert!(!is_command("context.taskRun.py") && !is_command("date"));
    }
}
