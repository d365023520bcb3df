//! Who gets what: the subscriptions of all connections, and the messages retained for those to come.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use mqtt_proto::QoS;

use super::topic;

/// Topics that may hold a retained message.
const MOST_RETAINED: usize = 10_000;

/// Bytes of all retained messages and their topics.
const MOST_RETAINED_BYTES: usize = 64 * 1024 * 1024;

/// A client, by a number never used again.
pub(super) type Id = u64;

/// About what a level of a filter takes in the tree, beside its text: a node in a small table of its own.
const LEVEL_BYTES: usize = 6 * size_of::<Node>();

/// About what a subscription takes in memory, the subscriber's own note of it included, if nobody else has the same.
pub(super) fn most_bytes(filter: &str) -> usize {
    let levels = if topic::has_wildcard(filter) { filter.split('/').count() } else { 1 };
    2 * filter.len() + levels * LEVEL_BYTES
}

/// The subscribers of one filter, in order of their numbers.
#[derive(Debug, Default)]
struct Subscribers(Vec<(Id, QoS)>);

impl Subscribers {
    fn insert(&mut self, id: Id, qos: QoS) {
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(index) => self.0[index].1 = qos,
            Err(index) => self.0.insert(index, (id, qos)),
        }
    }

    fn remove(&mut self, id: Id) {
        if let Ok(index) = self.0.binary_search_by_key(&id, |(id, _)| *id) {
            self.0.remove(index);
        }
    }
}

/// One level of the tree of filters with wildcards.
#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    here: Subscribers,
    /// Subscribers of `#` on the next level; they get this level too.
    below: Subscribers,
}

impl Node {
    fn insert(&mut self, filter: &str, id: Id, qos: QoS) {
        let mut node = self;
        for level in filter.split('/') {
            node = match level {
                "#" => return node.below.insert(id, qos),
                "+" => node.any.get_or_insert_default(),
                _ => node.children.entry(level.into()).or_default(),
            };
        }
        node.here.insert(id, qos);
    }

    /// Removes a subscription and every branch that held nothing else.
    fn remove(&mut self, filter: Option<&str>, id: Id) {
        let Some(filter) = filter else { return self.here.remove(id) };
        let (level, rest) =
            filter.split_once('/').map_or((filter, None), |(level, rest)| (level, Some(rest)));
        match level {
            "#" => self.below.remove(id),
            "+" => {
                if let Some(any) = &mut self.any {
                    any.remove(rest, id);
                    if any.is_empty() {
                        self.any = None;
                    }
                }
            }
            _ => {
                if let Some(child) = self.children.get_mut(level) {
                    child.remove(rest, id);
                    if child.is_empty() {
                        self.children.remove(level);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.0.is_empty() && self.below.0.is_empty()
    }

    /// Collects the subscribers of all filters that match what is left of a topic. Every node is visited at most once.
    fn collect(&self, left: Option<&str>, wild: bool, found: &mut Vec<(Id, QoS)>) {
        if wild {
            found.extend_from_slice(&self.below.0);
        }
        let Some(left) = left else { return found.extend_from_slice(&self.here.0) };
        let (level, rest) = left.split_once('/').map_or((left, None), |(level, rest)| (level, Some(rest)));
        if let Some(child) = self.children.get(level) {
            child.collect(rest, true, found);
        }
        if wild && let Some(any) = &self.any {
            any.collect(rest, true, found);
        }
    }
}

/// Subscriptions of one kind. Filters without wildcards, by far the most, are found by one look-up.
#[derive(Debug, Default)]
struct Routes {
    exact: HashMap<Box<str>, Subscribers>,
    wild: Node,
}

impl Routes {
    /// Adds a subscription, or changes its quality. The filter is valid.
    fn subscribe(&mut self, id: Id, filter: &str, qos: QoS) {
        if topic::has_wildcard(filter) {
            return self.wild.insert(filter, id, qos);
        }
        match self.exact.get_mut(filter) {
            Some(subscribers) => subscribers.insert(id, qos),
            None => self.exact.entry(filter.into()).or_default().insert(id, qos),
        }
    }

    /// Removes a subscription, if there is one.
    fn unsubscribe(&mut self, id: Id, filter: &str) {
        if topic::has_wildcard(filter) {
            return self.wild.remove(Some(filter), id);
        }
        if let Some(subscribers) = self.exact.get_mut(filter) {
            subscribers.remove(id);
            if subscribers.0.is_empty() {
                self.exact.remove(filter);
            }
        }
    }

    /// Finds who gets a message on `topic`, each once, at the highest quality of all matching subscriptions.
    fn collect(&self, topic: &str, found: &mut Vec<(Id, QoS)>) {
        found.clear();
        if let Some(subscribers) = self.exact.get(topic) {
            found.extend_from_slice(&subscribers.0);
        }
        if self.wild.is_empty() {
            return;
        }
        let exact = found.len();
        // A filter that begins with a wildcard matches no topic that begins with `$`.
        self.wild.collect(Some(topic), !topic.starts_with('$'), found);
        if found.len() > exact && found.len() > 1 {
            found.sort_unstable_by_key(|(id, qos)| (*id, std::cmp::Reverse(*qos)));
            found.dedup_by_key(|(id, _)| *id);
        }
    }
}

/// Those who share a subscription.
#[derive(Debug, Default)]
struct Group {
    members: Subscribers,
    /// Whose turn it is.
    turn: Cell<usize>,
}

impl Group {
    /// The next in turn.
    fn next(&self) -> Option<(Id, QoS)> {
        let turn = self.turn.get() % self.members.0.len().max(1);
        self.turn.set(turn + 1);
        self.members.0.get(turn).copied()
    }
}

/// Shared subscriptions: of each group one gets a message, in turn.
#[derive(Debug, Default)]
struct Shared {
    /// Groups by number, as if each were a client.
    routes: Routes,
    groups: HashMap<Id, Group>,
    numbers: HashMap<Box<str>, Id>,
    last: Id,
}

impl Shared {
    /// `whole` is `$share/group/filter`.
    fn subscribe(&mut self, id: Id, whole: &str, filter: &str, qos: QoS) {
        let number = if let Some(number) = self.numbers.get(whole) {
            *number
        } else {
            self.last += 1;
            self.numbers.insert(whole.into(), self.last);
            self.routes.subscribe(self.last, filter, QoS::Level2);
            self.last
        };
        self.groups.entry(number).or_default().members.insert(id, qos);
    }

    fn unsubscribe(&mut self, id: Id, whole: &str, filter: &str) {
        let Some(number) = self.numbers.get(whole).copied() else { return };
        let Some(group) = self.groups.get_mut(&number) else { return };
        group.members.remove(id);
        if group.members.0.is_empty() {
            self.groups.remove(&number);
            self.numbers.remove(whole);
            self.routes.unsubscribe(number, filter);
        }
    }

    /// Adds to `found` one of each group that is to get a message on `topic`.
    fn collect(&self, topic: &str, found: &mut Vec<(Id, QoS)>) {
        if self.groups.is_empty() {
            return;
        }
        let mut groups = Vec::new();
        self.routes.collect(topic, &mut groups);
        let chosen = groups.into_iter().filter_map(|(number, _)| self.groups.get(&number)?.next());
        found.extend(chosen);
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Router {
    own: Routes,
    shared: Shared,
}

impl Router {
    /// Adds a subscription, or changes its quality. The filter is valid.
    pub(super) fn subscribe(&mut self, id: Id, filter: &str, qos: QoS) {
        match topic::shared(filter) {
            Some(shared) => self.shared.subscribe(id, filter, shared, qos),
            None => self.own.subscribe(id, filter, qos),
        }
    }

    /// Removes a subscription, if there is one.
    pub(super) fn unsubscribe(&mut self, id: Id, filter: &str) {
        match topic::shared(filter) {
            Some(shared) => self.shared.unsubscribe(id, filter, shared),
            None => self.own.unsubscribe(id, filter),
        }
    }

    /// Finds who gets a message on `topic`, each once, at the highest quality of all matching subscriptions; and besides one of each
    /// group that shares a subscription, even if it gets the message by one of its own too.
    pub(super) fn collect(&self, topic: &str, found: &mut Vec<(Id, QoS)>) {
        self.own.collect(topic, found);
        self.shared.collect(topic, found);
    }
}

/// A message kept for subscribers to come.
#[derive(Debug, Clone)]
pub(super) struct Retained {
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
}

/// The last retained message of every topic that has one.
#[derive(Debug, Default)]
pub(super) struct Archive {
    messages: BTreeMap<Box<str>, Retained>,
    bytes: usize,
}

impl Archive {
    /// Keeps a message in place of the topic's last one; an empty payload only removes that. A message of a new topic
    /// for which there is no room is not kept.
    pub(super) fn keep(&mut self, topic: &str, payload: &Bytes, qos: QoS) {
        if let Some(old) = self.messages.remove(topic) {
            self.bytes -= topic.len() + old.payload.len();
        }
        let size = topic.len() + payload.len();
        if payload.is_empty()
            || self.messages.len() >= MOST_RETAINED
            || self.bytes + size > MOST_RETAINED_BYTES
        {
            return;
        }
        self.bytes += size;
        self.messages.insert(topic.into(), Retained { payload: payload.clone(), qos });
    }

    /// Hands over every message whose topic a valid filter matches.
    pub(super) fn each(&self, filter: &str, mut hand_over: impl FnMut(&str, &Retained)) {
        if !topic::has_wildcard(filter) {
            if let Some((topic, retained)) = self.messages.get_key_value(filter) {
                hand_over(topic, retained);
            }
            return;
        }
        // What stands before the first wildcard bounds the part of the archive that is looked through.
        let prefix = filter.split(['+', '#']).next().unwrap_or_default();
        let parent = prefix.strip_suffix('/').filter(|parent| !parent.is_empty()).unwrap_or(prefix);
        let from: (std::ops::Bound<&str>, _) =
            (std::ops::Bound::Included(parent), std::ops::Bound::Unbounded);
        for (topic, retained) in self.messages.range::<str, _>(from) {
            if !topic.starts_with(parent) {
                break;
            }
            if topic::matches(filter, topic) {
                hand_over(topic, retained);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(router: &Router, topic: &str) -> Vec<(Id, QoS)> {
        let mut found = Vec::new();
        router.collect(topic, &mut found);
        found
    }

    #[test]
    fn a_client_with_overlapping_subscriptions_gets_a_message_once_at_the_best_quality() {
        let mut router = Router::default();
        router.subscribe(1, "a/b", QoS::Level0);
        router.subscribe(1, "a/+", QoS::Level2);
        router.subscribe(1, "#", QoS::Level1);
        router.subscribe(2, "a/b", QoS::Level1);
        router.subscribe(2, "a/b", QoS::Level0);
        assert_eq!(found(&router, "a/b"), [(1, QoS::Level2), (2, QoS::Level0)]);
        assert_eq!(found(&router, "x"), [(1, QoS::Level1)]);
        for filter in ["a/b", "a/+", "#", "never"] {
            router.unsubscribe(1, filter);
        }
        router.unsubscribe(2, "a/b");
        assert!(router.own.exact.is_empty() && router.own.wild.is_empty(), "{router:?}");
    }

    #[test]
    fn of_a_group_one_gets_a_message_in_turn_beside_those_who_subscribe_by_themselves() {
        let mut router = Router::default();
        for id in [1, 2, 3] {
            router.subscribe(id, "$share/crew/a/+", QoS::Level1);
        }
        router.subscribe(4, "$share/other/a/b", QoS::Level0);
        router.subscribe(1, "a/#", QoS::Level2);
        let turns: Vec<_> = (0..4).map(|_| found(&router, "a/b")).collect();
        for (turn, next) in turns.iter().zip([1, 2, 3, 1]) {
            let mut expected = vec![(1, QoS::Level2), (next, QoS::Level1), (4, QoS::Level0)];
            let mut turn = turn.clone();
            for list in [&mut turn, &mut expected] {
                list.sort_unstable_by_key(|(id, qos)| (*id, *qos as u8));
            }
            assert_eq!(turn, expected);
        }
        for id in [1, 2, 3] {
            router.unsubscribe(id, "$share/crew/a/+");
        }
        router.unsubscribe(4, "$share/other/a/b");
        assert_eq!(found(&router, "a/b"), [(1, QoS::Level2)]);
        assert!(router.shared.groups.is_empty() && router.shared.numbers.is_empty());
        assert!(router.shared.routes.exact.is_empty() && router.shared.routes.wild.is_empty());
    }

    #[test]
    fn the_archive_keeps_the_last_message_clears_on_empty_and_is_bounded() {
        let mut archive = Archive::default();
        let held = |archive: &Archive, filter: &str| {
            let mut held = Vec::new();
            archive.each(filter, |topic, retained| held.push((topic.to_owned(), retained.payload.clone())));
            held
        };
        archive.keep("a/b", &Bytes::from_static(b"1"), QoS::Level1);
        archive.keep("a/b", &Bytes::from_static(b"22"), QoS::Level1);
        archive.keep("a", &Bytes::from_static(b"3"), QoS::Level0);
        archive.keep("$s", &Bytes::from_static(b"4"), QoS::Level0);
        assert_eq!(held(&archive, "a/b"), [("a/b".into(), Bytes::from_static(b"22"))]);
        assert_eq!(held(&archive, "a/#").len(), 2, "`a/#` matches `a` too");
        assert_eq!(held(&archive, "#").len(), 2, "`#` leaves out `$s`");
        archive.keep("a/b", &Bytes::new(), QoS::Level0);
        assert!(held(&archive, "a/b").is_empty());
        for index in 0..MOST_RETAINED {
            archive.keep(&format!("many/{index}"), &Bytes::from_static(b"x"), QoS::Level0);
        }
        assert_eq!(archive.messages.len(), MOST_RETAINED);
        archive.keep("a", &Bytes::from_static(b"new"), QoS::Level0);
        assert_eq!(
            held(&archive, "a"),
            [("a".into(), Bytes::from_static(b"new"))],
            "known topics still change"
        );
        let mut archive = Archive::default();
        for index in 0..1_000 {
            archive.keep(&format!("{index:03}"), &Bytes::from(vec![0; 100_000]), QoS::Level0);
        }
        assert_eq!(archive.messages.len(), MOST_RETAINED_BYTES / 100_003);
        assert_eq!(archive.bytes, archive.messages.len() * 100_003);
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "+", "$x"]);
        (prop::collection::vec(level, 1..4), any::<bool>())
            .prop_map(|(levels, rest)| if rest { levels.join("/") + "/#" } else { levels.join("/") })
            .prop_map(|filter| if filter.is_empty() { "#".into() } else { filter })
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_the_rule_says_and_forgets_all_it_is_told_to(
            filters in prop::collection::vec((0u64..4, filter()), 1..20),
            topics in prop::collection::vec(filter().prop_map(|topic| topic.replace(['+', '#'], "a")), 1..20),
        ) {
            let (mut router, mut archive) = (Router::default(), Archive::default());
            for (id, filter) in &filters {
                router.subscribe(*id, filter, QoS::Level1);
            }
            for topic in &topics {
                archive.keep(topic, &Bytes::from_static(b"x"), QoS::Level0);
                let mut expected: Vec<Id> =
                    filters.iter().filter(|(_, filter)| topic::matches(filter, topic)).map(|(id, _)| *id).collect();
                expected.sort_unstable();
                expected.dedup();
                let found: Vec<Id> = found(&router, topic).into_iter().map(|(id, _)| id).collect();
                prop_assert_eq!(found, expected, "{} in {:?}", topic, filters);
            }
            for (_, filter) in &filters {
                let mut count = 0;
                archive.each(filter, |_, _| count += 1);
                prop_assert_eq!(count, archive.messages.keys().filter(|topic| topic::matches(filter, topic)).count());
            }
            for (id, filter) in &filters {
                router.unsubscribe(*id, filter);
            }
            prop_assert!(router.own.exact.is_empty() && router.own.wild.is_empty());
        }
    }
}
