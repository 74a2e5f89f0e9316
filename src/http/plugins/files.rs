//! Uploading plugins, and installing what they import.

use super::deadline;
use crate::edge::state::ServerState;
use crate::http::access::Who;
use crate::http::databases::read_body;
use crate::http::failure::Failure;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::plugin_files::REPOSITORY_MARK;
use protocols::http::plugins::{
    InstallPackagesBody, InstallRequirementsBody, PluginDirectoryBody, PluginFileBody,
};
use protocols::messages::plugins::{InstallPackages, ReplacePluginDirectory, SavePluginFile};
use protocols::plugins::{PluginRef, PluginText};
use protocols::redact::without_credentials;
use std::time::Duration;
use tokio::time::Instant;

/// What is told when plugins can only be put into the directory by hand.
pub(super) const DIRECTORY_ONLY: &str = "plugin installation is disabled; plugins must already \
                                         exist in the configured plugin directory";

/// How long an installer may take.
const INSTALL_TIME: Duration = Duration::from_secs(30 * 60);

fn internal(text: impl Into<String>) -> Failure {
    Failure::text(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// Refuses uploads where there is no place for them, or none that clients may write to.
fn expect_directory(state: &ServerState) -> Result<(), Failure> {
    match (state.plugin_settings.is_enabled, state.plugin_settings.directory_only) {
        (false, _) => Err(internal("No plugin directory configured")),
        (true, true) => Err(Failure::text(StatusCode::FORBIDDEN, DIRECTORY_ONLY)),
        (true, false) => Ok(()),
    }
}

/// The path of the plugin of a trigger of any database.
fn path_of_trigger(state: &ServerState, name: &str) -> Result<String, Failure> {
    let snapshot = state.snapshot.load();
    let databases = snapshot.live_databases();
    let mut paths = databases.iter().filter_map(|db| {
        let trigger = db.plugins.trigger(name)?;
        match &trigger.plugin {
            PluginRef::Path(path) => Some(path.to_string()),
            PluginRef::Named(plugin) => match &db.plugins.plugin(plugin)?.text {
                PluginText::File(path) => Some(path.to_string()),
                PluginText::Code(_) => None,
            },
        }
    });
    let found = paths.find(|path| !path.starts_with(REPOSITORY_MARK));
    found.ok_or_else(|| internal(format!("Plugin not found: {name}")))
}

pub(in crate::http) async fn upload(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_directory(&state)?;
    let PluginFileBody { plugin_name, content } = read_body(&state, &req, payload).await?;
    let save = SavePluginFile { path: plugin_name.clone(), replaces: false, content };
    state.plugins.files.ask_from_edge(save, deadline()).await??;
    state.audit_done((&who.0, who.1), "upload_plugin", plugin_name);
    Ok(HttpResponse::Ok().finish())
}

pub(in crate::http) async fn replace(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_directory(&state)?;
    let PluginFileBody { plugin_name, content } = read_body(&state, &req, payload).await?;
    let path = path_of_trigger(&state, &plugin_name)?;
    let save = SavePluginFile { path: path.clone(), replaces: true, content };
    state.plugins.files.ask_from_edge(save, deadline()).await??;
    state.audit_done((&who.0, who.1), "replace_plugin", path);
    Ok(HttpResponse::Ok().finish())
}

pub(in crate::http) async fn replace_directory(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_directory(&state)?;
    let PluginDirectoryBody { plugin_name, files } = read_body(&state, &req, payload).await?;
    let path = path_of_trigger(&state, &plugin_name)?;
    let files = files.into_iter().map(|file| (file.relative_path, file.content)).collect();
    let replace = ReplacePluginDirectory { path: path.clone(), files };
    state.plugins.files.ask_from_edge(replace, deadline()).await??;
    state.audit_done((&who.0, who.1), "replace_plugin", path);
    Ok(HttpResponse::Ok().finish())
}

pub(in crate::http) async fn install_packages(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let InstallPackagesBody { packages } = read_body(&state, &req, payload).await?;
    let named = packages.join(" ");
    install(&state, who, named, InstallPackages::Named(packages)).await
}

pub(in crate::http) async fn install_requirements(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body: InstallRequirementsBody = read_body(&state, &req, payload).await?;
    let named = body.requirements_location.clone();
    install(&state, who, named, InstallPackages::Requirements(body.requirements_location)).await
}

async fn install(
    state: &ServerState,
    who: Who,
    named: String,
    install: InstallPackages,
) -> Result<HttpResponse, Failure> {
    if state.plugin_settings.directory_only {
        return Err(Failure::text(StatusCode::FORBIDDEN, DIRECTORY_ONLY));
    }
    let deadline = Instant::now() + INSTALL_TIME;
    state.plugins.packages.ask_from_edge(install, deadline).await??;
    state.audit_done((&who.0, who.1), "install_packages", without_credentials(&named));
    Ok(HttpResponse::Ok().finish())
}
