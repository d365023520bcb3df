//! Answers of similar vectors: the nearest of the most recent ones, if it is near enough.

use std::sync::{Mutex, PoisonError};

use crate::reference::model::Key;
use crate::service::Semantic as Setup;

/// Most vectors that are compared with.
pub(super) const MOST: usize = 1_024;

#[derive(Debug, Clone, Copy)]
struct Point {
    coordinates: [i8; 4],
    score: f64,
}

/// The recent vectors of one model in one version.
#[derive(Debug, Default)]
struct Recent {
    version: u32,
    resolution: u8,
    points: Vec<Point>,
    /// Where the next one goes.
    turn: usize,
}

/// Answers of similar vectors.
#[derive(Debug)]
pub(super) struct SemanticCache {
    recent: Vec<Mutex<Recent>>,
    capacity: usize,
    epsilon: f64,
}

impl SemanticCache {
    pub(super) fn new(setup: Setup) -> Self {
        let recent = crate::reference::model::MODELS.iter().map(|_| Mutex::default()).collect();
        Self { recent, capacity: setup.vectors.clamp(1, MOST), epsilon: setup.epsilon }
    }

    /// The answer of the nearest vector within ε, by Euclidean distance; the more recent of two that are as near.
    pub(super) fn nearest(&self, key: &Key) -> Option<f64> {
        let recent = self.recent[usize::from(key.model)].lock().unwrap_or_else(PoisonError::into_inner);
        if recent.version != key.version || recent.resolution != key.vector.resolution {
            return None;
        }
        let here = key.vector.coordinates();
        let reach = (self.epsilon * f64::from(key.vector.resolution)).powi(2);
        let mut nearest: Option<(i32, usize)> = None;
        for (index, point) in recent.points.iter().enumerate() {
            let distance = square(here, point.coordinates);
            let age = |index: usize| (index + recent.points.len() - recent.turn) % recent.points.len();
            let nearer =
                nearest.is_none_or(|(best, at)| distance < best || distance == best && age(index) > age(at));
            if nearer && f64::from(distance) <= reach {
                nearest = Some((distance, index));
            }
        }
        nearest.map(|(_, index)| recent.points[index].score)
    }

    pub(super) fn insert(&self, key: Key, score: f64) {
        let mut recent = self.recent[usize::from(key.model)].lock().unwrap_or_else(PoisonError::into_inner);
        if recent.version != key.version || recent.resolution != key.vector.resolution {
            *recent = Recent { version: key.version, resolution: key.vector.resolution, ..Recent::default() };
        }
        let point = Point { coordinates: key.vector.coordinates(), score };
        if recent.points.len() < self.capacity {
            recent.points.push(point);
        } else {
            let turn = recent.turn;
            recent.points[turn] = point;
        }
        recent.turn = (recent.turn + 1) % self.capacity;
    }

    pub(super) fn clear(&self) {
        for recent in &self.recent {
            *recent.lock().unwrap_or_else(PoisonError::into_inner) = Recent::default();
        }
    }
}

fn square(one: [i8; 4], other: [i8; 4]) -> i32 {
    one.iter().zip(other).map(|(one, other)| (i32::from(*one) - i32::from(other)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::detector::Vector;

    fn key(coordinates: [i8; 4], version: u32) -> Key {
        let [level, innovation, shift, excess] = coordinates;
        Key {
            vector: Vector { margins: [level, innovation, shift], excess, resolution: 10 },
            model: 0,
            version,
        }
    }

    #[test]
    fn only_what_is_near_and_of_the_same_version_answers() {
        let semantic = SemanticCache::new(Setup { vectors: 8, epsilon: 0.5 });
        semantic.insert(key([0, 0, 0, 0], 1), 1.0);
        semantic.insert(key([10, 0, 0, 0], 1), 2.0);
        assert_eq!(semantic.nearest(&key([3, 4, 0, 0], 1)), Some(1.0), "5 steps of a tenth are 0.5");
        assert_eq!(semantic.nearest(&key([3, 4, 1, 0], 1)), None);
        assert_eq!(semantic.nearest(&key([8, 0, 0, 0], 1)), Some(2.0));
        assert_eq!(semantic.nearest(&key([0, 0, 0, 0], 2)), None);
        semantic.insert(key([50, 0, 0, 0], 2), 3.0);
        assert_eq!(semantic.nearest(&key([0, 0, 0, 0], 1)), None, "a new version forgets the old one");
    }

    proptest! {
        /// Held against sorting.
        #[test]
        fn the_nearest_of_the_most_recent_answers(
            points in proptest::collection::vec(any::<[i8; 4]>(), 1..60),
            here in any::<[i8; 4]>(),
        ) {
            let semantic = SemanticCache::new(Setup { vectors: 16, epsilon: 8.0 });
            for (index, point) in points.iter().enumerate() {
                semantic.insert(key(*point, 1), index as f64);
            }
            let recent = points.iter().enumerate().rev().take(16);
            let nearest = recent.map(|(index, point)| (square(here, *point), index)).min_by_key(|(d, i)| (*d, usize::MAX - i));
            let expected = nearest.filter(|(distance, _)| *distance <= 6_400).map(|(_, index)| index as f64);
            prop_assert_eq!(semantic.nearest(&key(here, 1)), expected);
        }
    }
}
