//! The part of [`super::plan`] about tokens. Who may ask was checked before.

use protocols::access::rights::Rights;
use protocols::access::tokens::{OPERATOR, Token};
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::ids::TokenId;
use protocols::messages::catalog::{
    CatalogError, CreateToken, DeleteToken, RegenerateToken, Wanted,
};
use protocols::principal::Principal;
use std::sync::Arc;

/// Limit: bytes of a token's name.
const NAME_BYTES_MAX: usize = 256;

pub(super) fn create(
    catalog: &CatalogSnapshot,
    wanted: &CreateToken,
    principal: &Principal,
    now_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let name = wanted.name.as_str();
    if catalog.tokens.named(name).is_some() {
        return Err(CatalogError::TokenExists(name.to_owned()));
    }
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let text =
            format!("a token's name has 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return Err(CatalogError::InvalidName(text));
    }
    let rights = match &wanted.wanted {
        Wanted::Admin => Rights::Admin,
        Wanted::Permissions(_) if name == OPERATOR => {
            let text = format!("{OPERATOR} is the name of the operator's token");
            return Err(CatalogError::InvalidName(text));
        }
        Wanted::Permissions(permissions) => Rights::of(permissions, catalog),
    };
    let token = Token {
        id: TokenId(catalog.tokens.next_id()),
        name: name.into(),
        secret: wanted.secret.clone(),
        rights,
        created_at_ns: now_ns,
        created_by: principal.token_id(),
        updated_at_ns: None,
        updated_by: None,
        expires_at_ns: wanted.expires_at_ns,
    };
    if catalog.tokens.has(&token.secret) {
        return Err(CatalogError::InvalidName("another token has the same text".to_owned()));
    }
    Ok(vec![Change::CreateToken(Arc::new(token))])
}

pub(super) fn regenerate(
    catalog: &CatalogSnapshot,
    wanted: &RegenerateToken,
    principal: &Principal,
    now_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let operator = catalog.tokens.named(OPERATOR).ok_or(CatalogError::NoOperatorToken)?;
    Ok(vec![Change::ReplaceToken {
        id: operator.id,
        secret: wanted.secret.clone(),
        updated_at_ns: now_ns,
        updated_by: principal.token_id(),
    }])
}

pub(super) fn delete(
    catalog: &CatalogSnapshot,
    unwanted: &DeleteToken,
) -> Result<Vec<Change>, CatalogError> {
    if unwanted.name == OPERATOR {
        return Err(CatalogError::OperatorToken);
    }
    let token = catalog.tokens.named(&unwanted.name);
    let token = token.ok_or_else(|| CatalogError::TokenNotFound(unwanted.name.clone()))?;
    Ok(vec![Change::DeleteToken { id: token.id }])
}
