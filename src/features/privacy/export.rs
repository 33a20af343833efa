//! Everything the hub holds, gathered page by page.

use crate::daemon::dial::Dial;
use crate::egress::catalogue::kept;
use crate::egress::outside::SendError;
use crate::wire::TO_HUB;
use crate::wire::label::printable;
use crate::wire::privacy::{self, MAX_PAGE, Page, Restrictable, Row};
use core::time::Duration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most pages that are taken: 400 bodies of 16 KiB hold some 35,000 visits, take about 40 MB of this box's
/// memory while they are printed, and fit into what a feature may send at once (`egress/budget.rs`).
pub(super) const MOST_PAGES: usize = 400;

/// The most time they may take: 400 pages over a line of one second each way fit in, and a hub that takes its
/// 15 s for each of them does not.
const LONGEST: Duration = Duration::from_secs(900);

/// All pages together.
#[derive(Debug, Default)]
pub struct Export {
    device: String,
    at: String,
    /// What is set aside, by the last page.
    pub(super) restricted: Vec<Restrictable>,
    /// The rows of each table, with the parcel that brought them.
    tables: BTreeMap<(String, String), Vec<Row>>,
}

/// Why there is no export.
#[derive(Debug)]
pub enum Stop {
    /// The hub did not answer, or said no.
    Send(SendError),
    /// The hub gave more pages than there can be, or took longer for them.
    Endless,
}

impl From<SendError> for Stop {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

/// Asks for page after page, for at most [`LONGEST`].
pub(super) async fn all(dial: &Dial) -> Result<Export, Stop> {
    tokio::time::timeout(LONGEST, pages(dial)).await.unwrap_or(Err(Stop::Endless))
}

async fn pages(dial: &Dial) -> Result<Export, Stop> {
    let mut export = Export::default();
    let mut ask = privacy::Export::default();
    for _ in 0..MOST_PAGES {
        let page: Page = dial.send(&ask).await?.read()?;
        match export.add(page) {
            None => return Ok(export),
            Some(next) if next.len() > MAX_PAGE || next == ask.page => return Err(Stop::Endless),
            Some(next) => ask.page = next,
        }
    }
    Err(Stop::Endless)
}

impl Export {
    /// Takes a page up, and gives the mark of the next one.
    pub(super) fn add(&mut self, page: Page) -> Option<String> {
        self.device = printable(&page.device, 64);
        self.at = page.at.rfc3339();
        self.restricted = page.restricted;
        for table in page.tables {
            let names = (printable(&table.table, 40), printable(&table.parcel, 40));
            self.tables.entry(names).or_default().extend(table.rows);
        }
        page.next
    }

    /// As it is printed: how long each table is kept is read from this device's own declarations.
    pub(super) fn json(&self, hub: Option<String>) -> Value {
        let tables: Vec<Value> =
            self.tables.iter().map(|(names, rows)| self.table(names, rows)).collect();
        let restricted: Vec<_> = self.restricted.iter().map(|feature| feature.name()).collect();
        json!({
            "device": self.device,
            "hub": hub,
            "at": self.at,
            "restricted": restricted,
            "tables": tables,
        })
    }

    fn table(&self, (table, parcel): &(String, String), rows: &[Row]) -> Value {
        let declared = TO_HUB.iter().find(|known| known.id == parcel);
        let feature = declared.map(|parcel| parcel.feature());
        let restricted = self.restricted.iter().any(|r| Some(r.name()) == feature);
        let rows: Vec<Value> = rows.iter().map(row).collect();
        json!({
            "table": table,
            "feature": feature,
            "parcel": parcel,
            "kept": declared.map_or_else(|| "not declared".into(), |parcel| kept(parcel.retention)),
            "restricted": restricted,
            "rows": rows,
        })
    }
}

fn row(row: &Row) -> Value {
    let mut data = row.data.clone();
    data.insert("until".into(), row.until.map(|until| until.rfc3339()).into());
    Value::Object(data)
}
