//! Certificates of clients: who gets a connection, and whom a certificate makes of them.

use super::{LIMITED, NAMED};
use crate::flight::RUNTIME;
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use crate::tls::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An authority for certificates of clients.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.pem"), own.pem()).expect("a file");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The files with a certificate for `name` and its key.
    fn issue(&self, name: &str) -> [PathBuf; 2] {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let paths =
            ["pem", "key"].map(|ending| self.folder.path().join(format!("{name}.{ending}")));
        fs::write(&paths[0], certificate.pem()).expect("a file");
        fs::write(&paths[1], key.serialize_pem()).expect("a file");
        paths
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A client that shows this certificate; any that does not get a connection has no status.
struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    fn new(server: &Server, identity: &Identity, own: Option<&[PathBuf; 2]>, http2: bool) -> Self {
        let trusted = fs::read(identity.certificate_file()).expect("a file");
        let trusted = reqwest::Certificate::from_pem(&trusted).expect("a certificate");
        let mut http = reqwest::Client::builder().no_proxy().add_root_certificate(trusted);
        if let Some(files) = own {
            let pem = files.iter().map(|file| fs::read(file).expect("a file"));
            let pem: Vec<u8> = pem.collect::<Vec<_>>().concat();
            http = http.identity(reqwest::Identity::from_pem(&pem).expect("both"));
        }
        let http = if http2 { http.http2_prior_knowledge() } else { http };
        let base = server.client.base().replace("http:", "https:");
        Self { http: http.build().expect("a client"), base }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<u16> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = RUNTIME.block_on(request.body(body.to_owned()).send());
        answer.ok().map(|answer| answer.status().as_u16())
    }

    fn write(&self, db: &str) -> Option<u16> {
        self.send("POST", &format!("/api/v3/write_lp?db={db}"), &[], "m f=1 1")
    }
}

fn setup(identity: &Identity, authority: &Authority, options: &[&str]) -> Setup {
    let file = authority.file();
    identity.setup().without("--without-auth").with(&["--tls-client-ca", text(&file)]).with(options)
}

/// The operator's token, which the first client gets.
fn operator(client: &Client) -> String {
    RUNTIME.block_on(async {
        let url = format!("{}/api/v3/configure/token/admin", client.base);
        let answer = client.http.post(url).send().await.expect("an answer");
        let told: serde_json::Value =
            serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
        format!("Bearer {}", told["token"].as_str().expect("a token"))
    })
}

#[test]
fn whoever_shows_no_good_certificate_gets_no_connection() {
    let (identity, authority, other) = (Identity::new(), Authority::new(), Authority::new());
    let (good, bad) = (authority.issue("any"), other.issue("any"));
    for http2 in [false, true] {
        let required = setup(&identity, &authority, &[]).start();
        let ping = |server: &Server, own| {
            Client::new(server, &identity, own, http2).send("GET", "/ping", &[], "")
        };
        assert_eq!(ping(&required, Some(&good)), Some(200));
        assert_eq!(ping(&required, None), None);
        assert_eq!(ping(&required, Some(&bad)), None);
        let optional = setup(&identity, &authority, &["--tls-client-auth", "optional"]).start();
        assert_eq!(ping(&optional, Some(&good)), Some(200));
        assert_eq!(ping(&optional, None), Some(200));
        assert_eq!(ping(&optional, Some(&bad)), None);
    }
}

#[test]
fn a_certificate_is_a_token_of_its_name() {
    let (identity, authority) = (Identity::new(), Authority::new());
    let (collector, unknown) = (authority.issue("collector"), authority.issue("unknown"));
    let admin = authority.issue("_admin");
    let options = ["--tls-client-auth", "optional", "--tls-client-principal", "common-name"];
    let server = setup(&identity, &authority, &options).start();
    let nobody = Client::new(&server, &identity, None, false);
    let header = operator(&nobody);
    let json = [("authorization", header.as_str()), ("content-type", "application/json")];
    let permissions = json!([
        {"resource_type": "db", "resource_names": ["d"], "actions": ["write", "create", "read"]}
    ]);
    let token = json!({"token_name": "collector", "permissions": permissions}).to_string();
    assert_eq!(nobody.send("POST", LIMITED, &json, &token), Some(201));
    for http2 in [false, true] {
        let client = |own| Client::new(&server, &identity, own, http2);
        assert_eq!(client(Some(&collector)).write("d"), Some(204));
        assert_eq!(client(Some(&collector)).write("e"), Some(403));
        assert_eq!(client(Some(&unknown)).write("d"), Some(401));
        assert_eq!(client(Some(&admin)).write("d"), Some(401), "the operator's is to be brought");
        assert_eq!(client(None).write("d"), Some(401));
        // A token says more than a certificate.
        let bearer = [("authorization", header.as_str())];
        let write = "/api/v3/write_lp?db=e";
        assert_eq!(client(Some(&collector)).send("POST", write, &bearer, "m f=1 1"), Some(204));
        let wrong = [("authorization", "Bearer apiv3_wrong")];
        assert_eq!(client(Some(&collector)).send("POST", write, &wrong, "m f=1 1"), Some(401));
        // A browser shows it for whichever page asks.
        let page = [("origin", "https://evil.example")];
        let write = "/api/v3/write_lp?db=d";
        assert_eq!(client(Some(&collector)).send("POST", write, &page, "m f=1 1"), Some(403));
    }
    let shell = Shell { client: None, directory: authority.folder.path() };
    let ca = identity.certificate_file();
    let base = server.client.base().replace("http:", "https:");
    let connection = ["-H", &base, "--tls-ca", text(&ca), "--tls-client-cert", text(&collector[0])];
    let query = ["query", "-d", "d", "--format", "csv", "SELECT f FROM m"];
    let own = [&query[..1], &connection, &["--tls-client-key", text(&collector[1])], &query[1..]];
    assert_eq!(shell.must(&own.concat()).trim(), "f\n1.0");

    let gone = "/api/v3/configure/token?token_name=collector";
    assert_eq!(nobody.send("DELETE", gone, &json, ""), Some(200));
    let client = Client::new(&server, &identity, Some(&collector), false);
    assert_eq!(client.write("d"), Some(401));
    let expired = json!({"token_name": "collector", "expiry_secs": 0}).to_string();
    assert_eq!(nobody.send("POST", NAMED, &json, &expired), Some(201));
    assert_eq!(client.write("d"), Some(401), "it has expired");
}

#[test]
fn a_certificate_says_nothing_unless_it_is_to() {
    let (identity, authority) = (Identity::new(), Authority::new());
    let named = authority.issue("named");
    let server = setup(&identity, &authority, &[]).start();
    let client = Client::new(&server, &identity, Some(&named), false);
    let header = operator(&client);
    let json = [("authorization", header.as_str()), ("content-type", "application/json")];
    let token = json!({"token_name": "named"}).to_string();
    assert_eq!(client.send("POST", NAMED, &json, &token), Some(201));
    assert_eq!(client.write("d"), Some(401));
}

#[test]
fn authorities_are_read_again_on_sighup() {
    let (identity, authority, next) = (Identity::new(), Authority::new(), Authority::new());
    let (before, after) = (authority.issue("a"), next.issue("a"));
    let server = setup(&identity, &authority, &[]).start();
    let ping =
        |own| Client::new(&server, &identity, Some(own), false).send("GET", "/ping", &[], "");
    assert_eq!([ping(&before), ping(&after)], [Some(200), None]);
    fs::copy(next.file(), authority.file()).expect("a file");
    server.signal("HUP");
    eventually("the next authority is known", || (ping(&after) == Some(200)).then_some(()));
    assert_eq!(ping(&before), None);
}

#[test]
fn options_that_make_no_sense_stop_the_start() {
    let authority = Authority::new();
    let file = authority.file();
    let (_, said) = Setup::memory().with(&["--tls-client-ca", text(&file)]).start_refused();
    assert!(said.contains("--tls-client-ca needs encrypted connections"), "{said}");
    let identity = Identity::new();
    let (status, said) = identity.setup().with(&["--tls-client-auth", "optional"]).start_refused();
    assert_eq!(status.code(), Some(2), "{said}");
    let (_, said) = identity.setup().with(&["--tls-client-ca", "/nowhere.pem"]).start_refused();
    assert!(said.contains("authorities of clients /nowhere.pem"), "{said}");
}
