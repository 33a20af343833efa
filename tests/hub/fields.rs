//! What a parcel declares is what it needs, no more and no less.

use super::support::{Device, Hub};
use qcloud_agent::card::{Caller, Carriage, Parcel};
use qcloud_agent::clock::{Boot, Clock, Now, Wall};
use qcloud_agent::egress::gate::{Gate, Refused};
use qcloud_agent::egress::ledger::{Head, Ledger};
use qcloud_agent::egress::permit::Target;
use qcloud_agent::features::ALL;
use qcloud_agent::wire::{Body, TO_HUB};
use serde_json::Value;

/// Everything goes but for the fields.
fn gate() -> Gate {
    let now = Now { boot: Boot::default(), wall: Wall::default(), dice: 1 };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"test");
    let gate = Gate::new(Clock::from_fn(move || now), Ledger::new(Head::default(), key));
    ALL.iter().for_each(|row| gate.open(row.card));
    gate.set_hub(Some(Target { host: "hub.example.test".into(), port: 443 }));
    gate
}

fn https() -> impl Iterator<Item = (&'static Parcel, &'static str, Caller)> {
    TO_HUB.iter().filter_map(|parcel| match parcel.how {
        Carriage::Https { path, caller } => Some((*parcel, path, caller)),
        Carriage::Session | Carriage::Lookup | Carriage::Local => None,
    })
}

fn with(mut body: Value, field: &str) -> Value {
    body[field] = "Q123".into();
    body
}

fn without(mut body: Value, field: &str) -> Value {
    match field.split_once('.') {
        Some((list, member)) => body[list][0].as_object_mut().unwrap().remove(member),
        None => body.as_object_mut().unwrap().remove(field),
    };
    body
}

/// What is sent wherever there is one, and of which not every box has one.
const MAY_LACK: [(&str, &str); 1] = [("license.activate", "serial")];

/// Guard: `gate-fields`. The reader of each message at the hub is what fails without a field of it.
#[tokio::test]
async fn r1_a_parcel_carries_what_it_declares_and_needs_all_of_it() {
    let gate = gate();
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    for (parcel, path, _) in https() {
        let example = (parcel.example)();
        assert!(gate.pass(parcel.feature(), &Body::restored(parcel, example.clone())).is_ok());
        let more = Body::restored(parcel, with(example.clone(), "hull"));
        let refused = gate.pass(parcel.feature(), &more).err();
        assert_eq!(refused, Some(Refused::FieldNotDeclared(parcel.id, "hull".into())));

        let (status, answer) = device.post(&hub, path, &with(example.clone(), "hull")).await;
        assert_eq!((status, &answer["field"]), (400, &"hull".into()), "{}: {answer}", parcel.id);
        let lacks = |path| MAY_LACK.contains(&(parcel.id, path));
        for field in parcel.fields.iter().filter(|field| !field.optional && !lacks(field.path)) {
            let (status, answer) =
                device.post(&hub, path, &without(example.clone(), field.path)).await;
            assert_eq!(
                (status, &answer["field"]),
                (400, &field.path.split('.').next_back().unwrap().into()),
                "{} works without {}: {answer}",
                parcel.id,
                field.path
            );
        }
    }
}
