//! The lab's S3 server, in a thread of this process, with its objects in a directory of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use lab::{StoreKey, StoreServer};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const ID: &str = "AKIDOFTHETESTS";
pub const SECRET: &str = "s3cr3t-of-the-tests-8f1b";
pub const BUCKET: &str = "reports";

pub struct Server {
    root: TempDir,
    pub address: SocketAddr,
    /// Ends the server with this value.
    pub runtime: Runtime,
    _store: StoreServer,
}

impl Server {
    pub fn start() -> Self {
        Self::with(false)
    }

    /// A server whose requests are atomic.
    pub fn atomic() -> Self {
        Self::with(true)
    }

    fn with(atomic: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let key = StoreKey { id: ID.to_owned(), secret: SECRET.to_owned() };
        let store =
            runtime.block_on(StoreServer::start(root.path(), &[BUCKET], key, atomic)).unwrap();
        Self { root, address: store.address(), runtime, _store: store }
    }

    /// Where the bucket's objects lie.
    pub fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// What the server keeps of an object beside its bytes.
    pub fn attributes(&self, key: &str) -> serde_json::Value {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let name = format!(".bucket-{}.object-{}.metadata.json", encode(BUCKET), encode(key));
        serde_json::from_slice(&std::fs::read(self.root.path().join(name)).unwrap()).unwrap()
    }
}
