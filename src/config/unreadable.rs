//! What to do about a file that cannot be read.

use std::io;

/// Why, in words for whoever named the file.
#[must_use]
pub fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file; check the path".into(),
        io::ErrorKind::PermissionDenied => {
            "no permission to read it; give the user of this process read permission".into()
        }
        io::ErrorKind::IsADirectory => "a directory; name a file in it".into(),
        io::ErrorKind::InvalidData => "not UTF-8 text; is it the right file?".into(),
        _ => error.to_string(),
    }
}
