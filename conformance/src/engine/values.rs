//! What a case has saved, and the texts that name it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// `${name}`; `${{ … }}` of a document is none.
static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$\{([A-Za-z_][A-Za-z0-9_.:+-]*)\}").ok());

/// Whether `${…}` with this in it is a name, and no text of its own.
pub(super) fn is_name(text: &str) -> bool {
    let whole = format!("${{{text}}}");
    NAME.as_ref().is_some_and(|name| name.is_match(&whole))
}

/// Values by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(BTreeMap<String, Value>);

impl Values {
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// What stands under a name.
    ///
    /// # Errors
    /// A sentence, where nothing does.
    pub(super) fn get(&self, name: &str) -> Result<Value, String> {
        if let Some(value) = self.0.get(name) {
            return Ok(value.clone());
        }
        let number = |text: &str| text.parse::<usize>().ok();
        if let Some(count) = name.strip_prefix("long:").and_then(number) {
            return Ok("x".repeat(count).into());
        }
        if let Some(count) = name.strip_prefix("base64:").and_then(number) {
            return Ok(STANDARD.encode(vec![b'x'; count]).into());
        }
        if let Some(rest) = name.strip_prefix("now") {
            let offset = match rest {
                "" => Some(0),
                rest => rest.parse::<i64>().ok(),
            };
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |now| now.as_millis() as i64);
            if let Some(offset) = offset {
                return Ok((now + offset).into());
            }
        }
        Err(format!("nothing was saved as `{name}`"))
    }

    /// A text with what its names stand for.
    ///
    /// # Errors
    /// A sentence, where nothing was saved under one of them.
    pub(super) fn text(&self, text: &str) -> Result<String, String> {
        let mut wrong = None;
        let replaced = match &*NAME {
            Some(name) => {
                name.replace_all(text, |found: &Captures<'_>| match self.get(&found[1]) {
                    Ok(Value::String(text)) => text,
                    Ok(value) => value.to_string(),
                    Err(why) => {
                        wrong.get_or_insert(why);
                        String::new()
                    }
                })
            }
            None => text.into(),
        };
        match wrong {
            None => Ok(replaced.into_owned()),
            Some(why) => Err(why),
        }
    }

    /// Inline JSON of a case with what its names stand for; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub(super) fn json(&self, bytes: &[u8]) -> Result<Option<Value>, String> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let json: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        self.filled(&json).map(Some)
    }

    fn filled(&self, json: &Value) -> Result<Value, String> {
        match json {
            Value::String(text) => {
                let whole = NAME.as_ref().and_then(|name| name.captures(text));
                match whole.filter(|found| found[0].len() == text.len()) {
                    Some(found) => self.get(&found[1]),
                    None => self.text(text).map(Value::String),
                }
            }
            Value::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for item in items {
                    match (item.get("$repeat").and_then(Value::as_u64), item.get("of")) {
                        (Some(times), Some(of)) => {
                            let of = self.filled(of)?;
                            filled.extend((0..times).map(|_| of.clone()));
                        }
                        _ => filled.push(self.filled(item)?),
                    }
                }
                Ok(Value::Array(filled))
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(key, value)| Ok((self.text(key)?, self.filled(value)?)));
                fields
                    .collect::<Result<Map<_, _>, String>>()
                    .map(Value::Object)
            }
            other => Ok(other.clone()),
        }
    }

    /// Saves what stands at pointers.
    ///
    /// # Errors
    /// A sentence, where nothing stands at one of them.
    pub(super) fn save<'a>(
        &mut self,
        wanted: impl IntoIterator<Item = (&'a String, &'a String)>,
        of: &Value,
    ) -> Result<(), String> {
        for (name, pointer) in wanted {
            let value = of.pointer(pointer).ok_or_else(|| {
                format!(
                    "there is nothing at `{pointer}` to save as `{name}` in {}",
                    crate::like::short(of)
                )
            })?;
            self.set(name, value.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stand_for_what_was_saved() {
        let mut values = Values::default();
        values.set("a", "x");
        values.set("n", 3);
        let text = br#"{"${a}": "${a}-${n}", "n": "${n}", "e": "${{ a }}", "l": [{"$repeat": 2, "of": "${a}"}]}"#;
        let filled = values
            .json(text)
            .expect("all is saved")
            .expect("it is there");
        assert_eq!(
            filled,
            json!({"x": "x-3", "n": 3, "e": "${{ a }}", "l": ["x", "x"]})
        );
        assert_eq!(values.text("${long:3}"), Ok("xxx".to_owned()));
        let later = values.get("now+5000").expect("it is an instant");
        assert!(later.as_i64() > values.get("now").expect("so is it").as_i64());
        assert_eq!(
            values.text("${b}"),
            Err("nothing was saved as `b`".to_owned())
        );
        let saved = values.save([(&"c".to_owned(), &"/c".to_owned())], &json!({}));
        assert!(saved.is_err_and(|why| why.contains("nothing at `/c`")));
    }
}
