//! The keys of an encrypted room: one pair of the server, and one that all its clients share.
//!
//! Who has the folder, or can read the page on its way, has the clients' pair: the room shows how bodies are encrypted.
//! What a program protects with it depends on how it hands keys out.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
};

use due::{
    Encryptor, Error, Result,
    crypto::ecc::{EccEncryptor, SecretKey, generate, private_key, private_pem, public_key, public_pem},
};

/// What one end of the room needs.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(super) encryptor: Arc<dyn Encryptor>,
    /// As the command line names it.
    pub(super) folder: String,
    /// For the page: our pair and the server's public key, each as base64.
    pub(super) page: String,
}

/// The server's end, with the keys of a folder; those that are not there are made.
pub(super) fn of_server(folder: &str) -> Result<Keys> {
    let folder = Path::new(folder);
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let (server, client) = (own(folder, "server")?, own(folder, "client")?);
    let page =
        [private_pem(&client)?.to_string(), public_pem(&client.public_key())?, public_pem(&server.public_key())?];
    let page = page.map(|pem| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).join(" ");
    let both = EccEncryptor::new().for_peer(client.public_key())?.with_private(server)?;
    Ok(Keys { encryptor: Arc::new(both), folder: folder.display().to_string(), page })
}

/// A client's end, with the keys that the server made.
pub(super) fn of_client(folder: &str) -> Result<Keys> {
    let file = |name: &str| Path::new(folder).join(name).display().to_string();
    let both = EccEncryptor::new().for_peer(public_key(&file("server.pub.pem"))?)?;
    let both = both.with_private(private_key(&file("client.pem"))?)?;
    Ok(Keys { encryptor: Arc::new(both), folder: folder.to_owned(), page: String::new() })
}

/// The private key of this name; made with its public half if it is not there.
fn own(folder: &Path, name: &str) -> Result<SecretKey> {
    let path = folder.join(format!("{name}.pem"));
    if path.exists() {
        return private_key(&path.display().to_string());
    }
    let key = generate()?;
    write(&path, &private_pem(&key)?, OpenOptions::new().write(true).create_new(true))?;
    let public = folder.join(format!("{name}.pub.pem"));
    write(&public, &public_pem(&key.public_key())?, OpenOptions::new().write(true).create(true).truncate(true))?;
    Ok(key)
}

fn write(path: &Path, text: &str, how: &mut OpenOptions) -> Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(how, 0o600);
    let written = how.open(path).and_then(|mut file: File| file.write_all(text.as_bytes()));
    written.map_err(|e| failed(path, e))
}

fn failed(path: &Path, e: std::io::Error) -> Error {
    Error::config("keys cannot be kept here").context("path", path.display()).because(e)
}
