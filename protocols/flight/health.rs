//! What is said over the health service of gRPC, `grpc.health.v1.Health`.

use prost::Message;

/// Asks how a service is.
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckRequest {
    /// Its full name; empty means the whole server.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct HealthCheckResponse {
    /// A `ServingStatus`.
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub status: i32,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ServingStatus {
    /// Never sent.
    Unknown = 0,
    /// It answers calls.
    Serving = 1,
    /// It does not.
    NotServing = 2,
    /// There is no such service. Only watchers are told so.
    ServiceUnknown = 3,
}

impl From<ServingStatus> for HealthCheckResponse {
    fn from(status: ServingStatus) -> Self {
        Self { status: status.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_protocol() {
        let serving = HealthCheckResponse::from(ServingStatus::Serving);
        assert_eq!(serving.encode_to_vec(), [8, 1]);
        let request = HealthCheckRequest { service: "a".to_owned() };
        assert_eq!(request.encode_to_vec(), [10, 1, b'a']);
        assert_eq!(HealthCheckRequest::decode(b"".as_slice()), Ok(HealthCheckRequest::default()));
    }
}
