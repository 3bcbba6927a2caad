//! What `${…}` stands for in the strings of a program.

use serde_json::Value;
use std::collections::BTreeMap;

/// What the words of a program may name.
pub(crate) struct Names<'a> {
    /// `${attempt}`: its number.
    pub(crate) attempt: u32,
    /// `${checkpoint}`: the text that the task came with, empty without one.
    pub(crate) checkpoint: &'a str,
    /// `${secret:NAME}`: the task's secrets, as text.
    pub(crate) secrets: &'a BTreeMap<String, String>,
}

/// Fills in each string of the value, however deep; names of fields stay as they are.
///
/// # Errors
/// A sentence about a secret that the task does not have. Other `${…}` stay as they are.
pub(crate) fn fill(value: &mut Value, names: &Names<'_>) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains("${") => *text = filled(text, names)?,
        Value::Array(values) => values.iter_mut().try_for_each(|value| fill(value, names))?,
        Value::Object(fields) => fields
            .values_mut()
            .try_for_each(|value| fill(value, names))?,
        _ => {}
    }
    Ok(())
}

fn filled(text: &str, names: &Names<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, behind)) = behind.split_once('}') else {
            out.push_str("${");
            rest = behind;
            break;
        };
        match (name, name.strip_prefix("secret:")) {
            ("attempt", _) => out.push_str(&names.attempt.to_string()),
            ("checkpoint", _) => out.push_str(names.checkpoint),
            (_, Some(secret)) => {
                let value = names.secrets.get(secret);
                out.push_str(value.ok_or_else(|| format!("the task has no secret `{secret}`"))?);
            }
            _ => out.extend(["${", name, "}"]),
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(mut value: Value) -> Result<Value, String> {
        let secrets = BTreeMap::from([("key".to_owned(), "s3cr3t".to_owned())]);
        let names = Names {
            attempt: 2,
            checkpoint: "half",
            secrets: &secrets,
        };
        fill(&mut value, &names).map(|()| value)
    }

    #[test]
    fn each_string_is_filled_in_however_deep() {
        let value =
            json!({"${attempt}": ["${attempt}/${checkpoint}", {"a": "x${secret:key}y"}, 3]});
        let wanted = json!({"${attempt}": ["2/half", {"a": "xs3cr3ty"}, 3]});
        assert_eq!(filled(value).expect("names that are there"), wanted);
    }

    #[test]
    fn what_is_no_name_stays() {
        for text in ["${other}", "$", "${", "a ${attempt", "$attempt", "{}"] {
            assert_eq!(filled(json!(text)).expect("no name"), json!(text));
        }
    }

    #[test]
    fn a_value_is_not_filled_in_again() {
        let secrets = BTreeMap::from([("key".to_owned(), "${attempt}".to_owned())]);
        let names = Names {
            attempt: 2,
            checkpoint: "${secret:key}",
            secrets: &secrets,
        };
        let mut value = json!("${checkpoint} ${secret:key}");
        fill(&mut value, &names).expect("names that are there");
        assert_eq!(value, json!("${secret:key} ${attempt}"));
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        assert_eq!(
            filled(json!("${secret:no}")),
            Err("the task has no secret `no`".to_owned())
        );
    }
}
