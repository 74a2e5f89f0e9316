//! The route table: each route with what it needs. There is no other way to add one, so none is
//! without a rule.

use super::access::guard;
pub use super::needs::Needs;
use super::observe::Routed;
use super::plugins::{engine, files, test_runs, triggers};
use super::{
    absent, caches, compaction, databases, downsamples, health, metrics, ping, query, row_deletes,
    session, tables, tokens, v1, write,
};
use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::middleware::{Next, from_fn};
use actix_web::{guard as method, web};
use protocols::access::rights::SystemResource::{Health, Metrics, Ping, Ready};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method, as it is sent.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// What it needs.
    pub needs: Needs,
}

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path, $needs:expr;)*) => {
        /// All of them.
        pub const ROUTES: &[Route] = &[
            $(Route { method: name::$method, path: $path, needs: $needs },)*
        ];

        /// Adds all routes. A known path with another method falls through to `Not found` as well.
        pub(super) fn add(cfg: &mut web::ServiceConfig) {
            $(
                let checked = move |req: ServiceRequest, next: Next<_>| {
                    req.extensions_mut().insert(Routed($path));
                    guard($needs, req, next)
                };
                let resource = web::resource($path).guard(method::$method());
                cfg.service(resource.wrap(from_fn(checked)).to($handler));
            )*
            cfg.default_service(web::to(absent::not_found));
        }
    };
}

/// Methods as they are sent.
#[expect(non_upper_case_globals, reason = "they are named like the functions for them")]
mod name {
    pub(super) const Get: &str = "GET";
    pub(super) const Post: &str = "POST";
    pub(super) const Put: &str = "PUT";
    pub(super) const Delete: &str = "DELETE";
}

use Needs::{Admin, FirstToken, System, Token, TokenOrForm, TokenOrParameter};

routes! {
    Post "/write" => write::v1, TokenOrParameter;
    Post "/api/v2/write" => write::v2, Token;
    Post "/api/v3/write_lp" => write::v3, Token;
    Get "/api/v3/query_sql" => query::sql_get, Token;
    Post "/api/v3/query_sql" => query::sql_post, Token;
    Get "/api/v3/query_influxql" => query::influxql_get, Token;
    Post "/api/v3/query_influxql" => query::influxql_post, Token;
    Get "/query" => v1::get, TokenOrParameter;
    Post "/query" => v1::post, TokenOrForm;
    Get "/api/v3/configure/database" => databases::list, Token;
    Post "/api/v3/configure/database" => databases::create, Token;
    Put "/api/v3/configure/database" => databases::update, Token;
    Delete "/api/v3/configure/database" => databases::delete, Token;
    Post "/api/v3/configure/database/retention_period" => databases::set_retention, Token;
    Delete "/api/v3/configure/database/retention_period" => databases::clear_retention, Token;
    Post "/api/v3/configure/database/undelete" => databases::undelete, Token;
    Post "/api/v3/enterprise/configure/table/retention_period"
        => tables::set_retention, Token;
    Delete "/api/v3/enterprise/configure/table/retention_period"
        => tables::clear_retention, Token;
    Post "/api/v3/enterprise/configure/file_index" => tables::create_file_index, Token;
    Delete "/api/v3/enterprise/configure/file_index" => tables::delete_file_index, Token;
    Post "/api/v3/configure/table/undelete" => tables::undelete, Token;
    Post "/api/v3/configure/table" => tables::create, Token;
    Delete "/api/v3/configure/table" => tables::delete, Token;
    Post "/api/v3/configure/last_cache" => caches::create_last, Token;
    Delete "/api/v3/configure/last_cache" => caches::delete_last, Token;
    Post "/api/v3/configure/distinct_cache" => caches::create_distinct, Token;
    Delete "/api/v3/configure/distinct_cache" => caches::delete_distinct, Token;
    Post "/api/v3/row_delete_requests" => row_deletes::create, Token;
    Get "/api/v3/row_delete_requests" => row_deletes::list, Token;
    Post "/api/v3/row_delete_requests/{sequence}/abort" => row_deletes::abort, Token;
    Post "/api/v3/configure/compact" => compaction::begin, Admin;
    Get "/api/v3/configure/compact" => compaction::show, Admin;
    Post "/api/v3/configure/token/admin" => tokens::create_operator, FirstToken;
    Post "/api/v3/configure/token/admin/regenerate" => tokens::regenerate, Admin;
    Post "/api/v3/configure/token/named_admin" => tokens::create_admin, Admin;
    Post "/api/v3/enterprise/configure/token" => tokens::create_limited, Admin;
    Delete "/api/v3/configure/token" => tokens::delete, Admin;
    Post "/api/v3/configure/processing_engine_plugin" => triggers::create_plugin, Admin;
    Delete "/api/v3/configure/processing_engine_plugin" => triggers::delete_plugin, Admin;
    Post "/api/v3/configure/processing_engine_trigger" => triggers::create_trigger, Admin;
    Delete "/api/v3/configure/processing_engine_trigger" => triggers::delete_trigger, Admin;
    Post "/api/v3/configure/processing_engine_trigger/enable" => triggers::enable_trigger, Admin;
    Post "/api/v3/configure/processing_engine_trigger/disable" => triggers::disable_trigger, Admin;
    Post "/api/v3/configure/downsample" => downsamples::create, Admin;
    Delete "/api/v3/configure/downsample" => downsamples::delete, Admin;
    Post "/api/v3/configure/downsample/enable" => downsamples::enable, Admin;
    Post "/api/v3/configure/downsample/disable" => downsamples::disable, Admin;
    Post "/api/v3/plugins/files" => files::upload, Admin;
    Put "/api/v3/plugins/files" => files::replace, Admin;
    Put "/api/v3/plugins/directory" => files::replace_directory, Admin;
    Post "/api/v3/configure/plugin_environment/install_packages"
        => files::install_packages, Admin;
    Post "/api/v3/configure/plugin_environment/install_requirements"
        => files::install_requirements, Admin;
    Post "/api/v3/plugin_test/wal" => test_runs::writes, Admin;
    Post "/api/v3/plugin_test/schedule" => test_runs::schedule, Admin;
    Post "/api/v3/plugin_test/request" => test_runs::request, Admin;
    Post "/api/v3/session" => session::begin, Token;
    Delete "/api/v3/session" => session::end, Token;
    Get "/health" => health::health, System(Health);
    Get "/api/v1/health" => health::health, System(Health);
    Get "/ready" => health::ready, System(Ready);
    Get "/ping" => ping::ping, System(Ping);
    Post "/ping" => ping::ping, System(Ping);
    Get "/metrics" => metrics::metrics, System(Metrics);
    // Behind all that are found without a look at a pattern.
    Get "/api/v3/engine/{path:.+}" => engine::handle, Token;
    Post "/api/v3/engine/{path:.+}" => engine::handle, Token;
    Get "/api/v3/plugins/{path:.+}" => engine::handle_alias, Token;
    Post "/api/v3/plugins/{path:.+}" => engine::handle_alias, Token;
}
