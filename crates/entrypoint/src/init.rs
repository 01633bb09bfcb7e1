//! Preparing a Pod from its one init container: this program, the steps' links, and the scripts,
//! where steps find them. Can be done again at any time. Does I/O.

use std::{fs::File, io};

use tektite_protocol::flags::InitFlags;

use crate::{
    files::{self, FileError},
    layout::Layout,
};

/// The running program, whatever it is called and wherever it lies.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Puts everything in place.
pub(crate) fn run(flags: &InitFlags, layout: &Layout) -> Result<(), FileError> {
    // Writable directories for the steps' UIDs come from the volumes; only files are made here.
    let copy = |file: &mut File| io::copy(&mut File::open(THIS_PROGRAM)?, file).map(drop);
    files::replace(&layout.entrypoint(), 0o555, copy)?;
    let steps = layout.steps_dir();
    files::open_directory(&steps)?;
    for (index, name) in flags.steps.iter().enumerate() {
        let target = layout.metadata_dir(index);
        files::link(&target, &steps.join(name))?;
        files::link(&target, &steps.join(index.to_string()))?;
    }
    flags.scripts.iter().try_for_each(files::place_script)?;
    Ok(())
}
