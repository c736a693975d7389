//! Makes the stubs of the protos in ../../proto and of google/rpc in ../../.thirdparty.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let [proto, google] = ["../../proto", "../../.thirdparty"];
    let mut protos = Path::new(proto)
        .join("m365/backupstorage/v1")
        .read_dir()?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>, std::io::Error>>()?;
    // A folder has no order of its own, and the stubs have that of the files.
    protos.sort();
    println!("cargo::rerun-if-changed={proto}");
    println!("cargo::rerun-if-changed={google}");
    tonic_prost_build::configure()
        .build_server(false)
        // Use the Status of tonic-types in fields of messages too: it has methods that read details.
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .include_file("stubs.rs")
        .compile_fds(protox::compile(protos, [proto, google])?)?;
    Ok(())
}
