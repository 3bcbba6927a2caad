//! The text format of Prometheus, version 0.0.4.

use conveyor_node::metrics::Histogram;
use std::fmt::Write as _;

/// A text that is written metric by metric.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    name: &'static str,
}

impl Text {
    fn begin(&mut self, name: &'static str, about: &str, kind: &str) {
        self.name = name;
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {about}");
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
    }

    /// A figure that goes up and down; its values follow.
    pub(super) fn gauge(&mut self, name: &'static str, about: &str) {
        self.begin(name, about, "gauge");
    }

    /// A figure that only grows; its values follow.
    pub(super) fn counter(&mut self, name: &'static str, about: &str) {
        self.begin(name, about, "counter");
    }

    pub(super) fn value(&mut self, value: u64) {
        let _ = writeln!(self.text, "{} {value}", self.name);
    }

    /// A value that has this many decimal places.
    pub(super) fn decimal(&mut self, value: u64, places: usize) {
        let _ = writeln!(self.text, "{} {}", self.name, decimal(value, places));
    }

    pub(super) fn labelled(&mut self, label: &str, of: &str, value: u64) {
        let of = of
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', r"\n");
        let _ = writeln!(self.text, "{}{{{label}=\"{of}\"}} {value}", self.name);
    }

    /// Lengths of time, which are counted in microseconds.
    pub(super) fn seconds(&mut self, name: &'static str, about: &str, histogram: &Histogram) {
        self.histogram(name, about, histogram, 6);
    }

    /// Sizes.
    pub(super) fn bytes(&mut self, name: &'static str, about: &str, histogram: &Histogram) {
        self.histogram(name, about, histogram, 0);
    }

    fn histogram(&mut self, name: &'static str, about: &str, histogram: &Histogram, places: usize) {
        self.begin(name, about, "histogram");
        let (buckets, count, sum) = histogram.read();
        for (bound, below) in buckets {
            let bound = decimal(bound, places);
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(self.text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.text, "{name}_sum {}", decimal(sum, places));
        let _ = writeln!(self.text, "{name}_count {count}");
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// `2500` in microseconds is `0.0025` seconds.
fn decimal(value: u64, places: usize) -> String {
    let scale = 10_u64.pow(places as u32);
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let rest = format!("{rest:0places$}");
    format!("{whole}.{}", rest.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use conveyor_node::metrics::MICROSECONDS;

    #[test]
    fn microseconds_are_told_in_seconds() {
        assert_eq!(decimal(2_500, 6), "0.0025");
        assert_eq!(decimal(3_600_000_000, 6), "3600");
        assert_eq!(decimal(1_000_001, 6), "1.000001");
        assert_eq!(decimal(7, 0), "7");
    }

    #[test]
    fn a_histogram_is_cumulative() {
        let (histogram, mut text) = (Histogram::new(&MICROSECONDS), Text::default());
        histogram.observe(200);
        histogram.observe(90);
        text.seconds("x_seconds", "About.", &histogram);
        let text = text.finish();
        for line in [
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{le=\"0.0001\"} 1",
            "x_seconds_bucket{le=\"0.00025\"} 2",
            "x_seconds_bucket{le=\"+Inf\"} 2",
            "x_seconds_sum 0.00029",
            "x_seconds_count 2",
        ] {
            assert!(text.lines().any(|there| there == line), "{line}: {text}");
        }
    }

    #[test]
    fn a_label_is_escaped() {
        let mut text = Text::default();
        text.gauge("x", "About.");
        text.labelled("driver", "a\"b\\c\nd", 1);
        assert!(text.finish().contains(r#"x{driver="a\"b\\c\nd"} 1"#));
    }
}
