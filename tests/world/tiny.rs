//! Small features that only live here: one that is well, one that breaks, one that needs consent, one that is slow.

use core::time::Duration;
use qcloud_agent::card::{
    Caller, Card, Carriage, Destination, Field, Parcel, Purpose, Retention, Switch, Verb,
};
use qcloud_agent::clock::{Boot, Now};
use qcloud_agent::daemon::dial::Hands;
use qcloud_agent::daemon::feature::{
    Answer, Asker, BadConfig, Depth, Feature, Input, NoJob, Out, Section, Ticket,
};
use qcloud_agent::wire::{Body, ParcelBody, example_of};
use serde::{Deserialize, Serialize};
use serde_json::json;

const fn parcel(id: &'static str, path: &'static str, fields: &'static [Field]) -> Parcel {
    Parcel {
        id,
        what: "a parcel of a test",
        purpose: Purpose::Service,
        to: Destination::Hub,
        how: Carriage::Https { path, caller: Caller::Device },
        fields,
        retention: Retention::UntilDisabled,
        example: example_of::<Ping>,
    }
}

const CARD: Card = Card {
    name: "",
    promise: "does what a test needs",
    promises: &[],
    switch: Switch::OnOff,
    parcels: &[],
    forget: None,
    warnings: &[],
    verbs: &[],
};

const fn verb(name: &'static str) -> Verb {
    Verb { name, about: "a verb of a test", args: &[], top: false }
}

const WORD: &[Field] = &[Field {
    path: "word",
    why: "something to send",
    identifies: false,
    optional: false,
    secret: false,
}];
const NONCE: &[Field] = &[Field {
    path: "nonce",
    why: "comes back",
    identifies: false,
    optional: false,
    secret: false,
}];

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

macro_rules! body {
    ($name:ident, $parcel:ident, $($field:ident),+) => {
        #[derive(Serialize)]
        pub struct $name {
            $(pub $field: String),+
        }
        impl ParcelBody for $name {
            const PARCEL: &'static Parcel = &$parcel;
            fn example() -> Self {
                Self { $($field: "example".into()),+ }
            }
        }
    };
}

// ---- steady: sends something every minute, whatever the others do ----

static PING: Parcel = parcel("steady.ping", "/v1/steady/ping", WORD);
body!(Ping, PING, word);

pub struct Steady(Boot);

impl Feature for Steady {
    const CARD: Card = Card { name: "steady", parcels: &[&PING], ..CARD };
    type Config = Nothing;
    type Saved = Nothing;
    type Job = NoJob;
    type Note = NoJob;

    fn open(_: Nothing, _: Nothing, now: Now) -> Result<Self, BadConfig> {
        Ok(Self(now.boot + Duration::from_secs(60)))
    }

    fn handle(&mut self, input: Input<'_, NoJob>, now: Now, out: &mut Out<NoJob>) {
        if let Input::Wake = input {
            out.send(&Ping { word: "well".into() });
            self.0 = now.boot + Duration::from_secs(60);
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        Some((self.0, "say that it is well"))
    }

    fn save(&self) -> Nothing {
        Nothing {}
    }

    async fn work(job: NoJob, _: Hands<NoJob>) -> NoJob {
        job
    }
}

// ---- brittle: panics wherever its section of the configuration says ----

static KEEP: Parcel = parcel("brittle.keep", "/v1/brittle/keep", WORD);
static KEEP_NOT: Parcel = parcel("brittle.forget", "/v1/brittle/forget", NONCE);
body!(Forget, KEEP_NOT, nonce);

pub struct Brittle {
    at: String,
    wake: Option<Boot>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrittleConfig {
    panics_at: String,
}

impl Brittle {
    fn maybe(&self, place: &str) {
        assert!(self.at != place, "told to break at {place}");
    }
}

impl Feature for Brittle {
    const CARD: Card = Card {
        name: "brittle",
        parcels: &[&KEEP],
        forget: Some(&KEEP_NOT),
        verbs: &[verb("break")],
        ..CARD
    };
    type Config = BrittleConfig;
    type Saved = Nothing;
    type Job = ();
    type Note = ();

    fn open(config: BrittleConfig, _: Nothing, now: Now) -> Result<Self, BadConfig> {
        let wake = (config.panics_at == "wake").then(|| now.boot + Duration::from_secs(10));
        let brittle = Self { at: config.panics_at, wake };
        brittle.maybe("open");
        Ok(brittle)
    }

    fn handle(&mut self, input: Input<'_, ()>, _: Now, out: &mut Out<()>) {
        match input {
            Input::Opened(_) => {
                self.maybe("opened");
                if self.at == "job" {
                    out.run(());
                }
                if self.at == "save" {
                    out.save();
                }
            }
            Input::Wake => self.maybe("wake"),
            Input::Event(_) => self.maybe("event"),
            Input::Closing => self.maybe("closing"),
            Input::Verb { .. } => panic!("told to break by a person"),
            Input::Reply(..) | Input::Note(..) | Input::Done(..) => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        self.maybe("next_wake");
        self.wake.map(|at| (at, "break"))
    }

    fn save(&self) -> Nothing {
        self.maybe("save");
        Nothing {}
    }

    fn forget(_: &BrittleConfig, _: &Nothing, nonce: &str) -> Option<Body> {
        Some(Body::of(&Forget { nonce: nonce.into() }))
    }

    async fn work((): (), _: Hands<()>) {
        panic!("told to break at work");
    }

    fn report(&self, _: Depth, _: &mut Section) {
        self.maybe("report");
    }
}

// ---- curious: sends what needs consent, and what it never declared ----

pub static SHARE: Parcel =
    Parcel { purpose: Purpose::Improve, ..parcel("curious.share", "/v1/curious/share", WORD) };
/// The same parcel as a later version of the program declares it.
pub static SHARE_MORE: Parcel = Parcel {
    purpose: Purpose::Improve,
    what: "a parcel of a test, and now something more",
    ..parcel("curious.share", "/v1/curious/share", WORD)
};
static PLAIN: Parcel = parcel("curious.plain", "/v1/curious/plain", WORD);
body!(Share, SHARE, word);
body!(Hidden, PLAIN, word, serial);

#[derive(Serialize)]
struct Nested {
    word: serde_json::Value,
}
impl ParcelBody for Nested {
    const PARCEL: &'static Parcel = &PLAIN;
    fn example() -> Self {
        Self { word: json!([{ "deep": { "serial": "Q123" } }]) }
    }
}

pub struct Curious(Option<(Ticket, Asker)>);

impl Feature for Curious {
    const CARD: Card = Card {
        name: "curious",
        parcels: &[&SHARE, &PLAIN],
        verbs: &[verb("share"), verb("hide"), verb("nest")],
        ..CARD
    };
    type Config = Nothing;
    type Saved = Nothing;
    type Job = NoJob;
    type Note = NoJob;

    fn open(_: Nothing, _: Nothing, _: Now) -> Result<Self, BadConfig> {
        Ok(Self(None))
    }

    fn handle(&mut self, input: Input<'_, NoJob>, _: Now, out: &mut Out<NoJob>) {
        match input {
            Input::Verb { asker, name, .. } => {
                let ticket = match name {
                    "share" => out.send(&Share::example()),
                    "hide" => out.send(&Hidden::example()),
                    _ => out.send(&Nested::example()),
                };
                self.0 = Some((ticket, asker));
            }
            Input::Reply(ticket, result) => {
                if let Some((_, asker)) = self.0.take_if(|(asked, _)| *asked == ticket) {
                    let text = result.map_or_else(|e| e.to_string(), |_| "sent".into());
                    out.answer(asker, Answer::done(text, json!({})));
                }
            }
            Input::Opened(_)
            | Input::Wake
            | Input::Note(..)
            | Input::Done(..)
            | Input::Event(_)
            | Input::Closing => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        None
    }

    fn save(&self) -> Nothing {
        Nothing {}
    }

    async fn work(job: NoJob, _: Hands<NoJob>) -> NoJob {
        job
    }
}

// ---- slow: asks for something as it opens, and counts what it hears of it ----

static ASK: Parcel = parcel("slow.ask", "/v1/slow/ask", WORD);
body!(Ask, ASK, word);

#[derive(Default)]
pub struct Slow {
    heard: u64,
}

impl Feature for Slow {
    const CARD: Card = Card { name: "slow", parcels: &[&ASK], ..CARD };
    type Config = Nothing;
    type Saved = Nothing;
    type Job = ();
    type Note = ();

    fn open(_: Nothing, _: Nothing, _: Now) -> Result<Self, BadConfig> {
        Ok(Self::default())
    }

    fn handle(&mut self, input: Input<'_, ()>, _: Now, out: &mut Out<()>) {
        match input {
            Input::Opened(_) => {
                out.send(&Ask::example());
                out.run(());
            }
            Input::Reply(..) | Input::Note(..) | Input::Done(..) => self.heard += 1,
            Input::Wake | Input::Event(_) | Input::Verb { .. } | Input::Closing => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        None
    }

    fn save(&self) -> Nothing {
        Nothing {}
    }

    async fn work((): (), hands: Hands<()>) {
        hands.note(()).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        hands.note(()).await;
    }

    fn report(&self, _: Depth, section: &mut Section) {
        section.fact("heard", self.heard);
    }
}
