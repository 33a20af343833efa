//! Somebody in front of a browser: finds things by what they are called, presses them, types, and reads.

use crate::common::net::Place;
use crate::common::process::until;
use crate::pipe::{Pipe, SOON};
use crate::watch::Watch;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A browser with one page, and who uses it.
pub struct Person {
    /// The page itself.
    pub pipe: Pipe,
    /// What the page did.
    pub watch: Watch,
}

/// Something on the page, as assistive technology has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// `button`, `textbox`, `link` …
    pub role: String,
    /// What it is called.
    pub name: String,
    node: i64,
}

impl Person {
    /// Opens a browser at a place, with its profile below `dir`.
    pub fn new(place: &Place, dir: &Path, flags: &[String]) -> Self {
        let mut pipe = Pipe::start(place, dir, flags);
        for domain in ["Page", "DOM", "Accessibility", "Network", "Log", "Runtime", "Audits"] {
            pipe.call(&format!("{domain}.enable"), json!({}));
        }
        pipe.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        let mut person = Self { pipe, watch: Watch::default() };
        person.sit_before(1280, 800);
        person
    }

    /// Switches scripts off.
    pub fn without_scripts(&mut self) {
        self.pipe.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    }

    /// Gives the window this many CSS pixels.
    pub fn sit_before(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.pipe.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Prefers `light` or `dark`.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.pipe.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Goes to an address, and waits until the page is there.
    pub fn go(&mut self, url: &str) {
        self.take_notes();
        let gone = self.pipe.call("Page.navigate", json!({"url": url}));
        if let Some(error) = gone["errorText"].as_str() {
            // Chromium gives up a connection when a busy machine is late with something. People press "reload"; that
            // connections hold is the matter of other tests.
            self.pipe.event_within("Page.loadEventFired", Duration::from_secs(3));
            self.take_notes();
            let once_more = self.pipe.call("Page.navigate", json!({"url": url}));
            assert_eq!(once_more["errorText"], Value::Null, "{url}, after {error}");
        }
        self.arrive();
    }

    fn arrive(&mut self) {
        self.pipe.event("Page.loadEventFired");
        self.take_notes();
    }

    /// Passes what happened so far on to the watch.
    pub fn take_notes(&mut self) {
        for (method, params) in self.pipe.events() {
            self.watch.take(&method, &params);
        }
    }

    /// Where the page is.
    pub fn url(&mut self) -> String {
        let history = self.pipe.call("Page.getNavigationHistory", json!({}));
        let at = history["currentIndex"].as_u64().and_then(|at| usize::try_from(at).ok());
        let entry = &history["entries"][at.expect("a page")];
        entry["url"].as_str().expect("its address").into()
    }

    /// The path of the page, without its query.
    pub fn path(&mut self) -> String {
        let url = self.url();
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        format!("/{}", path.split(['?', '#']).next().unwrap_or_default())
    }

    /// Everything that is there, in the order it stands.
    pub fn things(&mut self) -> Vec<(Thing, Value)> {
        let tree = self.pipe.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().expect("a tree").clone();
        let find = |id: &Value| nodes.iter().find(|node| node["nodeId"] == *id);
        let mut found = Vec::new();
        let mut open: Vec<_> = nodes.first().into_iter().collect();
        while let Some(node) = open.pop() {
            let children = node["childIds"].as_array().map(Vec::as_slice).unwrap_or_default();
            open.extend(children.iter().rev().filter_map(find));
            if node["ignored"] != true {
                let text = |key: &str| node[key]["value"].as_str().unwrap_or_default().to_owned();
                let id = node["backendDOMNodeId"].as_i64().unwrap_or_default();
                found.push((
                    Thing { role: text("role"), name: text("name"), node: id },
                    node.clone(),
                ));
            }
        }
        found
    }

    /// The texts on the page, in the order they stand.
    pub fn texts(&mut self) -> Vec<String> {
        let is_text = |thing: &Thing| thing.role == "StaticText" && !thing.name.trim().is_empty();
        let things = self.things().into_iter().map(|(thing, _)| thing);
        things.filter(is_text).map(|thing| thing.name).collect()
    }

    /// All of them in one.
    pub fn text(&mut self) -> String {
        self.texts().join(" ")
    }

    /// Asserts that this can be read on the page.
    pub fn sees(&mut self, text: &str) {
        let seen = self.text();
        assert!(seen.contains(text), "`{text}` is not at {}: {seen}", self.url());
    }

    /// Asserts that this cannot.
    pub fn sees_no(&mut self, text: &str) {
        let seen = self.text();
        assert!(!seen.contains(text), "`{text}` is at {}: {seen}", self.url());
    }

    /// The things of this role and name.
    pub fn all(&mut self, role: &str, name: &str) -> Vec<Thing> {
        let things = self.things().into_iter().map(|(thing, _)| thing);
        things.filter(|thing| thing.role == role && thing.name == name).collect()
    }

    /// The one thing of this role and name.
    pub fn find(&mut self, role: &str, name: &str) -> Thing {
        let found = self.all(role, name);
        let [one] = found.as_slice() else {
            let there: Vec<_> = self
                .things()
                .into_iter()
                .map(|(t, _)| format!("{} `{}`", t.role, t.name))
                .collect();
            let there = there.join("\n");
            panic!("{} × {role} `{name}` at {}, where there is\n{there}", found.len(), self.url());
        };
        one.clone()
    }

    /// Presses a thing with the mouse, where it is.
    pub fn press(&mut self, role: &str, name: &str) {
        let thing = self.find(role, name);
        self.press_thing(&thing);
    }

    fn press_thing(&mut self, thing: &Thing) {
        let node = json!({"backendNodeId": thing.node});
        self.pipe.call("DOM.scrollIntoViewIfNeeded", node.clone());
        let quads = self.pipe.call("DOM.getContentQuads", node);
        let corners: Vec<f64> = quads["quads"][0]
            .as_array()
            .unwrap_or_else(|| panic!("{thing:?} is nowhere"))
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        let middle = |from: usize| (corners[from] + corners[from + 4]) / 2.0;
        for what in ["mousePressed", "mouseReleased"] {
            let (x, y) = (middle(0), middle(1));
            let event = json!({"type": what, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.pipe.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a thing that leads to another page, and waits until it is there.
    pub fn follow(&mut self, role: &str, name: &str) {
        self.take_notes();
        self.press(role, name);
        self.arrive();
    }

    /// The same, of one of several that are called the same.
    pub fn follow_thing(&mut self, thing: &Thing) {
        self.take_notes();
        self.press_thing(thing);
        self.arrive();
    }

    /// Types into a field, in place of what stands in it.
    pub fn fill(&mut self, role: &str, name: &str, text: &str) {
        self.press(role, name);
        self.key("", &["selectAll"]);
        self.insert(text);
    }

    /// Types where the focus is.
    pub fn insert(&mut self, text: &str) {
        self.pipe.call("Input.insertText", json!({"text": text}));
    }

    /// Presses Enter, which leads to another page, and waits until it is there.
    pub fn enter(&mut self) {
        self.take_notes();
        self.key("Enter", &[]);
        self.arrive();
    }

    /// Presses a key, with what an editor does of it.
    pub fn key(&mut self, key: &str, commands: &[&str]) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            " " => 32,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            " " => " ",
            _ => "",
        };
        for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
            let text = if kind == "keyUp" { "" } else { text };
            let event = json!({
                "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code,
                "commands": commands,
            });
            self.pipe.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The paths that links of the page lead to, of those on this origin.
    pub fn links(&mut self, origin: &str) -> Vec<String> {
        let property = |node: &Value| {
            let mut properties = node["properties"].as_array().into_iter().flatten();
            let url = properties.find(|property| property["name"] == "url")?;
            Some(url["value"]["value"].as_str()?.to_owned())
        };
        let urls = self.things().into_iter().filter_map(|(_, node)| property(&node));
        let paths = urls.filter_map(|url| url.strip_prefix(origin).map(String::from));
        paths.map(|path| path.split(['?', '#']).next().unwrap_or_default().to_owned()).collect()
    }

    /// What has the focus.
    pub fn focused(&mut self) -> Option<Thing> {
        let has = |node: &Value| {
            let mut properties = node["properties"].as_array().into_iter().flatten();
            properties.any(|p| p["name"] == "focused" && p["value"]["value"] == true)
        };
        let mut things = self.things().into_iter();
        let found = things.find(|(thing, node)| thing.role != "RootWebArea" && has(node));
        found.map(|(thing, _)| thing)
    }

    /// Everything that a keyboard must reach, in the order it stands.
    pub fn focusable(&mut self) -> Vec<Thing> {
        let can = |node: &Value| {
            let mut properties = node["properties"].as_array().into_iter().flatten();
            properties.any(|p| p["name"] == "focusable" && p["value"]["value"] == true)
        };
        let things = self.things().into_iter();
        let found = things.filter(|(thing, node)| thing.role != "RootWebArea" && can(node));
        found.map(|(thing, _)| thing).collect()
    }

    /// Loads pages until one says this.
    pub fn reload_until(&mut self, text: &str) {
        until(text, SOON, || {
            self.take_notes();
            self.pipe.call("Page.reload", json!({}));
            self.arrive();
            self.text().contains(text).then_some(())
        });
    }

    /// How many CSS pixels the page is wider than the window.
    pub fn overflow(&mut self) -> f64 {
        let metrics = self.pipe.call("Page.getLayoutMetrics", json!({}));
        let number = |value: &Value| value.as_f64().expect("a length");
        number(&metrics["cssContentSize"]["width"])
            - number(&metrics["cssLayoutViewport"]["clientWidth"])
    }

    /// Computes something beside the page, in a world of its own: neither sees the other's variables, and no policy
    /// of the page binds it.
    pub fn beside(&mut self) -> Beside<'_> {
        let frames = self.pipe.call("Page.getFrameTree", json!({}));
        let frame = frames["frameTree"]["frame"]["id"].clone();
        let world = json!({"frameId": frame, "worldName": "beside"});
        let world = self.pipe.call("Page.createIsolatedWorld", world);
        Beside { pipe: &mut self.pipe, context: world["executionContextId"].clone() }
    }
}

/// A world beside the page's.
pub struct Beside<'a> {
    pipe: &'a mut Pipe,
    context: Value,
}

impl Beside<'_> {
    /// The value of an expression, awaited.
    pub fn compute(&mut self, expression: &str) -> Value {
        let what = json!({
            "expression": expression, "contextId": self.context, "awaitPromise": true,
            "returnByValue": true,
        });
        let done = self.pipe.call("Runtime.evaluate", what);
        assert_eq!(done["exceptionDetails"], Value::Null);
        done["result"]["value"].clone()
    }
}
