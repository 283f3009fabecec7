//! What clients and users may do wrong, and how the server answers.

use std::io::{Read, Write};
use std::sync::Barrier;

use super::protocol::{self, Client};
use super::*;

const SIZE: usize = 1 << 20;

/// A server of a file, in a folder of its own.
fn server(locking: Locking) -> (tempfile::TempDir, std::path::PathBuf, Arc<Disk>) {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("disk"), folder.path().join("socket"));
    fs::write(&file, [7; SIZE]).unwrap();
    let disk = Disk::open(&file, locking).unwrap();
    let _server = listen(&disk, &socket).unwrap();
    (folder, socket, disk)
}

fn client(socket: &Path) -> Client<UnixStream> {
    Client::connect(UnixStream::connect(socket).unwrap()).unwrap()
}

const READ: u32 = 0;
const WRITE: u32 = 1;
const TRIM: u32 = 4;
const WRITE_ZEROES: u32 = 6;

#[test]
fn a_request_that_is_refused_does_not_end_the_connection() {
    let (_folder, socket, _disk) = server(Locking::Ranges);
    let mut client = client(&socket);
    let end = SIZE as u64;
    for (kind, offset, length) in [
        (READ, end, 1),
        (READ, end - 1, 2),
        (READ, u64::MAX, u32::MAX),
        (READ, 0, MOST + 1),
        (WRITE_ZEROES, end - 1, 2),
        (TRIM, 0, 1),
        (99, 0, 0),
    ] {
        assert!(client.ask(kind, offset, length, &[]).is_err(), "{kind} {offset} {length}");
    }
    assert!(client.ask(WRITE, end, 1, &[1]).is_err());
    assert_eq!(client.read(0, 4).unwrap(), [7; 4]);
}

#[test]
fn requests_at_the_ends_are_served() {
    let (_folder, socket, _disk) = server(Locking::Ranges);
    let mut client = client(&socket);
    let end = SIZE as u64;
    client.write(end - 3, &[1, 2, 3]).unwrap();
    assert_eq!(client.read(end - 4, 4).unwrap(), [7, 1, 2, 3]);
    assert_eq!(client.read(end, 0).unwrap(), []);
    client.write(end, &[]).unwrap();
    client.ask(WRITE_ZEROES, end - 2, 2, &[]).unwrap();
    assert_eq!(client.read(end - 4, 4).unwrap(), [7, 1, 0, 0]);
    client.flush().unwrap();
}

/// Zeros are written as a whole, however many.
#[test]
fn zeros_do_not_tear() {
    let (_folder, socket, _disk) = server(Locking::Ranges);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = client(&socket);
            start.wait();
            for letter in 1..=100 {
                client.write(0, &vec![letter; SIZE]).unwrap();
                client.ask(WRITE_ZEROES, 0, SIZE as u32, &[]).unwrap();
            }
        });
        let mut client = client(&socket);
        start.wait();
        for _ in 0..100 {
            let data = client.read(0, SIZE as u32).unwrap();
            assert!(data.iter().all(|&letter| letter == data[0]), "a read is torn");
        }
    });
}

#[test]
fn a_client_that_goes_in_the_middle_of_a_request_leaves_no_trace() {
    let (_folder, socket, disk) = server(Locking::Ranges);
    for _ in 0..20 {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(&[0; 4]).unwrap(); // The greeting, and no more.
    }
    // A write of which half of the data comes.
    let mut stream = UnixStream::connect(&socket).unwrap();
    let _greeted = Client::connect(stream.try_clone().unwrap()).unwrap();
    let head = [0x2560_9513_u32, WRITE].map(u32::to_be_bytes).concat();
    let place = [[0; 8], [0; 8]].concat();
    stream.write_all(&[&head[..], &place, &8_u32.to_be_bytes(), &[1; 4]].concat()).unwrap();
    drop((stream, _greeted));
    let mut client = client(&socket);
    assert_eq!(client.read(0, 8).unwrap(), [7; 8]);
    assert!(disk.bytes.range_lock().requests().is_empty());
}

#[test]
fn many_clients_at_once() {
    let (_folder, socket, _disk) = server(Locking::Ranges);
    let mut clients: Vec<_> = (0..200).map(|_| client(&socket)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.write(n as u64 * 512, &[n as u8; 512]).unwrap();
    }
    for (n, client) in clients.iter_mut().rev().enumerate() {
        let place = 199 - n;
        assert_eq!(client.read(place as u64 * 512, 512).unwrap(), [place as u8; 512]);
    }
}

#[test]
fn nonsense_ends_the_connection_and_not_the_server() {
    let (_folder, socket, _disk) = server(Locking::Ranges);
    for bytes in [&[0xff; 64][..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new()); // Until the server gives it up.
    }
    assert_eq!(client(&socket).read(0, 1).unwrap(), [7]);
}

#[test]
fn a_socket_that_a_killed_server_left_is_replaced_and_no_other_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).unwrap()); // The name stays.
    let listening = bind(&path).unwrap();
    assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse, "a server listens");
    drop(listening);
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert_eq!(bind(&file).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_file_that_cannot_be_served_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    for path in [&empty, folder.path(), &folder.path().join("none")] {
        assert!(Disk::open(path, Locking::Ranges).is_err(), "{}", path.display());
    }
}

#[test]
fn a_disk_that_fails_is_an_error_of_the_request() {
    let request = |bytes: &[u8]| protocol::request(&mut &bytes[..]).unwrap().unwrap();
    let (_reader, pipe) = io::pipe().unwrap();
    let disk = Disk {
        file: File::from(std::os::fd::OwnedFd::from(pipe)), // It cannot be flushed.
        bytes: RangeRwLock::new(MmapMut::map_anon(4096).unwrap()),
        whole: RwLock::new(()),
        locking: Locking::Ranges,
    };
    let flush = [&0x2560_9513_u32.to_be_bytes()[..], &3_u32.to_be_bytes(), &[0; 20]].concat();
    assert_eq!(disk.answer(&request(&flush)), Err(EIO));
}
