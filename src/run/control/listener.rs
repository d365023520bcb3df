//! The control socket of a running test: a local socket in a folder of its own, for its own user alone. The folders of all
//! runs lie side by side, and so are the list of the runs under way.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// What the folders of runs are called before the number of their process.
const PREFIX: &str = "squall-";

/// The socket in such a folder.
const SOCKET: &str = "control";

/// Bytes of a socket's path that every system takes: macOS has room for 104 with the final zero.
const PATH_BYTES: usize = 103;

/// Attempts to find a free name.
const NAMES_TRIED: u32 = 100;

/// Folders looked at in one place: others may put theirs into a shared one.
const FOLDERS: usize = 10_000;

/// A listening control socket. Dropping it removes the socket and its folder.
#[derive(Debug)]
pub(super) struct Listener {
    folder: PathBuf,
    listener: UnixListener,
}

impl Listener {
    /// Opens a socket in the first of the folders that takes one.
    ///
    /// # Errors
    /// Why the last place did not.
    pub(super) fn open(places: &[PathBuf]) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no folder for it");
        for place in places {
            match Self::open_in(place) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open_in(place: &Path) -> io::Result<Self> {
        let process = std::process::id();
        for number in 0..NAMES_TRIED {
            let folder = place.join(format!("{PREFIX}{process}-{number}"));
            let socket = folder.join(SOCKET);
            if socket.as_os_str().len() > PATH_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is too long for a socket"));
            }
            // It must be new: one that somebody else laid out could be theirs.
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            return Self::listen(&folder).inspect_err(|_| {
                // Whatever is in there is of no use.
                let _ = fs::remove_dir_all(&folder);
            });
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "all names are taken"))
    }

    fn listen(folder: &Path) -> io::Result<Self> {
        // Under its name only once it listens: a socket that nobody listens at is taken for one of a dead run.
        let nascent = folder.join("new");
        let listener = UnixListener::bind(&nascent)?;
        fs::set_permissions(&nascent, Permissions::from_mode(0o600))?;
        fs::rename(&nascent, folder.join(SOCKET))?;
        listener.set_nonblocking(true)?;
        Ok(Self { folder: folder.to_owned(), listener })
    }

    /// The listening end, for a runtime.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Where this fails the next look at the folders takes them away.
        let _ = fs::remove_file(self.folder.join(SOCKET));
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Folders for control sockets, the preferred one first: the system's for the user's running programs, then its temporary
/// ones.
pub(crate) fn places() -> Vec<PathBuf> {
    let own = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let mut places: Vec<PathBuf> = own.into_iter().chain([env::temp_dir(), PathBuf::from("/tmp")]).collect();
    let mut seen = Vec::new();
    places.retain(|place| {
        let fresh = !seen.contains(place);
        seen.push(place.clone());
        fresh
    });
    places
}

/// Connects to all runs of this user that are under way, and removes what dead runs left behind.
pub(crate) fn connect_all(places: &[PathBuf]) -> Vec<UnixStream> {
    let mut open = Vec::new();
    for place in places {
        let Ok(entries) = fs::read_dir(place) else { continue };
        for entry in entries.take(FOLDERS).flatten() {
            if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !is_own(&entry.path()) {
                continue;
            }
            let socket = entry.path().join(SOCKET);
            match UnixStream::connect(&socket) {
                Ok(stream) => open.push(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    let _ = fs::remove_file(&socket);
                    let _ = fs::remove_dir(entry.path());
                }
                // It is just opening or closing, or not a socket at all.
                Err(_) => {}
            }
        }
    }
    open
}

/// Whether this is a folder, and nobody but this user can have put anything into it.
fn is_own(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == geteuid().as_raw() && found.mode().trailing_zeros() >= 6
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_for_its_user_alone_and_goes_with_the_run() {
        let place = tempfile::tempdir().unwrap();
        let places = [place.path().to_owned()];
        let listener = Listener::open(&places).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&listener.folder), mode(&listener.folder.join(SOCKET))), (0o700, 0o600));
        let other = Listener::open(&places).unwrap();
        assert_ne!(listener.folder, other.folder);
        assert_eq!(connect_all(&places).len(), 2);
        drop((listener, other));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(connect_all(&places).len(), 0);
    }

    #[test]
    fn what_dead_runs_left_is_taken_away_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let places = [place.path().to_owned()];
        let folder = |name: &str, mode: u32| {
            let folder = place.path().join(name);
            DirBuilder::new().mode(mode).create(&folder).unwrap();
            folder
        };
        let dead = folder("squall-1-0", 0o700);
        drop(UnixListener::bind(dead.join(SOCKET)).unwrap());
        // Just being opened; writable by others; no run's at all.
        let kept = [folder("squall-2-0", 0o700), folder("squall-3-0", 0o777), folder("other-4-0", 0o700)];
        fs::set_permissions(&kept[1], Permissions::from_mode(0o777)).unwrap();
        drop(UnixListener::bind(kept[1].join(SOCKET)).unwrap());
        drop(UnixListener::bind(kept[2].join(SOCKET)).unwrap());
        std::os::unix::fs::symlink(&kept[2], place.path().join("squall-5-0")).unwrap();
        assert_eq!(connect_all(&places).len(), 0);
        assert!(!dead.exists());
        assert!(kept.iter().all(|folder| folder.exists()));
        assert!(kept[1].join(SOCKET).exists() && kept[2].join(SOCKET).exists());
    }

    #[test]
    fn a_place_whose_path_is_too_long_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let long = place.path().join("x".repeat(PATH_BYTES));
        fs::create_dir(&long).unwrap();
        assert!(Listener::open(std::slice::from_ref(&long)).unwrap_err().to_string().contains("too long"));
        let listener =
            Listener::open(&[long.clone(), place.path().join("missing"), place.path().to_owned()]).unwrap();
        assert_eq!(listener.folder.parent(), Some(place.path()));
        assert_eq!(fs::read_dir(long).unwrap().count(), 0);
    }
}
