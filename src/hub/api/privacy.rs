//! `privacy/export`, `privacy/fix` and `privacy/restrict`: the rights of the one whom the rows are about.

use super::refusal::Refusal;
use super::registration::{json, membership, taken};
use super::{Call, Reply};
use crate::clock::Wall;
use crate::hub::state::Hub;
use crate::hub::store::{Device, Kept, Renamed, StoreError};
use crate::hub::sweep::{RULES, Rule};
use crate::wire::MAX_BODY;
use crate::wire::label::Label;
use crate::wire::link::SESSION;
use crate::wire::privacy::{
    Export, Fix, MAX_PAGE, Page, Restrict, Restrictable, Restrictions, Row, Table,
};
use crate::wire::registration::CODE_LIFE;
use axum::http::StatusCode;
use core::time::Duration;
use serde_json::{Value, json as value};
use std::sync::Arc;

/// Bytes of rows in one page: what stands around them fits into the rest of a body.
const PAGE_BYTES: usize = MAX_BODY * 3 / 4;
/// Rows read at once; the shortest one takes more than a hundredth of a page.
const PAGE_ROWS: u64 = 128;

pub(super) fn export(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let ask: Export = call.read()?;
        let device = call.device()?;
        let (first, after) = place(&ask.page)?;
        let mut page = Page {
            device: device.id.clone(),
            at: hub.clock.now().wall,
            restricted: hub.restrictions.of(&device.id),
            tables: Vec::new(),
            next: None,
        };
        if ask.page.is_empty() {
            page.tables.push(session(&hub, device));
        }
        let mut room = PAGE_BYTES;
        let all = !crate::sabotage::off("hub-export");
        for (index, rule) in
            RULES.iter().enumerate().skip(first).filter(|(_, rule)| all && rule.parcel().is_some())
        {
            let after = if index == first { after } else { 0 };
            let (table, stopped) = table(&hub, device, rule, after, &mut room).await?;
            page.tables.push(table);
            if let Some(number) = stopped {
                page.next = Some(format!("{}.{number}", rule.table));
                break;
            }
        }
        json(&page)
    })
}

/// Where a page begins: the place of its table among the rules, and the number of the row before it.
fn place(page: &str) -> Result<(usize, u64), Refusal> {
    if page.is_empty() {
        return Ok((0, 0));
    }
    let bad = || {
        let error = "`page` is not the mark of a page";
        Refusal::new(StatusCode::BAD_REQUEST, error).field("page")
    };
    let (name, number) = page.split_once('.').filter(|_| page.len() <= MAX_PAGE).ok_or_else(bad)?;
    let index = RULES.iter().position(|rule| rule.table == name).ok_or_else(bad)?;
    Ok((index, number.parse().map_err(|_| bad())?))
}

/// The rows of one table that fit; where it stopped, when not all of them did.
async fn table(
    hub: &Hub,
    device: &Device,
    rule: &Rule,
    mut after: u64,
    room: &mut usize,
) -> Result<(Table, Option<u64>), Refusal> {
    let parcel = rule.parcel().map_or("", |parcel| parcel.id).to_owned();
    let mut table = Table { table: rule.table.into(), parcel, rows: Vec::new() };
    loop {
        let kept = hub.store.rows(device.clone(), rule.table, after, PAGE_ROWS).await?;
        if kept.is_empty() {
            return Ok((table, None));
        }
        for kept in kept {
            let number = kept.number;
            let row = row(kept, rule.keeps());
            let size = json(&row)?.to_string().len();
            if size > *room {
                return Ok((table, Some(after)));
            }
            *room -= size;
            after = number;
            table.rows.push(row);
        }
    }
}

/// A row with its times in words, and when it goes.
fn row(kept: Kept, keeps: Option<Duration>) -> Row {
    let mut data = kept.data;
    let made_at = data.get("made_at").and_then(Value::as_u64).map(Wall::from_unix_seconds);
    if let Some(made_at) = made_at {
        data.insert("made_at".into(), made_at.rfc3339().into());
    }
    let until = |keeps| made_at.map(|made_at| Wall(made_at.0.saturating_add(keeps)));
    Row { until: keeps.and_then(until), data }
}

/// What is known of a device only while its session stands, and written nowhere.
fn session(hub: &Hub, device: &Device) -> Table {
    let session = hub.presence.find(device.name.as_str());
    let rows = session.filter(|session| session.device.id == device.id).map(|session| {
        let from = session.connection.remote_address().ip().to_canonical();
        let row = value!({ "epoch": session.epoch, "address": from, "kept": "in memory only" });
        Row { until: None, data: row.as_object().cloned().unwrap_or_default() }
    });
    Table { table: "session".into(), parcel: SESSION.id.into(), rows: rows.into_iter().collect() }
}

pub(super) fn fix(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let Fix { name } = call.read()?;
        let id = &call.device()?.id;
        if hub.zone.read(|zone| zone.reserved(&name)) {
            return Err(not_this_one(format!("the name `{name}` is reserved by the hub")));
        }
        let _turn = hub.locks.of(id).await;
        let now = hub.clock.now().wall;
        let since = Wall(now.0.saturating_sub(CODE_LIFE));
        match hub.store.rename(id.clone(), name.clone(), since).await? {
            Renamed::Yes { device, before } => {
                if before != name {
                    moved(&hub, id, &before, name);
                }
                json(&membership(&hub, &device, now)?)
            }
            Renamed::NameTaken => {
                Err(not_this_one(format!("the name `{name}` belongs to another device")))
            }
        }
    })
}

fn not_this_one(error: String) -> Refusal {
    taken(error).hint("qcloud-agent privacy fix name another-name")
}

/// The name is another one everywhere before the device hears of it.
fn moved(hub: &Hub, id: &str, before: &Label, name: Label) {
    hub.presence.end(before.as_str(), "this device has another name now");
    tracing::info!(device = id, "a device's name was corrected");
    hub.zone.change(|zone| zone.rename(before, name));
}

pub(super) fn restrict(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let Restrict { feature, restricted } = call.read()?;
        let (_turn, device) = call.turn(&hub).await?;
        let now = hub.clock.now().wall;
        let all = hub.store.restrict(device.id.clone(), feature, restricted, now).await?;
        hub.restrictions.set(&device.id, &all);
        apply(&hub, &device, feature, restricted).await?;
        tracing::info!(device = %device.id, feature = feature.name(), restricted, "a restriction changed");
        json(&Restrictions { restricted: all })
    })
}

/// Stops the use of a feature's data, or takes it up again.
async fn apply(
    hub: &Hub,
    device: &Device,
    feature: Restrictable,
    restricted: bool,
) -> Result<(), StoreError> {
    match feature {
        Restrictable::Ddns => {
            let kept = hub.store.addresses(device.id.clone()).await?;
            let shown = kept.filter(|_| !hub.restrictions.has(&device.id, feature));
            hub.zone.change(|zone| zone.set(&device.name, shown));
        }
        // Visits under way end, and nothing more is written of them. The session may come back; visitors do not.
        Restrictable::Link if restricted => {
            hub.presence.forget(device.name.as_str(), "link is restricted");
        }
        Restrictable::Link => {}
    }
    Ok(())
}
