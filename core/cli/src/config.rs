//! What a server is configured by: a file, the environment, and the options of `serve`.
//!
//! An option goes before the environment, the environment before the file, the file before the default.
//! Each setting has one name, `section.key`; its variable is `CONVEYOR_SECTION_KEY`.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `settings` | the table of all settings, and `Config` made of it |
//! | `kind` | what a setting may be |
//! | `file` | a file's settings with their places |
//! | `resolve` | which of them counts |
//! | `show` | the effective configuration, and the table of the documentation |

mod file;
mod kind;
mod resolve;
mod settings;
mod show;

pub(crate) use kind::LogFormat;
pub(crate) use resolve::{Given, resolve, strangers};
pub(crate) use settings::Config;
