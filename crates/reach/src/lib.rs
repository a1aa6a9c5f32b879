//! Requests to other people's servers, and which of them are spoken to. Knows nothing of what is asked for.

pub mod http;
#[cfg(any(test, feature = "script"))]
pub mod script;
