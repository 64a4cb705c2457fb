//! From a drawn picture to files: the SVG as it is, and a PNG made of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::{Picture, PlotError};
use crate::bench::report::Report;

/// Pixels of the PNG for each unit of the SVG: then it is sharp on fine screens too.
const SCALE: f32 = 2.0;

/// Writes both, and returns where they are.
pub(super) fn write(picture: &Picture, directory: &Path) -> Result<[PathBuf; 2], PlotError> {
    let put = |extension: &str, bytes: &[u8]| {
        let path = directory.join(picture.name).with_extension(extension);
        match fs::write(&path, bytes) {
            Ok(()) => Ok(path),
            Err(cause) => Err(PlotError::Write { path, cause }),
        }
    };
    Ok([put("svg", picture.svg.as_bytes())?, put("png", &png(picture)?)?])
}

fn png(picture: &Picture) -> Result<Vec<u8>, PlotError> {
    let failed = |cause: String| PlotError::Pixels { picture: picture.name, cause };
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(&picture.svg, &options).map_err(|error| failed(error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let mut pixels = size
        .and_then(|size| Pixmap::new(size.width(), size.height()))
        .ok_or_else(|| failed("it has no size".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(error.to_string()))
}

/// Where it was measured, in a line.
pub(super) fn foot(report: &Report) -> String {
    let host = &report.host;
    let told = [
        Some(format!("vmm {}", host.version)),
        host.kernel.as_ref().map(|kernel| format!("Linux {kernel}")),
        host.processor.clone(),
        Some(format!("CPUs: {}", report.class)),
        Some(format!("{} {}", report.rounds, if report.rounds == 1 { "round" } else { "rounds" })),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join("  ·  ")
}
