//! When expressions (api.md 3.5, T27 to T32).

use tektite_api::task::WhenExpression;
use tektite_protocol::cel;

use super::{Rules, text};
use crate::field_error::FieldError;

pub(super) fn check(rules: &mut Rules<'_>, when: &[WhenExpression], step: &str) {
    for (index, expression) in when.iter().enumerate() {
        let at = format!("{step}.when[{index}]");
        let WhenExpression {
            input,
            operator,
            values,
            cel,
        } = expression;
        if !cel.is_empty() {
            if !rules.config.flags.cel {
                rules.push(FieldError::new(
                    format!(
                        "feature flag enable-cel-in-whenexpression should be set to true to use CEL: {cel} in WhenExpression"
                    ),
                    at.clone(),
                ).with_note(format!("{at}: the cluster's operator allows CEL with `enable-cel-in-whenexpression: \"true\"` in ConfigMap feature-flags; else write input, operator and values")));
            } else if !(input.is_empty() && operator.is_empty() && values.is_empty()) {
                rules.push(
                    FieldError::pathless(format!(
                        "cel and input+operator+values cannot be set in one WhenExpression: {cel}"
                    ))
                    .with_note(format!("{at}: keep cel, or input, operator and values")),
                );
            }
            if let Err(error) = cel::check(cel) {
                let at = format!("{step}.when[{index}].cel");
                rules.push(
                    FieldError::new(
                        format!("invalid cel expression: {cel} with err: {error}"),
                        at.clone(),
                    )
                    .with_note(format!("{at}: \"{cel}\" does not compile, {error}")),
                );
            }
            continue;
        }
        if input.is_empty() && operator.is_empty() && values.is_empty() {
            rules.push(
                FieldError::missing(at.clone()).with_note(format!("{at}: write input, operator and values")),
            );
            continue;
        }
        if !matches!(operator.as_str(), "in" | "notin") {
            let note = format!(
                "{at}.operator: {}",
                text::suggestion(operator, ["in", "notin"], "operators")
            );
            rules.push(
                FieldError::invalid(
                    format!("operator \"{operator}\" is not recognized. valid operators: in,notin"),
                    at.clone(),
                )
                .with_note(note),
            );
        }
        if values.is_empty() {
            let note =
                format!("{at}.values: the texts that input \"{input}\" is compared with, one at least");
            rules.push(FieldError::invalid("expecting non-empty values field", at).with_note(note));
        }
    }
}
