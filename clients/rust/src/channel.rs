//! The channel, with TLS and a caller where the environment says so.

use std::error::Error;
use std::{env, fs};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

/// Returns an endpoint with the credentials that the variables CLIENT_… name; ../README.md explains them. Without
/// CLIENT_CA_FILE there is no TLS, and no caller.
pub fn endpoint(address: &str) -> Result<Endpoint, Box<dyn Error>> {
    let file = |name| env::var_os(name);
    let (certificate, key) = (file("CLIENT_CERTIFICATE_FILE"), file("CLIENT_KEY_FILE"));
    let Some(ca) = file("CLIENT_CA_FILE") else {
        if certificate.is_some() || key.is_some() || file("CLIENT_TOKEN_FILE").is_some() {
            return Err("a certificate or a token needs CLIENT_CA_FILE".into());
        }
        return Ok(Endpoint::from_shared(format!("http://{address}"))?);
    };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(ca)?));
    tls = match (certificate, key) {
        (Some(certificate), Some(key)) => tls.identity(Identity::from_pem(fs::read(certificate)?, fs::read(key)?)),
        (None, None) => tls,
        _ => return Err("CLIENT_CERTIFICATE_FILE and CLIENT_KEY_FILE need each other".into()),
    };
    Ok(Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?)
}

/// Adds the token in the file that CLIENT_TOKEN_FILE names. Each call reads it, because tokens expire and something else
/// renews them.
pub fn authorize(mut request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(path) = env::var_os("CLIENT_TOKEN_FILE") {
        let token = fs::read_to_string(path).map_err(|error| Status::unauthenticated(format!("the token cannot be read: {error}")))?;
        let value = format!("Bearer {}", token.trim()).parse();
        request.metadata_mut().insert("authorization", value.map_err(|_| Status::unauthenticated("the token is not ASCII"))?);
    }
    Ok(request)
}
