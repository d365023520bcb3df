//! The instances of a cluster and their devices, as the control API lists them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

/// The instances that live, as `GET /v1/connections` tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::reference) struct Instances {
    /// What this one calls itself.
    pub(in crate::reference) this: String,
    /// Those that were heard of lately, this one included, with the devices that spoke to them last.
    pub(in crate::reference) living: Vec<InstanceLoad>,
    /// How often a device came here that had spoken to another instance last: unless states move, it began anew.
    pub(in crate::reference) moved: u64,
    /// Which instance each device spoke to last.
    #[serde(skip)]
    pub(in crate::reference) places: Arc<HashMap<String, String>>,
}

/// An instance and how many devices it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::reference) struct InstanceLoad {
    pub(in crate::reference) instance: String,
    pub(in crate::reference) devices: usize,
}
