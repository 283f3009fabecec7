//! A file that has its blocks: none are asked for again.

use std::fs::{self, File};
use std::process::Command;

use super::folders::folders;
use super::{dax_sim, text, words};

#[test]
fn a_file_that_has_its_blocks_is_not_reserved_again() {
    use std::os::unix::fs::FileExt;
    let arguments = "--size 4M --threads 1 --variants rwsem --workloads write-disjoint --media-us 0 \
                     --duration-ms 1 --rounds 1 --file device --overwrite";
    for folder in folders() {
        if rustix::fs::statfs(folder.path()).is_ok_and(|fs| fs.f_type == 0x0102_1994) {
            // tmpfs does not tell where a file has blocks, and its fallocate asks for none that are
            // there.
            continue;
        }
        let device = folder.path().join("device");
        let attempt = || {
            let mut command = dax_sim(folder.path(), &words(arguments));
            without_room(&mut command);
            command.output().unwrap()
        };
        fs::write(&device, vec![1; 4 << 20]).unwrap();
        let output = attempt();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        // As many blocks, and none of them where the device is to be.
        let sparse = File::create(&device).unwrap();
        sparse.write_all_at(&vec![1; 4 << 20], 4 << 20).unwrap();
        let output = attempt();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("do not fit"), "{}", text(&output.stderr));
    }
}

/// Makes every fallocate of the command fail with ENOSPC, as XFS does on a full file system even
/// for what is there already.
fn without_room(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = libc::SYS_fallocate as u32;
    // Load the number of the call; if it is fallocate's, fail with the error, otherwise allow it.
    let mut filter = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, number),
        step(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSPC as u32),
        step(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: two system calls, of which the second reads `program` and the filter that it
        // leads to.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(install) };
}
