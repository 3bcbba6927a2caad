//! What readers come back with, for `fuzz/` and the tests: parsed, and written again. No part of the API.

use crate::control::logs::cursor::Cursor;
use crate::control::read::Before;
use crate::control::watch::After;
use crate::wire::Page;

/// Where readers go on: the words of one of [`PLACES`].
pub type Place = fn(&str) -> Option<String>;

/// Every parser of a text that an earlier answer had, by name. Each gives the text again where it takes it.
pub const PLACES: [(&str, Place); 5] = [
    ("`Last-Event-ID` of a run's events", |text| {
        After::parse(text).map(|after| after.text())
    }),
    ("`Last-Event-ID` of a run's logs", |text| {
        Cursor::parse(text).map(|cursor| cursor.text())
    }),
    ("`page_token` of a run's steps", |text| {
        Page::parse(text).map(|(sequence, page)| page.token(sequence))
    }),
    ("`Last-Event-ID` of a namespace's events", |text| {
        let cursor = text.parse::<conveyor_node::feed::Cursor>();
        cursor.ok().map(|cursor| cursor.to_string())
    }),
    ("`page_token` of runs", |text| {
        Before::parse(text).map(|before| before.token())
    }),
];
