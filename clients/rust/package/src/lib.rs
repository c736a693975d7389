//! Client of Backup Storage over gRPC: stubs in `m365::backupstorage::v1`, and `TypedError`, the content of an error.

mod errors;
pub use errors::TypedError;

#[allow(clippy::all)]
pub mod google {
    pub mod rpc {
        include!("google.rpc.rs");
    }
}

#[allow(clippy::all)]
pub mod m365 {
    pub mod backupstorage {
        pub mod v1 {
            include!("m365.backupstorage.v1.rs");
        }
    }
}
