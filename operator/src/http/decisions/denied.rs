//! What is said where nothing may be shown.

use axum::http::StatusCode;

use super::html::Html;

/// What an answer of 401 asks for. With the first a browser asks its user for a name and a password.
pub(super) const CHALLENGES: [&str; 2] = [
    "Basic realm=\"obstack decisions: any name, and a token of the cluster as the password\", charset=\"UTF-8\"",
    "Bearer realm=\"obstack decisions\"",
];

/// Why nothing is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request brings no token.
    #[error(
        "bring a token: curl -H \"Authorization: Bearer $(kubectl -n NAMESPACE create token ACCOUNT)\" URL"
    )]
    NoToken,
    /// The API server does not know the token, or it has expired.
    #[error(
        "the API server does not accept this token; it may have expired: kubectl -n NAMESPACE create token ACCOUNT \
         makes a new one"
    )]
    BadToken,
    /// The token's holder may not ask for his own rights.
    #[error(
        "the holder of this token may not ask for his own rights: bind the ClusterRole system:basic-user to \
         him, as a new cluster does for everybody"
    )]
    MayNotAsk,
    /// The API server did not say what the token may see.
    #[error("the API server did not say what this token may see: {0}")]
    NoAnswer(String),
    /// The operator itself has not read what it would show.
    #[error("not read from the cluster yet: {0}")]
    NotRead(String),
}

impl Denied {
    /// Status code of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::MayNotAsk => StatusCode::FORBIDDEN,
            Self::NoAnswer(_) | Self::NotRead(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NoToken => "A token opens this page",
            Self::BadToken => "This token opens nothing",
            Self::MayNotAsk => "Not allowed to ask",
            Self::NoAnswer(_) | Self::NotRead(_) => "Nothing can be shown now",
        }
    }
}

/// The refusal as a page that says how to get in.
pub(super) fn render_denied(denied: &Denied) -> String {
    let mut html = Html::new();
    html.raw("<header class=\"top\"><h1>").raw(denied.title()).raw("</h1></header><main id=\"main\">");
    match denied {
        Denied::NoToken => {
            html.raw("<p>The decisions of a namespace are shown to whoever may get the stacks in it.</p>")
        }
        other => html.raw("<p>").words(other).raw(".</p>"),
    };
    if denied.status() == StatusCode::UNAUTHORIZED {
        html.raw(
            "<h2>In a browser</h2><p>Load the page again. Any name does; the password is the token that this prints:</p>\
             <pre>kubectl -n NAMESPACE create token ACCOUNT</pre>\
             <h2>At a terminal</h2>\
             <pre>curl -H &quot;Authorization: Bearer $(kubectl -n NAMESPACE create token ACCOUNT)&quot; URL</pre>\
             <h2>What the account needs</h2><p>This must say yes for each namespace that is to be shown:</p>\
             <pre>kubectl auth can-i get observabilitystacks -n NAMESPACE --as=system:serviceaccount:NAMESPACE:ACCOUNT</pre>",
        );
    }
    if denied.status() == StatusCode::SERVICE_UNAVAILABLE {
        html.raw("<p>Load the page again in a moment.</p>");
    }
    html.raw("</main>");
    html.page(denied.title())
}
