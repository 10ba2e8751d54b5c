//! Removes the bodies of old entries, of which the tiles are kept.

use std::io;

use super::extend::headers;
use super::tiled;
use crate::record::Record;
use crate::segment::{At, Header, read_frame, segment_name, segment_number};
use crate::storage::Storage;

/// Where a ledger can be cut: everything in front of a segment goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cut {
    /// The first segment that is kept.
    pub(crate) segment: u64,
    /// Its first entry: so many go.
    pub(crate) entries: u64,
    /// The length of the last segment that goes, as the first that is kept says.
    pub(crate) length: u64,
}

/// The last place, not behind entry `index`, at which the ledger can be cut; `None` if nothing
/// would go. Nothing goes that the tiles do not reach.
pub(crate) fn cut_at<S: Storage>(storage: &S, index: u64) -> io::Result<Option<Cut>> {
    let reach = tiled(storage)?.map_or(0, |tree| tree.size);
    let headers = headers(storage, 0)?;
    let cuts = headers
        .iter()
        .skip(1)
        .filter(|(_, header)| header.tree.size() <= index.min(reach));
    Ok(cuts
        .max_by_key(|(number, _)| *number)
        .map(|(number, header)| Cut {
            segment: *number,
            entries: header.tree.size(),
            length: header.previous_length,
        }))
}

/// Removes what stands in front of the cut, the oldest first, so that a crash leaves no hole. The
/// record of it has to be durable.
pub(crate) fn remove_bodies<S: Storage>(storage: &S, cut: Cut) -> io::Result<u64> {
    let names = storage.list()?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|it| segment_number(it)).collect();
    numbers.sort_unstable();
    numbers.retain(|number| *number < cut.segment);
    let mut removed = 0;
    for number in numbers {
        // What a crash tore off may hold entries as well.
        let torn = format!("{}.torn", segment_name(number));
        if names.contains(&torn) {
            storage.remove(&torn)?;
        }
        storage.remove(&segment_name(number))?;
        removed += 1;
    }
    storage.sync_names()?;
    Ok(removed)
}

/// How old entries are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Age {
    /// What stands behind them, in bytes: no more than so many are to be kept.
    Bytes(u64),
    /// When they were written, in nanoseconds since 1970-01-01T00:00:00Z: none from before.
    Time(u64),
}

/// Room for a header and the longest frame.
const FIRST_FRAME: u64 = 4096 + 65_536 + 64;

/// The first entry of the first segment that is not too old; `None` if that is the first there is.
pub(crate) fn older_than<S: Storage>(storage: &S, age: Age) -> io::Result<Option<u64>> {
    let headers = headers(storage, 0)?;
    let mut first = None;
    // How long a segment is, the next one says; the last one counts in full.
    let mut behind: u64 = headers
        .iter()
        .skip(1)
        .map(|(_, it)| it.previous_length)
        .sum();
    for (number, header) in headers.iter().skip(1) {
        let is_old = match age {
            Age::Bytes(most) => behind > most,
            Age::Time(least) => begins_before(storage, *number, least)?,
        };
        if !is_old {
            break;
        }
        behind = behind.saturating_sub(header.previous_length);
        first = Some(header.tree.size());
    }
    Ok(first)
}

/// Whether the first entry of a segment is from before this time: all in front of it are, too.
fn begins_before<S: Storage>(storage: &S, number: u64, time: u64) -> io::Result<bool> {
    let bytes = storage.read_start(&segment_name(number), FIRST_FRAME)?;
    let Ok((_, begin)) = Header::decode(&bytes) else {
        return Ok(false);
    };
    let At::Frame(frame) = read_frame(bytes.get(begin..).unwrap_or_default()) else {
        return Ok(false);
    };
    Ok(Record::decode(frame.entry).is_ok_and(|record| record.time() < time))
}
