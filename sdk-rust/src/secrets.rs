use std::collections::BTreeMap;
use std::fmt;

/// The secrets of a task, by the names that the step gives them. What it shows of itself is the names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretValues(BTreeMap<String, Vec<u8>>);

impl SecretValues {
    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let each = self.0.iter();
        each.map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether the task has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn insert(&mut self, name: String, value: Vec<u8>) {
        self.0.insert(name, value);
    }
}

impl FromIterator<(String, Vec<u8>)> for SecretValues {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(all: I) -> SecretValues {
        SecretValues(all.into_iter().collect())
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::TestTask;
    use crate::{Driver, Task};
    use serde_json::json;

    /// No value is shown, as text or as the numbers of its bytes.
    #[track_caller]
    fn hides(shown: &str) {
        assert!(
            !shown.contains("hunter22") && !shown.contains("104"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn nothing_of_a_task_shows_its_secrets() {
        let driver = Driver::new("d").action("a", async |task: Task| {
            hides(&format!("{task:?} {task:#?}"));
            hides(&format!("{:?} {:?}", task.log, task.log.masker()));
            hides(&format!("{:#?}", task.secrets));
            assert_eq!(format!("{:?}", task.secrets), r#"{"TOKEN"}"#);
            assert_eq!(task.secrets.get("TOKEN"), Some(b"hunter22".as_slice()));
            Ok(json!({}))
        });
        let task = TestTask::new("a").secret("TOKEN", "hunter22");
        hides(&format!("{task:?} {task:#?}"));
        assert!(format!("{task:?}").contains("TOKEN"));
        let run = task.run(&driver).await;
        assert!(run.result.is_ok(), "{:?}", run.result);
        hides(&format!("{run:?}"));
    }
}
