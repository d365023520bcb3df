//! `expects` of a fleet: what the service promises of delivery.

use crate::language::{FieldValue, Fields, Reporter};
use crate::record::DeliveryGuarantee;

/// What the fleet expects of delivery.
pub(super) fn guarantee(fields: &Fields, silent: bool, report: &mut Reporter<'_>) -> DeliveryGuarantee {
    if silent {
        fields.refuse_given(&["expects"], report, "does not apply to a subscriber, which sends nothing");
    }
    let mut guarantee = DeliveryGuarantee::default();
    for (_, found) in fields.list("expects") {
        match found {
            FieldValue::Word("ordered") => guarantee.ordered = true,
            FieldValue::Word(word) => {
                guarantee.no_loss |= *word != "at-most-once";
                guarantee.no_duplicates |= *word != "at-least-once";
            }
            _ => {}
        }
    }
    guarantee
}
