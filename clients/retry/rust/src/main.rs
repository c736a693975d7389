//! Makes calls and prints how they ended: retry ADDRESS CONFIG CALLS
//!
//! CONFIG is ignored: tonic has no service config, and repeats no call by itself. CALLS is a list of calls as JSON; the
//! program makes them one after the other on one channel. It prints a list as JSON, with an object for each call.

use std::error::Error;
use std::time::{Duration, Instant};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Bytes, http::uri::PathAndQuery};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Takes messages that are already encoded, so that no stubs are needed.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(buffer, message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = bytes::Buf::remaining(buffer);
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, length)))
    }
}

/// Makes one call. Times are in seconds.
async fn invoke(grpc: &mut Grpc<Channel>, call: &Value) -> Result<Value, Box<dyn Error>> {
    let text = |key| call[key].as_str().ok_or(format!("a call without {key}"));
    let path = PathAndQuery::try_from(format!("/{}", text("method")?))?;
    let mut request = Request::new(Bytes::from(BASE64_STANDARD.decode(text("request")?)?));
    request.set_timeout(Duration::from_secs_f64(call["deadline"].as_f64().ok_or("a call without deadline")?));
    request.metadata_mut().insert("x-tenant-id", text("tenant")?.parse()?);
    request.metadata_mut().insert("x-request-id", text("requestId")?.parse::<MetadataValue<Ascii>>()?);
    let start = Instant::now();
    grpc.ready().await?;
    let (code, details, trailers) = match grpc.unary(request, path, Encoded).await {
        Ok(response) => ("OK".to_string(), ErrorDetails::new(), response.into_parts().0),
        // An error of the runtime itself has no details.
        Err(status) => (name(&status), status.get_error_details(), status.metadata().clone()),
    };
    let elapsed = start.elapsed().as_secs_f64();
    Ok(json!({
        "code": code,
        "reason": details.error_info().map_or("", |info| &info.reason),
        "pushback": trailers.get("grpc-retry-pushback-ms").map_or(Ok(""), MetadataValue::to_str)?,
        "retryDelay": details.retry_info().and_then(|retry| retry.retry_delay).unwrap_or_default().as_secs_f64(),
        "elapsed": elapsed,
    }))
}

/// Returns the canonical name of a code, such as NOT_FOUND. Debug prints NotFound.
fn name(status: &Status) -> String {
    let mut name = String::new();
    for c in format!("{:?}", status.code()).chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, _, calls] = arguments.as_slice() else {
        return Err("usage: retry ADDRESS CONFIG CALLS".into());
    };
    let mut grpc = Grpc::new(Endpoint::from_shared(format!("http://{address}"))?.connect_lazy());
    let mut results = Vec::new();
    for call in serde_json::from_str::<Vec<Value>>(calls)? {
        results.push(invoke(&mut grpc, &call).await?);
    }
    println!("{}", Value::from(results));
    Ok(())
}
