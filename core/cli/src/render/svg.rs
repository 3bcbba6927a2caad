//! What both pictures share: a plain SVG 1.1 document, readable without styles or scripts.

use super::human;
use std::fmt::Write;

/// Text.
pub(crate) const INK: &str = "#24292f";
/// Lesser text.
pub(crate) const FAINT: &str = "#57606a";
/// Lines that only guide the eye.
pub(crate) const RULE: &str = "#d8dee4";

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, sans-serif";

/// A picture that is being drawn, origin at the top left, in pixels.
#[derive(Debug)]
pub(crate) struct Picture {
    width: f64,
    height: f64,
    body: String,
}

/// A rectangle with round corners; all zero and black where nothing is said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rect<'a> {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) radius: f64,
    pub(crate) fill: &'a str,
    pub(crate) stroke: &'a str,
    /// More attributes, each with a space before it.
    pub(crate) more: &'a str,
    /// What it says when a pointer rests on it.
    pub(crate) title: Option<&'a str>,
}

impl Default for Rect<'_> {
    fn default() -> Self {
        Rect {
            x: 0.0,
            y: 0.0,
            width: 0.0,
            height: 0.0,
            radius: 0.0,
            fill: "none",
            stroke: "none",
            more: "",
            title: None,
        }
    }
}

/// About how wide a text is. Half of all glyphs of a sans-serif face are narrower.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let units: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'f' | 't' | ' ' => 0.36,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.92,
            'A'..='Z' => 0.68,
            c if c.is_ascii() => 0.58,
            _ => 0.8,
        })
        .sum();
    units * size
}

/// A number with one digit after the point, as short as it can be.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in human::printable(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 has no such characters, escaped or not.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

impl Picture {
    /// An empty picture.
    pub(crate) fn new(width: f64, height: f64) -> Picture {
        Picture {
            width,
            height,
            body: String::new(),
        }
    }

    /// Its height.
    pub(crate) fn height(&self) -> f64 {
        self.height
    }

    /// Text that begins at `x`, on the base line `y`.
    pub(crate) fn text(&mut self, x: f64, y: f64, size: f64, weight: &str, fill: &str, text: &str) {
        self.text_at("start", x, y, size, weight, fill, text);
    }

    /// Text with its middle at `x`.
    pub(crate) fn text_middle(
        &mut self,
        x: f64,
        y: f64,
        size: f64,
        weight: &str,
        fill: &str,
        text: &str,
    ) {
        self.text_at("middle", x, y, size, weight, fill, text);
    }

    #[expect(clippy::too_many_arguments, reason = "the attributes of one element")]
    fn text_at(
        &mut self,
        anchor: &str,
        x: f64,
        y: f64,
        size: f64,
        weight: &str,
        fill: &str,
        text: &str,
    ) {
        let anchor = match anchor {
            "start" => String::new(),
            anchor => format!(" text-anchor=\"{anchor}\""),
        };
        let _ = writeln!(
            self.body,
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\" font-weight=\"{weight}\" fill=\"{fill}\"{anchor}>{}</text>",
            number(x),
            number(y),
            number(size),
            escape(text)
        );
    }

    /// A line.
    pub(crate) fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, stroke: &str, width: f64) {
        let [x1, y1, x2, y2, width] = [x1, y1, x2, y2, width].map(number);
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>"
        );
    }

    /// A rectangle.
    pub(crate) fn rect(&mut self, rect: &Rect<'_>) {
        let Rect {
            x,
            y,
            width,
            height,
            radius,
            fill,
            stroke,
            more,
            title,
        } = rect;
        let [x, y, width, height, radius] = [*x, *y, *width, *height, *radius].map(number);
        let _ = write!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"{stroke}\"{more}"
        );
        match title {
            Some(title) => {
                let _ = writeln!(self.body, "><title>{}</title></rect>", escape(title));
            }
            None => self.body.push_str("/>\n"),
        }
    }

    /// Anything else.
    pub(crate) fn raw(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// The document.
    pub(crate) fn finish(self, title: &str) -> String {
        let (width, height) = (number(self.width.ceil()), number(self.height.ceil()));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"{FONT}\">\n<title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escape(title),
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_become_markup() {
        let mut picture = Picture::new(10.0, 10.0);
        picture.text(0.0, 0.0, 12.0, "400", INK, "</text><script>\u{1}&\"");
        let text = picture.finish("a<b");
        assert!(!text.contains("<script"), "{text}");
        assert!(
            text.contains("&lt;/text&gt;&lt;script&gt;·&amp;&quot;"),
            "{text}"
        );
        assert!(text.contains("<title>a&lt;b</title>"), "{text}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(3.0), "3");
        assert_eq!(number(3.26), "3.3");
    }
}
