//! The one table of the pages: what is not in it does not exist.

use super::{
    Pages, Routes, account, approve, devices, layout, log, privacy, second, security, sign_in,
};
use axum::http::Method;
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;

/// Who gets a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anybody who knows the address.
    Nothing,
    /// Somebody who has shown a password, and owes the second factor.
    Half,
    /// Somebody who is signed in.
    Person,
}

/// A page, or what a form of one does.
pub struct Page {
    /// How it is asked for.
    pub method: Method,
    /// Where it is; `{…}` stands for one part of the path.
    pub path: &'static str,
    /// Who gets it: everybody else is sent to the sign-in, or told nothing.
    pub needs: Needs,
    handler: fn() -> MethodRouter<Arc<Pages>>,
}

type Handler = fn() -> MethodRouter<Arc<Pages>>;

const fn shows(path: &'static str, needs: Needs, handler: Handler) -> Page {
    Page { method: Method::GET, path, needs, handler }
}

const fn takes(path: &'static str, needs: Needs, handler: Handler) -> Page {
    Page { method: Method::POST, path, needs, handler }
}

/// Everything that is served.
pub static ROUTES: &[Page] = &[
    shows("/", Needs::Person, || get(devices::show)),
    shows("/approve", Needs::Person, || get(approve::show)),
    takes("/approve", Needs::Person, || post(approve::decide)),
    shows("/log", Needs::Person, || get(log::show)),
    shows("/security", Needs::Person, || get(security::show)),
    shows("/security/password", Needs::Person, || get(security::password::show)),
    takes("/security/password", Needs::Person, || post(security::password::change)),
    shows("/security/second-factor", Needs::Person, || get(security::factor::show)),
    takes("/security/second-factor", Needs::Person, || post(security::factor::switch_on)),
    takes("/security/second-factor/off", Needs::Person, || post(security::factor::switch_off)),
    shows("/security/recovery", Needs::Person, || get(security::factor::ask_recovery)),
    takes("/security/recovery", Needs::Person, || post(security::factor::make_recovery)),
    takes("/security/sign-out", Needs::Person, || post(security::browsers::sign_out)),
    takes("/security/trust", Needs::Person, || post(security::browsers::end_trust)),
    shows("/sign-in", Needs::Nothing, || get(sign_in::show)),
    takes("/sign-in", Needs::Nothing, || post(sign_in::sign_in)),
    shows("/sign-in/second", Needs::Half, || get(second::show)),
    takes("/sign-in/second", Needs::Half, || post(second::step)),
    takes("/sign-out", Needs::Person, || post(sign_in::sign_out)),
    shows("/welcome/{ticket}", Needs::Nothing, || get(sign_in::welcome)),
    takes("/welcome/{ticket}", Needs::Nothing, || post(sign_in::accept)),
    shows("/account", Needs::Person, || get(account::show)),
    takes("/account", Needs::Person, || post(account::save)),
    shows("/account/download", Needs::Person, || get(account::download::show)),
    takes("/account/download", Needs::Person, || post(account::download::take)),
    shows("/account/delete", Needs::Person, || get(account::leave::show)),
    takes("/account/delete", Needs::Person, || post(account::leave::leave)),
    shows("/privacy", Needs::Nothing, || get(privacy::show)),
    shows("/style.css", Needs::Nothing, || get(layout::style)),
];

/// The table as axum takes it.
pub(super) fn all() -> Routes {
    ROUTES.iter().fold(Routes::new(), |routes, page| routes.route(page.path, (page.handler)()))
}
