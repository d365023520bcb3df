//! Who gets what: the subscriptions of all connections.

use std::cell::Cell;
use std::collections::HashMap;

use mqtt_proto::QoS;

use super::codec::packet::Options;
use super::topic;

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
struct Subscribers(Vec<(Id, Options)>);

impl Subscribers {
    fn insert(&mut self, id: Id, options: Options) {
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(index) => self.0[index].1 = options,
            Err(index) => self.0.insert(index, (id, options)),
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
    fn insert(&mut self, filter: &str, id: Id, options: Options) {
        let mut node = self;
        for level in filter.split('/') {
            node = match level {
                "#" => return node.below.insert(id, options),
                "+" => node.any.get_or_insert_default(),
                _ => node.children.entry(level.into()).or_default(),
            };
        }
        node.here.insert(id, options);
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
    fn collect(&self, left: Option<&str>, wild: bool, found: &mut Vec<(Id, Options)>) {
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
    fn subscribe(&mut self, id: Id, filter: &str, options: Options) {
        if topic::has_wildcard(filter) {
            return self.wild.insert(filter, id, options);
        }
        match self.exact.get_mut(filter) {
            Some(subscribers) => subscribers.insert(id, options),
            None => self.exact.entry(filter.into()).or_default().insert(id, options),
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

    /// Finds who gets a message on `topic` that client `from` has published, each once, as the matching subscription of the highest
    /// quality wants it.
    fn collect(&self, topic: &str, from: Option<Id>, found: &mut Vec<(Id, Options)>) {
        found.clear();
        if let Some(subscribers) = self.exact.get(topic) {
            found.extend_from_slice(&subscribers.0);
        }
        let exact = found.len();
        if !self.wild.is_empty() {
            // A filter that begins with a wildcard matches no topic that begins with `$`.
            self.wild.collect(Some(topic), !topic.starts_with('$'), found);
        }
        let may_repeat = found.len() > exact && found.len() > 1;
        // [MQTT-3.8.3-3]
        if let Some(from) = from {
            found.retain(|(id, options)| !(options.no_local && *id == from));
        }
        if may_repeat {
            found.sort_unstable_by_key(|(id, options)| (*id, std::cmp::Reverse(*options)));
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
    fn next(&self) -> Option<(Id, Options)> {
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
    fn subscribe(&mut self, id: Id, whole: &str, filter: &str, options: Options) {
        let number = if let Some(number) = self.numbers.get(whole) {
            *number
        } else {
            self.last += 1;
            self.numbers.insert(whole.into(), self.last);
            self.routes.subscribe(self.last, filter, Options::of(QoS::Level2));
            self.last
        };
        self.groups.entry(number).or_default().members.insert(id, options);
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
    fn collect(&self, topic: &str, found: &mut Vec<(Id, Options)>) {
        if self.groups.is_empty() {
            return;
        }
        let mut groups = Vec::new();
        self.routes.collect(topic, None, &mut groups);
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
    pub(super) fn subscribe(&mut self, id: Id, filter: &str, options: Options) {
        match topic::shared(filter) {
            Some(shared) => self.shared.subscribe(id, filter, shared, options),
            None => self.own.subscribe(id, filter, options),
        }
    }

    /// Removes a subscription, if there is one.
    pub(super) fn unsubscribe(&mut self, id: Id, filter: &str) {
        match topic::shared(filter) {
            Some(shared) => self.shared.unsubscribe(id, filter, shared),
            None => self.own.unsubscribe(id, filter),
        }
    }

    /// Finds who gets a message on `topic` that client `from` has published, each once, as the matching subscription of the highest
    /// quality wants it; and besides one of each group that shares a subscription, even if it gets the message by one of its own too.
    pub(super) fn collect(&self, topic: &str, from: Option<Id>, found: &mut Vec<(Id, Options)>) {
        self.own.collect(topic, from, found);
        self.shared.collect(topic, found);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(router: &Router, topic: &str) -> Vec<(Id, QoS)> {
        found_from(router, topic, None)
    }

    fn found_from(router: &Router, topic: &str, from: Option<Id>) -> Vec<(Id, QoS)> {
        let mut found = Vec::new();
        router.collect(topic, from, &mut found);
        found.into_iter().map(|(id, options)| (id, options.qos)).collect()
    }

    #[test]
    fn a_client_with_overlapping_subscriptions_gets_a_message_once_at_the_best_quality() {
        let mut router = Router::default();
        router.subscribe(1, "a/b", Options::of(QoS::Level0));
        router.subscribe(1, "a/+", Options::of(QoS::Level2));
        router.subscribe(1, "#", Options::of(QoS::Level1));
        router.subscribe(2, "a/b", Options::of(QoS::Level1));
        router.subscribe(2, "a/b", Options::of(QoS::Level0));
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
            router.subscribe(id, "$share/crew/a/+", Options::of(QoS::Level1));
        }
        router.subscribe(4, "$share/other/a/b", Options::of(QoS::Level0));
        router.subscribe(1, "a/#", Options::of(QoS::Level2));
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
    fn who_wants_nothing_of_its_own_gets_it_by_no_subscription_that_says_so() {
        let mut router = Router::default();
        let away = |qos| Options { no_local: true, ..Options::of(qos) };
        router.subscribe(1, "a", away(QoS::Level2));
        router.subscribe(1, "+", away(QoS::Level1));
        router.subscribe(2, "a", away(QoS::Level1));
        assert_eq!(found_from(&router, "a", Some(1)), [(2, QoS::Level1)]);
        assert_eq!(found_from(&router, "a", None), [(1, QoS::Level2), (2, QoS::Level1)]);
        router.subscribe(1, "#", Options::of(QoS::Level0));
        router.subscribe(1, "+/#", Options::of(QoS::Level0));
        assert_eq!(found_from(&router, "a", Some(1)), [(1, QoS::Level0), (2, QoS::Level1)]);
    }

    pub(in super::super) fn filter() -> impl Strategy<Value = String> {
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
            let mut router = Router::default();
            for (id, filter) in &filters {
                router.subscribe(*id, filter, Options::of(QoS::Level1));
            }
            for topic in &topics {
                let mut expected: Vec<Id> =
                    filters.iter().filter(|(_, filter)| topic::matches(filter, topic)).map(|(id, _)| *id).collect();
                expected.sort_unstable();
                expected.dedup();
                let found: Vec<Id> = found(&router, topic).into_iter().map(|(id, _)| id).collect();
                prop_assert_eq!(found, expected, "{} in {:?}", topic, filters);
            }
            for (id, filter) in &filters {
                router.unsubscribe(*id, filter);
            }
            prop_assert!(router.own.exact.is_empty() && router.own.wild.is_empty());
        }
    }
}
