//! The heartbeat: whether its address can be asked, and asking it. In words, without the address.

#[cfg(feature = "notices")]
pub(crate) fn check(address: &str) -> Result<(), String> {
    notify::heartbeat::check(address).map_err(|error| error.to_string())
}

#[cfg(feature = "notices")]
pub(crate) async fn beat(address: &str) -> Result<(), String> {
    notify::heartbeat::beat(address).await.map_err(|error| error.to_string())
}

#[cfg(not(feature = "notices"))]
pub(crate) fn check(_: &str) -> Result<(), String> {
    Err("this program was built without the client for it. Build it with: make build".to_owned())
}

#[cfg(not(feature = "notices"))]
pub(crate) async fn beat(address: &str) -> Result<(), String> {
    check(address)
}
