//! The network block device protocol, as far as this server and its own client use it: fixed
//! newstyle handshake, one export, simple replies. See "proto.md" of NetworkBlockDevice/nbd.

use std::io::{self, Read, Write};

const NBDMAGIC: u64 = 0x4e42_444d_4147_4943;
const IHAVEOPT: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;

const FIXED_NEWSTYLE: u16 = 1;
const NO_ZEROES: u16 = 2;
/// Flags are present, and: flush, FUA, write zeroes, several connections.
const EXPORT_FLAGS: u16 = 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8;

const EXPORT_NAME: u32 = 1;
const ABORT: u32 = 2;
const LIST: u32 = 3;
const INFO: u32 = 6;
const GO: u32 = 7;

const ACK: u32 = 1;
const SERVER: u32 = 2;
const INFORMATION: u32 = 3;
const UNSUPPORTED: u32 = 1 << 31 | 1;

/// The longest read or write that the server accepts.
pub(crate) const MOST: u32 = 32 << 20;
/// The data could not be written to the disk.
pub(crate) const EIO: u32 = 5;
/// A request was not understood, or reaches past the end.
pub(crate) const EINVAL: u32 = 22;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Read,
    Write(Vec<u8>),
    Disconnect,
    Flush,
    WriteZeroes,
    Unknown,
}

/// One request. A write's data follows its header.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// "Force unit access": the request is not done before its data are on the disk.
    pub(crate) fua: bool,
    cookie: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// Greets a client and negotiates. Returns `false` if the client only asked for information.
pub(crate) fn handshake(stream: &mut (impl Read + Write), size: u64) -> io::Result<bool> {
    stream.write_all(&[NBDMAGIC.to_be_bytes(), IHAVEOPT.to_be_bytes()].concat())?;
    stream.write_all(&(FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes())?;
    let no_zeroes = u32_of(stream)? & u32::from(NO_ZEROES) != 0;
    let export = [&size.to_be_bytes()[..], &EXPORT_FLAGS.to_be_bytes()].concat();
    loop {
        check(u64_of(stream)? == IHAVEOPT, "an option")?;
        let (option, length) = (u32_of(stream)?, u32_of(stream)?);
        check(length <= 1 << 16, "a short option")?;
        let _data = bytes_of(stream, length)?; // There is one export, whatever its name.
        let mut reply = |kind: u32, data: &[u8]| {
            let head = [OPTION_REPLY.to_be_bytes()].concat();
            let words = [option, kind, data.len() as u32].map(u32::to_be_bytes).concat();
            stream.write_all(&[&head[..], &words, data].concat())
        };
        match option {
            EXPORT_NAME => {
                let zeroes = if no_zeroes { 0 } else { 124 };
                stream.write_all(&[&export[..], &vec![0; zeroes]].concat())?;
                return Ok(true);
            }
            INFO | GO => {
                reply(INFORMATION, &[&[0, 0], &export[..]].concat())?;
                reply(ACK, &[])?;
                if option == GO {
                    return Ok(true);
                }
            }
            LIST => {
                reply(SERVER, &[0; 4])?; // A name of no letters.
                reply(ACK, &[])?;
            }
            ABORT => {
                reply(ACK, &[])?;
                return Ok(false);
            }
            _ => reply(UNSUPPORTED, &[])?,
        }
    }
}

/// Reads the next request. Returns `None` if the client has gone.
pub(crate) fn request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut magic = [0; 4];
    match stream.read_exact(&mut magic) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    check(u32::from_be_bytes(magic) == REQUEST, "a request")?;
    let flags_and_type = u32_of(stream)?;
    let (cookie, offset, length) = (u64_of(stream)?, u64_of(stream)?, u32_of(stream)?);
    let command = match flags_and_type & 0xffff {
        0 => Command::Read,
        1 => {
            check(length <= MOST, "a write of 32 MiB at most")?;
            Command::Write(bytes_of(stream, length)?)
        }
        2 => Command::Disconnect,
        3 => Command::Flush,
        6 => Command::WriteZeroes,
        _ => Command::Unknown,
    };
    Ok(Some(Request { command, fua: flags_and_type & 1 << 16 != 0, cookie, offset, length }))
}

/// Answers a request with the data that were read, or with the number of an error.
pub(crate) fn reply(
    stream: &mut impl Write,
    request: &Request,
    result: Result<&[u8], u32>,
) -> io::Result<()> {
    let (data, error) = result.map_or_else(|error| (&[][..], error), |data| (data, 0));
    let head = [REPLY, error].map(u32::to_be_bytes).concat();
    stream.write_all(&[&head[..], &request.cookie.to_be_bytes(), data].concat())
}

/// A client that waits for each reply.
#[derive(Debug)]
pub(crate) struct Client<S>(S);

impl<S: Read + Write> Client<S> {
    pub(crate) fn connect(mut stream: S) -> io::Result<Self> {
        check(u64_of(&mut stream)? == NBDMAGIC && u64_of(&mut stream)? == IHAVEOPT, "a newstyle server")?;
        bytes_of(&mut stream, 2)?;
        stream.write_all(&u32::from(FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes())?;
        stream.write_all(
            &[&IHAVEOPT.to_be_bytes()[..], &[EXPORT_NAME, 0].map(u32::to_be_bytes).concat()].concat(),
        )?;
        bytes_of(&mut stream, 10)?;
        Ok(Client(stream))
    }

    pub(crate) fn read(&mut self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        self.ask(0, offset, length, &[])?;
        bytes_of(&mut self.0, length)
    }

    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.ask(1, offset, data.len() as u32, data)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.ask(3, 0, 0, &[])
    }

    /// Sends a request of any kind. Returns when the server reports success.
    pub(crate) fn ask(&mut self, kind: u32, offset: u64, length: u32, data: &[u8]) -> io::Result<()> {
        let head = [REQUEST, kind].map(u32::to_be_bytes).concat();
        let place = [[0; 8], offset.to_be_bytes()].concat();
        self.0.write_all(&[&head[..], &place, &length.to_be_bytes(), data].concat())?;
        check(u32_of(&mut self.0)? == REPLY, "a reply")?;
        let error = u32_of(&mut self.0)?;
        bytes_of(&mut self.0, 8)?;
        check(error == 0, "success")
    }
}

fn u32_of(stream: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn u64_of(stream: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn bytes_of(stream: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn check(is_right: bool, expected: &str) -> io::Result<()> {
    let error = || io::Error::new(io::ErrorKind::InvalidData, format!("expected {expected}"));
    is_right.then_some(()).ok_or_else(error)
}
