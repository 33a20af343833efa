//! `qcloud-hub access-log`.

use super::{Failure, desk, print};
use crate::card::Exit;
use crate::hub::store::access::Access;
use clap::ArgMatches;
use serde_json::json;

/// Shows the log: the one way its lines are opened.
pub(super) async fn access_log(args: &ArgMatches) -> Result<Exit, Failure> {
    let lines =
        desk::noted(args, "access-log").await?.access_log().await.map_err(|e| Failure::of(&e))?;
    let parts = lines.iter().map(|line| {
        let (from, door) = line.text.split_once(' ').unwrap_or((&line.text, ""));
        (line.made_at.rfc3339(), from, door)
    });
    if args.get_flag("json") {
        let all: Vec<_> =
            parts.map(|(at, from, door)| json!({"at": at, "from": from, "for": door})).collect();
        print(&format!("{}\n", json!({ "accesses": all })));
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        print("nothing is kept; [access_log] unmasked = true in hub.toml keeps it\n");
    }
    parts.for_each(|(at, from, door)| print(&format!("{at}  {from}  {door}\n")));
    Ok(Exit::Done)
}
