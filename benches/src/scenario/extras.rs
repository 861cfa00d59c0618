//! What each extra of a session costs: one server without any, and one with each, in turns.

use std::{env, fs, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, process};

use due::{
    core::{RouteId, crypto::seal_body},
    crypto::ecc::{generate, private_pem},
};

use crate::{
    Fallible,
    dialect::ROUTE,
    extra::pair,
    load::{Content, Shape},
    report::Target,
    stage::{Common, PaceArgs, Stage},
    subject::Subject,
};

/// Name, arguments, and most time as a multiple of that without.
const EXTRAS: [(&str, &str, Option<f64>); 6] = [
    ("counters, 100 reads/s", "--counters 10ms", None),
    ("tight limits", "--limits", None),
    ("guard", "--guard", None),
    ("middleware", "--middleware", None),
    ("event, not logged", "--events off", Some(1.03)),
    ("event, logged", "--events on", None),
];

/// Of `extras`.
#[derive(clap::Args)]
pub(crate) struct ExtraArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [50])]
    connections: Vec<usize>,
    /// Frames in flight on each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32])]
    windows: Vec<usize>,
    /// Bytes of a body.
    #[arg(long, default_value_t = 128)]
    body: usize,
}

/// Runs all.
pub(crate) fn run(args: &ExtraArgs) -> Fallible<bool> {
    let mut stage = Stage::open("extras", &args.common, Some(args.pace.pace()))?;
    let mut subjects = vec![Subject::ours("without")?];
    for (name, arguments, _) in EXTRAS {
        subjects.push(Subject::ours(name)?.with(arguments));
    }
    let all = stage.start(subjects)?;
    for shape in args.shapes() {
        let mut title = shape.title("");
        title.targets = targets();
        stage.closed_loop(&all, shape, title)?;
    }
    drop(all);
    encrypted(args, &mut stage)?;
    stage.close()
}

impl ExtraArgs {
    fn shapes(&self) -> Vec<Shape> {
        let pairs = self.windows.iter().flat_map(|window| self.connections.iter().map(|n| (*n, *window)));
        pairs.map(|(connections, window)| Shape::plain(connections, window, self.body)).collect()
    }
}

fn targets() -> Vec<Target> {
    let most = EXTRAS.iter().filter_map(|(name, _, most)| Some((name, (*most)?)));
    most.map(|(name, most)| Target::of(name, "without").cpu(most)).collect()
}

/// JSON as it is, and the same encrypted both ways.
fn encrypted(args: &ExtraArgs, stage: &mut Stage<'_>) -> Fallible<()> {
    let key = KeyFile::new()?;
    let sealed = Content::Sealed(key.seal(&Content::Json.body(args.body))?);
    let json = |name: &str| Ok::<_, crate::Error>(Subject::ours(name)?.with("--json"));
    let plain = Subject { content: Content::Json, ..json("JSON")? };
    let secret = json("JSON, encrypted")?.with(&format!("--encrypt {}", key.0.display()));
    let all = stage.start([plain, Subject { content: sealed, ..secret }])?;
    // It costs so much that what is in flight makes no difference.
    for &connections in &args.connections {
        let shape = Shape::plain(connections, 1, args.body);
        stage.closed_loop(&all, shape, shape.title("JSON, encrypted by ecc both ways; "))?;
    }
    Ok(())
}

/// A new private key in a file that only its owner may read; removed when dropped.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new() -> Fallible<Self> {
        let file = Self(env::temp_dir().join(format!("due-benches-{}.pem", process::id())));
        let mut options = fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&file.0);
        let mut out = opened.map_err(|e| format!("{}: {e}", file.0.display()))?;
        out.write_all(private_pem(&generate()?)?.as_bytes())?;
        Ok(file)
    }

    /// A request that is sent again and again: the cost of the client is not what is measured.
    fn seal(&self, body: &[u8]) -> Fallible<&'static [u8]> {
        let mut out = Vec::new();
        let by = pair(&self.0.display().to_string())?;
        seal_body(&by, RouteId(i32::try_from(ROUTE)?), body, &mut out)?;
        Ok(out.leak())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
