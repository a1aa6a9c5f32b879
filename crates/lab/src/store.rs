//! A real S3 server on loopback, which verifies signatures, with its objects in a directory: for
//! what would otherwise go to Spaces or R2. Owns the server; knows nothing of reports.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::LabError;

/// The bucket that stands for one of DigitalOcean Spaces.
pub const SPACES_BUCKET: &str = "spaces-reports";

/// The bucket that stands for one of Cloudflare R2.
pub const R2_BUCKET: &str = "r2-reports";

/// The one key that the server accepts.
#[derive(Debug, Clone)]
pub struct StoreKey {
    /// Its public part.
    pub id: String,
    /// Its secret part.
    pub secret: String,
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct StoreServer {
    address: SocketAddr,
    key: StoreKey,
    task: JoinHandle<()>,
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

impl StoreServer {
    /// Starts a server in the runtime that this is called in, on a port that the system picks. Each
    /// directory in `root` is a bucket; those named are made.
    ///
    /// With `atomic`, requests take turns, as every store's do that has conditional writes: the
    /// server underneath looks first and writes afterwards, and an object's bytes and attributes
    /// one after the other, so that of two at once both may succeed, or one see half of the other.
    ///
    /// # Errors
    ///
    /// [`LabError::File`] where a bucket cannot be made, [`LabError::Port`] where there is no port.
    pub async fn start(
        root: &Path,
        buckets: &[&str],
        key: StoreKey,
        atomic: bool,
    ) -> Result<Self, LabError> {
        for bucket in buckets {
            let path = root.join(bucket);
            std::fs::create_dir_all(&path).map_err(LabError::file("create", &path))?;
        }
        let files = s3s_fs::FileSystem::new(root).map_err(|error| {
            LabError::file("open", root)(std::io::Error::other(format!("{error:?}")))
        })?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(key.id.clone(), key.secret.clone()));
        let service =
            InTurn { service: service.build(), turns: atomic.then(Arc::<Mutex<()>>::default) };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(LabError::Port)?;
        let address = listener.local_addr().map_err(LabError::Port)?;
        let task = tokio::spawn(async move {
            // An error of one connection, or a moment without descriptors, is not the end.
            loop {
                let Ok((socket, _)) = listener.accept().await else {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                };
                let _ = socket.set_nodelay(true);
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Ok(Self { address, key, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The lines of a `config.env` that send both stores of the project here, and no other's.
    #[must_use]
    pub fn settings(&self) -> String {
        let (address, StoreKey { id, secret }) = (self.address, &self.key);
        format!(
            "# A store of the lab, in the place of every real one.\n\
             UPLOAD_TARGETS=\n\
             S3_ENABLED=false\n\
             DO_ENABLED=true\n\
             DO_BUCKET={SPACES_BUCKET}\n\
             DO_PREFIX=\n\
             DO_ENDPOINT=http://{address}\n\
             DO_PATH_STYLE=true\n\
             DO_SPACES_REGION=lab\n\
             DO_SPACES_KEY={id}\n\
             DO_SPACES_SECRET={secret}\n\
             R2_ENABLED=true\n\
             R2_BUCKET={R2_BUCKET}\n\
             R2_PREFIX=\n\
             R2_ENDPOINT=http://{address}\n\
             R2_PATH_STYLE=true\n\
             R2_ACCESS_KEY_ID={id}\n\
             R2_SECRET_ACCESS_KEY={secret}\n"
        )
    }
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
