//! Networks, as records name them.

use std::net::IpAddr;

use bartizan_core::IpNetwork;

use crate::record::wire::{Input, RecordError};

/// A network as its number of address bytes (0, 4 or 16), the address, and the prefix length.
pub(super) fn put_network(out: &mut Vec<u8>, network: Option<IpNetwork>) {
    match network.map(|network| (network.base(), network.prefix_length())) {
        None => out.push(0),
        Some((IpAddr::V4(address), length)) => {
            out.push(4);
            out.extend(address.octets());
            out.push(length);
        }
        Some((IpAddr::V6(address), length)) => {
            out.push(16);
            out.extend(address.octets());
            out.push(length);
        }
    }
}

pub(crate) fn read_network(input: &mut Input<'_>) -> Result<Option<IpNetwork>, RecordError> {
    let address: IpAddr = match input.u8()? {
        0 => return Ok(None),
        4 => input.array::<4>()?.into(),
        16 => input.array::<16>()?.into(),
        _ => return Err(RecordError::Value),
    };
    let length = input.u8()?;
    let network = IpNetwork::new(address, length).map_err(|_| RecordError::Value)?;
    // Host bits, or an embedded address: nothing that is written here.
    if network.base() == address && network.prefix_length() == length {
        Ok(Some(network))
    } else {
        Err(RecordError::Value)
    }
}
