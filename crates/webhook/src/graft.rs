//! Carrying a change from a typed object over to the object as it was sent. No I/O.
//!
//! A typed round trip drops fields that no type knows. Validation wants to see them, so defaults are
//! grafted onto the original instead: only what differs between the typed forms before and after is
//! touched.

use serde_json::Value;

/// Makes in `original` the change that leads from `before` to `after`.
pub fn graft(original: &mut Value, before: &Value, after: &Value) {
    match (original, before, after) {
        (_, before, after) if before == after => {}
        (Value::Object(original), Value::Object(before), Value::Object(after)) => {
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                original.remove(key);
            }
            for (key, new) in after {
                match (original.get_mut(key), before.get(key)) {
                    (Some(own), Some(old)) => graft(own, old, new),
                    (_, Some(old)) if old == new => {}
                    _ => {
                        original.insert(key.clone(), new.clone());
                    }
                }
            }
        }
        (Value::Array(original), Value::Array(before), Value::Array(after))
            if original.len() == before.len() && before.len() == after.len() =>
        {
            for (own, (old, new)) in original.iter_mut().zip(before.iter().zip(after)) {
                graft(own, old, new);
            }
        }
        (original, _, after) => *original = after.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_change_is_carried_over() {
        for (original, before, after, expected) in [
            (
                json!({"x": 1}),
                json!({}),
                json!({"a": 2}),
                json!({"x": 1, "a": 2}),
            ),
            (
                json!({"a": 1, "typo": 0}),
                json!({"a": 1, "b": 2}),
                json!({"b": 2}),
                json!({"typo": 0}),
            ),
            (
                json!({"l": [{"n": 1, "typo": 0}, {"n": 2}]}),
                json!({"l": [{"n": 1}, {"n": 2}]}),
                json!({"l": [{"n": 1, "t": "s"}, {"n": 2, "t": "s"}]}),
                json!({"l": [{"n": 1, "typo": 0, "t": "s"}, {"n": 2, "t": "s"}]}),
            ),
            (
                json!({"l": [1]}),
                json!({"l": [1]}),
                json!({"l": [1, 2]}),
                json!({"l": [1, 2]}),
            ),
            (
                json!({"v": 5}),
                json!({"v": "5"}),
                json!({"v": "5"}),
                json!({"v": 5}),
            ),
            (
                json!({"m": {"k": 1}}),
                json!({"m": {"k": 1}}),
                json!({"m": {"k": 1, "n": 2}}),
                json!({"m": {"k": 1, "n": 2}}),
            ),
        ] {
            let mut grafted = original.clone();
            graft(&mut grafted, &before, &after);
            assert_eq!(grafted, expected, "{original}");
        }
    }
}
