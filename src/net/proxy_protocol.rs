//! The PROXY protocol, version 2 (haproxy.org, "The PROXY protocol", 2.2): a proxy
//! that passes bytes on says first for whom.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Behind the signature: version and command, family, and the length of the rest.
const FIXED: usize = 16;
/// Addresses with whatever a proxy tells besides, bytes.
const MOST: usize = 4_096;

/// Reads the header, and nothing behind it. `None` if the proxy speaks for itself,
/// as for a check of health.
///
/// # Errors
/// If what comes is no such header, is too long, or ends.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut fixed = [0; FIXED];
    stream.read_exact(&mut fixed).await?;
    let [.., command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !fixed.starts_with(&SIGNATURE) || length > MOST {
        return Err(malformed());
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match (command, family) {
        // What is no address of the internet says nothing of the client's.
        (0x20, _) | (0x21, 0x00) => Ok(None),
        (0x21, 0x11) => {
            source::<4>(&rest).map(|(ip, port)| Some((Ipv4Addr::from(ip), port).into()))
        }
        (0x21, 0x21) => {
            source::<16>(&rest).map(|(ip, port)| Some((Ipv6Addr::from(ip), port).into()))
        }
        _ => Err(malformed()),
    }
}

/// Source address, destination address, source port, destination port.
fn source<const BYTES: usize>(rest: &[u8]) -> io::Result<([u8; BYTES], u16)> {
    let (address, after) = rest.split_first_chunk().ok_or_else(malformed)?;
    let ports = after.get(BYTES..).ok_or_else(malformed)?;
    let [high, low, _, _] = ports.first_chunk().ok_or_else(malformed)?;
    Ok((*address, u16::from_be_bytes([*high, *low])))
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// What is read, and what is left to read.
    fn read_all(mut bytes: &[u8]) -> (Option<Option<String>>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let read = runtime.block_on(read(&mut bytes)).ok();
        (read.map(|address| address.map(|address| address.to_string())), bytes.len())
    }

    #[test]
    fn the_client_is_the_source() {
        let four = [198, 51, 100, 7, 192, 0, 2, 1, 0x30, 0x39, 0x01, 0xbb];
        let behind = [header(0x21, 0x11, &four), b"GET /".to_vec()].concat();
        assert_eq!(read_all(&behind), (Some(Some("198.51.100.7:12345".into())), 5));
        let with_more = [&four[..], &[0x04, 0, 1, 7]].concat();
        assert_eq!(
            read_all(&header(0x21, 0x11, &with_more)).0,
            Some(Some("198.51.100.7:12345".into()))
        );
        let mut six = [0; 36];
        (six[0], six[1], six[15], six[33]) = (0x20, 0x01, 7, 80);
        assert_eq!(read_all(&header(0x21, 0x21, &six)).0, Some(Some("[2001::7]:80".into())));
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        assert_eq!(read_all(&header(0x20, 0x00, &[])), (Some(None), 0));
        assert_eq!(read_all(&header(0x20, 0x11, &[0; 12])), (Some(None), 0));
        assert_eq!(read_all(&header(0x21, 0x00, &[0; 3])), (Some(None), 0));
    }

    #[test]
    fn nothing_else_is_taken() {
        let four = [0; 12];
        for bytes in [
            b"PROXY TCP4 198.51.100.7 192.0.2.1 12345 443\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: it\r\n\r\n".to_vec(),
            header(0x11, 0x11, &four),
            header(0x22, 0x11, &four),
            header(0x21, 0x12, &four),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x11, &four[..11]),
            header(0x21, 0x21, &[0; 35]),
            header(0x21, 0x11, &[0; MOST + 1]),
            header(0x21, 0x11, &four)[..20].to_vec(),
        ] {
            assert_eq!(read_all(&bytes).0, None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(command: u8, family: u8, rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_all(&header(command, family, &rest));
            let _ = read_all(&rest);
        }
    }
}
