//! The cases by topic.

/// The table of a topic: each case by the function that finds it out, and why it differs where it does.
macro_rules! cases {
    ($group:literal: $($name:ident $(differs $why:literal)?),+ $(,)?) => {
        pub(super) const CASES: &[$crate::contract::Case] = &[$($crate::contract::Case {
            name: stringify!($name),
            group: $group,
            run: |scope| Box::pin($name(scope)),
            differs: cases!(@ $($why)?),
        }),+];
    };
    (@) => { None };
    (@ $why:literal) => { Some($why) };
}

mod access;
mod admission;
mod apply;
mod builtin;
mod collect;
mod custom;
mod defaults;
mod definitions;
mod deletion;
mod discovery;
mod errors;
mod kinds;
mod lists;
mod objects;
mod ownership;
mod patches;
mod requests;
mod scale;
mod tokens;
mod views;
mod watches;

pub(super) use definitions::install_ours;

/// Every topic's table.
pub(super) const TOPICS: &[&[super::Case]] = &[
    objects::CASES,
    errors::CASES,
    lists::CASES,
    views::CASES,
    watches::CASES,
    patches::CASES,
    scale::CASES,
    apply::CASES,
    ownership::CASES,
    deletion::CASES,
    collect::CASES,
    definitions::CASES,
    custom::CASES,
    builtin::CASES,
    kinds::CASES,
    admission::CASES,
    defaults::CASES,
    access::CASES,
    tokens::CASES,
    discovery::CASES,
    requests::CASES,
];

/// What cases are written with.
mod prelude {
    pub(super) use crate::contract::failure::{Check, Failure, brief, has, holds, is};
    pub(super) use crate::contract::objects::{
        balanced, config_map, deployment, fields, names, pod, service, version,
    };
    pub(super) use crate::contract::{Outcome, Scope};
    pub(super) use serde_json::{Value, json};
}
