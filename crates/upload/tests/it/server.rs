//! A real S3 server, which verifies signatures, in a thread of this process, with its objects in a
//! directory of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

pub const ID: &str = "AKIDOFTHETESTS";
pub const SECRET: &str = "s3cr3t-of-the-tests-8f1b";
pub const BUCKET: &str = "reports";

pub struct Server {
    root: TempDir,
    pub address: SocketAddr,
    /// Ends the server with this value.
    pub runtime: Runtime,
}

/// A service that takes one request at a time, where it has turns.
#[derive(Clone)]
struct InTurn {
    service: S3Service,
    turns: Option<Arc<Mutex<()>>>,
}

impl Service<Request<Incoming>> for InTurn {
    type Response = <S3Service as Service<Request<Incoming>>>::Response;
    type Error = <S3Service as Service<Request<Incoming>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (service, turns) = (self.service.clone(), self.turns.clone());
        Box::pin(async move {
            let _turn = match turns {
                Some(turns) => Some(turns.lock_owned().await),
                None => None,
            };
            Service::<Request<Incoming>>::call(&service, request).await
        })
    }
}

impl Server {
    pub fn start() -> Self {
        Self::with(None)
    }

    /// A server whose requests are atomic, as those of every store are that has conditional writes;
    /// s3s-fs looks first and writes afterwards, and an object's bytes and attributes one after the
    /// other, so that of two at once both may succeed, or one see half of the other.
    pub fn atomic() -> Self {
        Self::with(Some(Arc::default()))
    }

    fn with(turns: Option<Arc<Mutex<()>>>) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(ID, SECRET));
        let service = InTurn { service: service.build(), turns };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { root, address, runtime }
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
