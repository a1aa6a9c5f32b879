//! The program: every store side by side, each by itself, and how it ends.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Task, UploadConfig};
use crate::config::Target;
use crate::err::{Cause, StoreError};
use crate::local::Snapshot;
use crate::notices::{self, BackupOptions};
use crate::progress::BarScreen;
use crate::store::{Manner, Store};
use crate::{check, prune, restore, runs, sync, words};

/// What the program takes from the machine.
#[derive(Debug, Clone, Copy)]
pub struct UploadMachine {
    /// A number of at least 0 and below 1, another each time.
    pub chance: fn() -> f64,
    /// The present time.
    pub now: fn() -> DateTime<Utc>,
    /// A number that nobody else has.
    pub random: u128,
}

/// Why nothing was done at all.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Something on this host.
    #[error("{0}")]
    Local(String),
    /// A fault of the program.
    #[error("{0}")]
    Internal(io::Error),
}

/// What is ready before any store is asked.
enum Prepared {
    Push(Box<Snapshot>, sync::SyncOptions, PathBuf),
    Check(u128),
    Prune(prune::Retention, bool),
    PushRun(Vec<runs::Packed>, bool),
    Pull(PathBuf, u32, bool),
    Restore(PathBuf, restore::RestoreOptions, PathBuf),
    Notices(PathBuf, bool),
}

/// Does the task with every target; gives back why each store that failed did so.
///
/// # Errors
///
/// [`UploadError`], where nothing was begun. What goes wrong with a store is in the log as well.
pub async fn run(
    config: UploadConfig,
    targets: Vec<Target>,
    machine: UploadMachine,
    screen: &BarScreen,
) -> Result<Vec<Cause>, UploadError> {
    let prepared = prepare(config.task, machine)?;
    let manner = Manner {
        policy: config.policy,
        timeout: config.timeout,
        chance: machine.chance,
        now: machine.now,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(UploadError::Internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(UploadError::Internal)?;
    for target in &targets {
        warn_of_plain_http(target);
    }
    // Two that fetch into one directory would fetch the same runs: one after the other.
    let stores = async {
        match &prepared {
            Prepared::Pull(..) | Prepared::Restore(..) | Prepared::Notices(..) => {
                let mut ended = Vec::new();
                for target in targets {
                    let name = target.name.clone();
                    let turn = turn(target, manner, &prepared, screen, config.quiet);
                    ended.push(within(config.deadline, &name, turn).await);
                }
                ended
            }
            _ => {
                let turns = targets.into_iter().map(async |target| {
                    let name = target.name.clone();
                    let turn = turn(target, manner, &prepared, screen, config.quiet);
                    within(config.deadline, &name, turn).await
                });
                join_all(turns).await
            }
        }
    };
    let ended = tokio::select! {
        ended = stores => ended,
        _ = terminate.recv() => vec![Some(interrupted("SIGTERM"))],
        _ = interrupt.recv() => vec![Some(interrupted("SIGINT"))],
    };
    Ok(ended.into_iter().flatten().collect())
}

fn interrupted(signal: &str) -> Cause {
    tracing::error!("{signal}: stopped; what was written is consistent, run again to go on");
    Cause::Deadline
}

fn warn_of_plain_http(target: &Target) {
    let Some(host) = target.endpoint.as_deref().and_then(|url| url.strip_prefix("http://")) else {
        return;
    };
    if !["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local)) {
        tracing::warn!("{}: http:// lets anybody on the way change what is sent", target.name);
    }
}

fn prepare(task: Task, machine: UploadMachine) -> Result<Prepared, UploadError> {
    Ok(match task {
        Task::Push { dir, options, notices } => {
            let snapshot =
                Snapshot::take(&dir).map_err(|error| UploadError::Local(error.to_string()))?;
            for (key, why) in &snapshot.skipped {
                tracing::debug!("{} is not published: {why}", record::printable(key));
            }
            Prepared::Push(Box::new(snapshot), options, notices)
        }
        Task::Check => Prepared::Check(machine.random),
        Task::Prune { retention, yes } => Prepared::Prune(retention, yes),
        Task::PushRun { runs, dry_run } => {
            let packed =
                runs.iter().map(|directory| runs::pack(directory)).collect::<Result<_, _>>();
            Prepared::PushRun(
                packed.map_err(|error| UploadError::Local(error.to_string()))?,
                dry_run,
            )
        }
        Task::Pull { root, days, dry_run } => Prepared::Pull(root, days, dry_run),
        Task::Restore { dir, options, notices } => Prepared::Restore(dir, options, notices),
        Task::Notices { notices, dry_run } => Prepared::Notices(notices, dry_run),
    })
}

/// Gives the store of this name so much time; gives back why it failed.
async fn within(
    deadline: Duration,
    name: &str,
    turn: impl Future<Output = Result<(), StoreError>>,
) -> Option<Cause> {
    let ended = tokio::time::timeout(deadline, turn).await.unwrap_or_else(|_| {
        let time = format!("{:.0} s are over", deadline.as_secs_f64());
        Err(StoreError::new("finish", Cause::Deadline, time))
    });
    let error = ended.err()?;
    tracing::error!("{name}: {error}");
    Some(error.cause)
}

async fn turn(
    target: Target,
    manner: Manner,
    prepared: &Prepared,
    screen: &BarScreen,
    quiet: bool,
) -> Result<(), StoreError> {
    let store = Store::open(target, manner).await?;
    // On the heap, here and below: nested, they grow beyond what the compiler lays out.
    let said = Box::pin(with(&store, prepared, screen)).await?;
    if !quiet {
        screen.print(&said);
    }
    Ok(())
}

/// Does the task with one store; gives back what to print.
async fn with(
    store: &Store,
    prepared: &Prepared,
    screen: &BarScreen,
) -> Result<String, StoreError> {
    let name = &store.target().name;
    Ok(match prepared {
        Prepared::Push(snapshot, options, directory) => {
            // First: a host that is made again knows what was told of a report, or more. What goes wrong
            // with it holds up no report.
            let sync::SyncOptions { dry_run, allow_older, .. } = *options;
            let backup =
                notices::push(store, directory, BackupOptions { dry_run, allow_older }).await;
            let outcome = sync::run(store, snapshot, *options, &screen.bar(name)).await?;
            let said = words::pushed(name, &outcome, dry_run, store.requests());
            said + &words::backup(name, backup?, dry_run)
        }
        Prepared::Notices(directory, dry_run) => {
            let options = BackupOptions { dry_run: *dry_run, allow_older: false };
            words::exchanged(name, notices::exchange(store, directory, options).await?, *dry_run)
        }
        Prepared::Check(random) => words::checked(name, check::run(store, *random).await?),
        Prepared::Prune(retention, yes) => {
            let chosen = prune::look(store, *retention).await?;
            if *yes {
                prune::remove(store, &chosen).await?;
            }
            words::pruned(name, &chosen, *yes)
        }
        Prepared::PushRun(packed, dry_run) => {
            let mut said = String::new();
            for packed in packed {
                let new = runs::push(store, packed, *dry_run).await?;
                said.push_str(&words::pushed_run(name, &packed.id, new, *dry_run));
            }
            said
        }
        Prepared::Restore(dir, options, directory) => {
            // First: where the memory is missing when reports are there, what fails already counts as told.
            let backup = notices::restore(store, directory, options.dry_run).await?;
            let restored = restore::run(store, dir, *options).await?;
            words::restored(name, &restored, options.dry_run)
                + &words::backup_back(name, backup, options.dry_run)
        }
        Prepared::Pull(root, days, dry_run) => {
            let pulled = runs::pull(store, root, *days, *dry_run).await?;
            for (id, why) in &pulled.refused {
                tracing::warn!("{name}: run {id} is not used: {why}");
            }
            words::pulled(name, &pulled.runs, *dry_run)
        }
    })
}
