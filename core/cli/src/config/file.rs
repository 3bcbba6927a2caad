//! A file's settings, with their places.

use super::kind::Form;
use super::settings::{SETTINGS, setting};
use conveyor_engine::nearest;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longer files are none that a person wrote.
const FILE_BYTES: usize = 1 << 20;

/// The texts of a file's settings, and where each stands: `file:line:column`.
pub(super) type Texts = BTreeMap<&'static str, (String, String)>;

/// Reads a file's text.
///
/// # Errors
/// Each thing that is wrong, with its place.
pub(super) fn read(file: &str, text: &str) -> Result<Texts, Vec<String>> {
    if text.len() > FILE_BYTES {
        return Err(vec![format!(
            "{file}: the file has {} bytes; the limit is {FILE_BYTES}",
            text.len()
        )]);
    }
    let mut reading = Reading {
        file,
        text,
        texts: Texts::new(),
        problems: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => reading.table(table.get_ref(), ""),
        Err(error) => {
            let at = error.span().unwrap_or_default();
            reading.problem(&at, error.message());
        }
    }
    // A table has its keys in the order of their names.
    reading.problems.sort();
    match reading.problems.is_empty() {
        true => Ok(reading.texts),
        false => Err(reading
            .problems
            .into_iter()
            .map(|(_, problem)| problem)
            .collect()),
    }
}

struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    texts: Texts,
    /// By where each stands.
    problems: Vec<(usize, String)>,
}

impl Reading<'_> {
    fn table(&mut self, table: &DeTable<'_>, section: &str) {
        for (key, value) in table.iter() {
            let name = match section {
                "" => key.get_ref().to_string(),
                section => format!("{section}.{}", key.get_ref()),
            };
            match (setting(&name), value.get_ref()) {
                (Some(found), _) => self.setting(found, value),
                (None, DeValue::Table(inner))
                    if section.is_empty() && sections().any(|section| section == name) =>
                {
                    self.table(inner, &name);
                }
                _ if section.is_empty() && sections().any(|section| section == name) => {
                    self.no_table(&value.span(), &name);
                }
                _ => self.unknown(&key.span(), &name),
            }
        }
    }

    fn setting(
        &mut self,
        setting: &'static super::settings::Setting,
        value: &Spanned<DeValue<'_>>,
    ) {
        let read = match (setting.form, value.get_ref()) {
            (Form::Text, DeValue::String(text)) => Some(text.to_string()),
            (Form::Number, DeValue::Integer(number)) if number.radix() == 10 => {
                Some(number.as_str().to_owned())
            }
            (Form::Flag, DeValue::Boolean(flag)) => Some(flag.to_string()),
            _ => None,
        };
        let span = value.span();
        match read.filter(|text| (setting.fits)(text)) {
            Some(text) => {
                let place = self.place(&span);
                self.texts.insert(setting.name, (text, place));
            }
            None => {
                let found = self.text.get(span.clone()).unwrap_or_default();
                let found: String = found.chars().take(60).collect();
                let expected = (setting.expected)();
                let quotes = match setting.form {
                    Form::Text => ", in quotes",
                    Form::Number | Form::Flag => "",
                };
                let name = setting.name;
                self.problem(
                    &span,
                    &format!("`{name}` is {found}; expected {expected}{quotes}"),
                );
            }
        }
    }

    /// A section that is written as a setting.
    fn no_table(&mut self, span: &Range<usize>, name: &str) {
        let found = self.text.get(span.clone()).unwrap_or_default();
        let found: String = found.chars().take(60).collect();
        let keys = SETTINGS.iter().filter_map(|one| {
            let (section, key) = one.name.split_once('.')?;
            (section == name).then(|| format!("`{key}`"))
        });
        let keys: Vec<_> = keys.collect();
        let message = format!(
            "`{name}` is {found}; expected a table `[{name}]` with {}",
            keys.join(", ")
        );
        self.problem(span, &message);
    }

    fn unknown(&mut self, span: &Range<usize>, name: &str) {
        let known = SETTINGS.iter().map(|setting| setting.name);
        let mut message = format!("there is no setting `{name}`");
        match nearest(name, known.chain(sections())) {
            Some(near) => message.push_str(&format!("; did you mean `{near}`?")),
            None => message.push_str("; `conveyor serve --print-config` prints all"),
        }
        self.problem(span, &message);
    }

    fn problem(&mut self, span: &Range<usize>, message: &str) {
        let place = self.place(span);
        self.problems
            .push((span.start, format!("{place}: {message}")));
    }

    fn place(&self, span: &Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |line| line.chars().count())
            + 1;
        format!("{}:{line}:{column}", self.file)
    }
}

/// The names of the sections; each as often as it has settings.
fn sections() -> impl Iterator<Item = &'static str> {
    let named = SETTINGS
        .iter()
        .filter_map(|setting| setting.name.split_once('.'));
    named.map(|(section, _)| section)
}
