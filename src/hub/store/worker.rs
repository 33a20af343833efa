//! The thread that owns the database, and its group commit.
//!
//! All calls that wait while a commit runs go into the next one together: a disk that syncs 165 times a
//! second (measured on one machine's SSD with WAL and synchronous=FULL, 2026) then carries as many calls as
//! are asked, not 165. Each call runs in a savepoint of its own, so that one that fails takes back only
//! itself, and is answered only after the commit that holds it.

use super::StoreError;
use super::sqlite::engine;
use crate::hub::metrics;
use rusqlite::Connection;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The most calls in one commit: bounds how long the first of them waits.
const MOST: usize = 512;

/// What a call does to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Writes, and what it overwrites must be gone from the log file too.
    Erase,
}

/// A call on its way: its work, then its answer.
trait Call: Send {
    fn kind(&self) -> Kind;
    /// Runs the work. Whether it went well; what it came to is kept for the answer.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Answers; `lost` when the commit failed.
    fn answer(self: Box<Self>, lost: Option<StoreError>);
}

struct Typed<T, F> {
    kind: Kind,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Call for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn kind(&self) -> Kind {
        self.kind
    }

    fn run(&mut self, connection: &Connection) -> bool {
        let result = self.work.take().map_or(Err(StoreError::Closed), |work| work(connection));
        let went_well = result.is_ok();
        self.result = Some(result);
        went_well
    }

    fn answer(self: Box<Self>, lost: Option<StoreError>) {
        let result = match (lost, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Closed),
        };
        // Whoever asked may have gone; what was done stays done.
        let _ = self.reply.send(result);
    }
}

/// Sends calls to the thread. The thread ends when the last of these is dropped.
#[derive(Clone)]
pub struct Worker(Sender<Box<dyn Call>>);

impl Worker {
    /// Starts the thread.
    pub fn start(connection: Connection) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || serve(&connection, &receiver))?;
        Ok(Self(sender))
    }

    /// Runs `work` in a savepoint; the answer comes after the commit.
    pub async fn call<T, F>(&self, kind: Kind, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let begun = Instant::now();
        let (reply, answer) = oneshot::channel();
        let call = Typed { kind, work: Some(work), result: None, reply };
        self.0.send(Box::new(call)).map_err(|_| StoreError::Closed)?;
        let done = answer.await;
        let latency = match kind {
            Kind::Read => &metrics::READS,
            Kind::Write => &metrics::WRITES,
            Kind::Erase => &metrics::ERASURES,
        };
        latency.observe(begun.elapsed());
        done.map_err(|_| StoreError::Closed)?
    }
}

fn serve(connection: &Connection, calls: &Receiver<Box<dyn Call>>) {
    while let Ok(first) = calls.recv() {
        let mut batch = vec![first];
        batch.extend(calls.try_iter().take(MOST - 1));
        let kind = batch.iter().map(|call| call.kind()).max().unwrap_or(Kind::Read);
        let outcome = commit(connection, kind, &mut batch);
        let erased = kind == Kind::Erase && !crate::sabotage::off("hub-log-emptied");
        if outcome.is_ok() && erased {
            empty_log(connection);
        }
        let lost = outcome.err().map(|e| e.to_string());
        for call in batch {
            call.answer(lost.as_ref().map(|text| engine("commit", text.clone())));
        }
    }
}

fn commit(
    connection: &Connection,
    kind: Kind,
    batch: &mut [Box<dyn Call>],
) -> rusqlite::Result<()> {
    // Immediate: a writer that begins as a reader can lose its snapshot to another process and fail.
    let begin = if kind == Kind::Read { "BEGIN" } else { "BEGIN IMMEDIATE" };
    connection.execute_batch(begin)?;
    let outcome = run(connection, batch);
    let end = if outcome.is_ok() { connection.execute_batch("COMMIT") } else { outcome };
    if end.is_err() {
        // When even this fails the transaction was already gone.
        let _ = connection.execute_batch("ROLLBACK");
    }
    end
}

fn run(connection: &Connection, batch: &mut [Box<dyn Call>]) -> rusqlite::Result<()> {
    for call in batch {
        connection.execute_batch("SAVEPOINT call")?;
        let end = if call.run(connection) { "" } else { "ROLLBACK TO call; " };
        connection.execute_batch(&format!("{end}RELEASE call"))?;
    }
    Ok(())
}

/// Moves the write-ahead log into the database and cuts it to nothing, so that erased bytes are in neither.
fn empty_log(connection: &Connection) {
    let busy = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map_or_else(|e| Some(e.to_string()), |busy| (busy != 0).then(|| "a reader".into()));
    if let Some(reason) = busy {
        tracing::warn!(reason, "the write-ahead log was not emptied; the next erasure tries again");
    }
}
