//! Merging: the records of shards go once more through the code that writes a run.

mod by_hand;
pub(super) mod event;

use std::io;
use std::sync::Arc;

use self::by_hand::HandActivations;
use self::event::EventError;
use crate::clock::Tick;
use crate::record::{RunToken, SwitchLog};
use crate::results::collect::interval::IntervalReport;
use crate::results::collect::pipeline::IntervalPipeline;
use crate::results::collect::run_files::RunFiles;
use crate::results::collect::total::Totals;
use crate::results::files::shard::{ShardError, ShardFile};

/// Why shards could not be merged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// A record cannot be read.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A file of the merged run cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The events of the shards cannot be added up.
    #[error(transparent)]
    Event(#[from] EventError),
    /// There is nothing to merge, or the shards are of different layouts.
    #[error("the shards are not of one run")]
    Foreign,
}

/// Adds the records of `shards`, which have one layout and share `token`, interval by interval, each counted from its own beginning;
/// writes what an ordinary run writes, tells `on_interval`, and gives the totals. Holds the interval of one shard at a time.
///
/// # Errors
/// If a record cannot be read, a file cannot be written, or layouts differ.
pub(crate) fn merge(
    shards: &mut [ShardFile],
    token: Option<RunToken>,
    files: &mut RunFiles,
    mut on_interval: impl FnMut(&IntervalReport),
) -> Result<Totals, MergeError> {
    let layout = shards.first().map(|shard| shard.header().layout.clone()).ok_or(MergeError::Foreign)?;
    if shards.iter().any(|shard| shard.header().layout != layout) {
        return Err(MergeError::Foreign);
    }
    let (log, mut hands) = (SwitchLog::default(), HandActivations::default());
    let mut pipeline = IntervalPipeline::new(Arc::new(layout), log.clone());
    pipeline.name(token);
    loop {
        let numbers = shards.iter_mut().map(ShardFile::next_number).collect::<Result<Vec<_>, _>>()?;
        let Some(number) = numbers.iter().flatten().copied().min() else { break };
        let (mut end, mut whole) = (Tick::ZERO, None);
        for (nth, (shard, _)) in
            shards.iter_mut().zip(numbers).enumerate().filter(|(_, (_, next))| *next == Some(number))
        {
            let Some(part) = shard.interval()? else { continue };
            end = end.max(part.end);
            let mut batch = whole.take().unwrap_or_else(|| pipeline.blank());
            pipeline.add(&mut batch, &part.batch);
            whole = Some(batch);
            part.switches.into_iter().for_each(|switch| log.note(hands.of(nth, switch)));
        }
        if let Some(batch) = whole {
            pipeline.write(number, end, batch, files, &mut on_interval)?;
        }
    }
    for (nth, shard) in shards.iter_mut().enumerate() {
        let Some(ended) = shard.ended.take() else { continue };
        ended.switches.into_iter().for_each(|switch| log.note(hands.of(nth, switch)));
        pipeline.totals.merged_slices += ended.merged_slices;
        pipeline.totals.late_slices += ended.late_slices;
        pipeline.totals.switches_omitted += ended.switches_omitted;
    }
    let totals = pipeline.close(files);
    match &totals.unwritten {
        Some(error) => Err(io::Error::other(error.clone()).into()),
        None => Ok(totals),
    }
}
