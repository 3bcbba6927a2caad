//! Errors inside of texts point at the very token, whatever style the text is written in.

use conveyor_engine::document::{Diagnostic, load};

/// Each `nope` with a number is an error of its own, in each style of text.
const STYLES: &str = r#"metadata: {name: p}
spec:
  vars:
    plain: ${{ nope1 }}
    folded plain: é é ${{ 1 }}
      ${{ nope2 }}

      and
    'single ''é''': '${{ 1 }} it''s

      ${{ nope3 }}'
    double: "😀 \"${{ 1 }}\" \u00e9\t \
       ${{ nope4 }}"
    literal: |
      not here, ${{ 'nor here' + run.actor
        + nope5 }}
    folding: >-
      é
      two ${{ 1 +

        nope6 }}
    "key ${{ nope7 }}": 1
    list: [a, "é${{ [1].map(x, nope8) }}"]
  steps:
    - id: a
      driver: d
      when: |
        true &&

          'é' == nope9.x
    - id: b
      driver: d
      needs:
        rule: >
          a.failed ||
          nope10.failed
    - id: c
      driver: d
      needs:
        rule: >2
            a.ok &&
            needs.nope11.failed
    - {id: e, driver: d, when: "vars.xyz\n  && \u006eope12"}
    - {id: f, driver: d, when: '1
         == nope13', needs: []}
    - id: g
      driver: d
      needs: [a, c]
      with:
        x: |-
          ${{ vars.xyz }}
          ${{ steps.nope14.outputs.x }}
        y: ${{ steps.a.nope15 }} ${{ steps
          .a.failure.nope16 }}
        z: "\
          ${{ needs['nope17'] }}"
    - id: h
      driver: d
      when: >+
        'é' ==
        'é' nope18

"#;

fn errors(file: &str, text: &str) -> Vec<Diagnostic> {
    load(file, text.as_bytes()).expect_err("a document that is refused")
}

/// Line and column of each of the names, by counting.
fn marks(text: &str) -> Vec<(u32, u32)> {
    let mut marks = Vec::new();
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        let escaped = line.match_indices("\\u006eope");
        for (at, _) in line.match_indices("nope").chain(escaped) {
            marks.push((number, line[..at].chars().count() as u32 + 1));
        }
    }
    marks
}

#[test]
fn an_error_points_at_its_token_in_every_style_of_text() {
    let expected = marks(STYLES);
    assert_eq!(expected.len(), 18);
    for (name, text) in [
        ("as it is", STYLES.to_owned()),
        ("with CRLF", STYLES.replace('\n', "\r\n")),
        ("with a byte-order mark", format!("\u{feff}{STYLES}")),
    ] {
        let errors = errors("p.yaml", &text);
        let found: Vec<(u32, u32)> = errors.iter().map(|e| (e.line, e.column)).collect();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{name}\n{}", shown.join("\n"));
    }
}

#[test]
fn the_caret_stands_below_the_token_of_a_block_with_letters_of_several_bytes() {
    let text = "metadata: {name: p}\nspec:\n  steps:\n    - id: a\n      driver: d\n      when: >\n        \
                'é' == 'ü'\n        && 'é' == input.x\n";
    let errors = errors("p.yaml", text);
    assert_eq!(
        errors[0].to_string(),
        "p.yaml:8:19: error: unknown name `input`\n  8 |         && 'é' == input.x\n    \
         |                   ^\n  at: /spec/steps/0/when\n  allowed: inputs, vars, run, resource, \
         event, steps, needs\n  did you mean: inputs"
    );
}

#[test]
fn json_escapes_move_no_column_and_a_byte_order_mark_is_none() {
    let text = "\u{feff}{\"metadata\": {\"name\": \"p\"}, \"spec\": {\"steps\": [{\"id\": \"a\", \
                \"driver\": \"d\", \"when\": \"'\\ud83d\\ude00\\u00e9' ==\\n\\tnope\"}]}}";
    let errors = errors("p.json", text);
    assert_eq!((errors[0].line, errors[0].column), marks(text)[0]);
    let first = self::errors("p.json", "\u{feff}[]");
    assert_eq!((first[0].line, first[0].column), (1, 1));
    assert_eq!(first[0].excerpt, "[]");
}

#[test]
fn a_long_line_is_cut_on_both_sides_with_the_caret_below_the_token() {
    let pad = "é".repeat(300);
    let text = format!(
        "metadata: {{name: p}}\nspec: {{steps: [{{id: a, driver: d, when: \"'{pad}' == nope && '{pad}' == ''\"}}]}}\n"
    );
    let printed = errors("p.yaml", &text)[0].to_string();
    let lines: Vec<&str> = printed.lines().collect();
    let (excerpt, caret) = (lines[1], lines[2]);
    assert!(
        excerpt.starts_with("  2 | …é") && excerpt.ends_with("é…"),
        "{printed}"
    );
    let below = caret.chars().position(|c| c == '^').expect("a caret");
    let token: String = excerpt.chars().skip(below).take(4).collect();
    assert_eq!(token, "nope", "{printed}");
    assert!(excerpt.chars().count() <= 126, "{printed}");
}
