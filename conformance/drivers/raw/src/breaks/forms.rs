//! JSON that has not the forms of the contract's table (R69).

use super::{Break, Breaks};
use serde_json::Value as Json;

impl Breaks {
    /// Writes a part of a call's body in another form.
    pub(crate) fn misform(self, body: &mut Json) {
        let (place, other): (&str, fn(&Json) -> Json) = match self.0 {
            Some(Break::OtherAlphabet) => ("/checkpoint/data", |data| {
                let data = data.as_str().unwrap_or_default();
                data.replace('+', "-").replace('/', "_").into()
            }),
            Some(Break::DetailsAsText) => ("/report/result/failure/details", |details| {
                details.to_string().into()
            }),
            _ => return,
        };
        if let Some(value) = body.pointer_mut(place) {
            *value = other(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_writes_its_own_part_otherwise_and_nothing_else() {
        let said = || json!({"checkpoint": {"token": "+/8=", "data": "+/8="}});
        let with = |switch: &str| {
            let mut body = said();
            Breaks::named(switch).expect("a switch").misform(&mut body);
            body
        };
        assert_eq!(with(""), said());
        assert_eq!(with("r69-details-as-text"), said());
        assert_eq!(
            with("r69-other-alphabet"),
            json!({"checkpoint": {"token": "+/8=", "data": "-_8="}})
        );
        let mut body = json!({"report": {"result": {"failure": {"details": {"a": 1}}}}});
        let breaks = Breaks::named("r69-details-as-text").expect("a switch");
        breaks.misform(&mut body);
        assert_eq!(
            body,
            json!({"report": {"result": {"failure": {"details": "{\"a\":1}"}}}})
        );
    }
}
