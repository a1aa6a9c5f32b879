//! The heartbeat: an address that is asked after each published run, so that another machine notices when
//! this one does not run any more.

use std::time::Duration;

use reach::http::{HttpError, Reach, Target};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(15);

/// How long is waited before each further try.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];

/// Whether this can be the heartbeat's address.
///
/// # Errors
///
/// [`HttpError::Url`].
pub fn check(address: &str) -> Result<(), HttpError> {
    reach::http::check_address(address)
}

/// Asks the address; after a failure that may pass, again, up to three times. The address is a secret.
///
/// # Errors
///
/// [`HttpError`] of the last try, which does not tell the address.
pub async fn beat(address: &str) -> Result<(), HttpError> {
    beat_with(address, LIMIT, &PAUSES).await
}

async fn beat_with(address: &str, limit: Duration, pauses: &[Duration]) -> Result<(), HttpError> {
    // Whoever runs the service inside his own network named it himself.
    let target = Target::new(address, Reach::Named)?;
    let mut pauses = pauses.iter();
    loop {
        match (target.get(limit).await, pauses.next()) {
            (Ok(_), _) => return Ok(()),
            (Err(error), Some(pause)) if error.is_passing() => tokio::time::sleep(*pause).await,
            (Err(error), _) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
