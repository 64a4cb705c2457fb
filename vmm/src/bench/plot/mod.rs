//! Pictures of a run: each as SVG, and as PNG made of that.
//!
//! | module | owns |
//! |---|---|
//! | `palette` | how each subject looks, the same in all pictures |
//! | `axes` | scales: where values stand, and which of them are named |
//! | `frame` | a chart without its data: title, axes, grid, legend, foot |
//! | `point` | one point, in the shape of its subject |
//! | `lines` | charts of lines |
//! | `spans` | charts of rows, each from one figure to another |
//! | `rows` | pictures of one such chart |
//! | [`kv`] | what is shown of kv beside redis-server |
//! | [`recovery`] | what is shown of recoveries |
//! | `trips` | what is shown of times |
//! | `flows` | what is shown of rates |
//! | `files` | SVG to PNG, both into files |
//!
//! Text is drawn with a font that comes along: pictures are the same on every host.

mod axes;
mod files;
mod flows;
mod frame;
pub mod kv;
mod lines;
pub mod lives;
mod palette;
mod point;
pub mod recovery;
mod rows;
mod spans;
mod trips;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::report::Report;

/// Why a picture was not made.
#[derive(Debug, Error)]
pub enum PlotError {
    /// There is no place for it.
    #[error("cannot make the directory {}: {cause}; choose another with --plot", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// The font that comes along is not taken.
    #[error("the font that comes with this program cannot be read")]
    Font,
    /// Drawing failed.
    #[error("cannot draw `{picture}`: {cause}")]
    Draw {
        /// The picture.
        picture: &'static str,
        /// What the drawing library said.
        cause: String,
    },
    /// The picture as SVG cannot be made one of pixels.
    #[error("cannot make a PNG of `{picture}`: {cause}")]
    Pixels {
        /// The picture.
        picture: &'static str,
        /// What the library said.
        cause: String,
    },
}

/// A picture, drawn.
#[derive(Clone, Debug)]
struct Picture {
    /// The name of its files.
    name: &'static str,
    svg: String,
}

/// Makes sure that pictures can be put into `directory`: better before a long run than after it.
///
/// # Errors
/// If there is no such directory, and none can be made.
pub fn prepare(directory: &Path) -> Result<(), PlotError> {
    std::fs::create_dir_all(directory)
        .map_err(|cause| PlotError::Directory { path: directory.to_owned(), cause })
}

/// Writes all pictures for which there are figures, and returns their files.
///
/// # Errors
/// If one cannot be drawn or written; those before it stay.
pub fn write(report: &Report, directory: &Path) -> Result<Vec<PathBuf>, PlotError> {
    prepare(directory)?;
    let mut files = Vec::new();
    for picture in pictures(report)? {
        files.extend(files::write(&picture, directory)?);
    }
    Ok(files)
}

/// Writes those that there are.
fn write_all<const N: usize>(
    pictures: [Option<Picture>; N],
    directory: &Path,
) -> Result<Vec<PathBuf>, PlotError> {
    prepare(directory)?;
    let mut all = Vec::new();
    for picture in pictures.into_iter().flatten() {
        all.extend(files::write(&picture, directory)?);
    }
    Ok(all)
}

fn pictures(report: &Report) -> Result<Vec<Picture>, PlotError> {
    frame::load_font()?;
    let all = [
        trips::polling(report)?,
        trips::percentiles(report)?,
        trips::blocking(report)?,
        flows::messages(report)?,
        flows::gigabytes(report)?,
        flows::lent(report)?,
    ];
    Ok(all.into_iter().flatten().collect())
}

/// What came of drawing a picture.
fn drawn(
    name: &'static str,
    result: Result<String, frame::DrawError>,
) -> Result<Option<Picture>, PlotError> {
    match result {
        Ok(svg) => Ok(Some(Picture { name, svg })),
        Err(error) => Err(PlotError::Draw { picture: name, cause: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
