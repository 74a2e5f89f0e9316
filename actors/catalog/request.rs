//! What the catalog can be asked for.

use protocols::messages::catalog::{
    AbortRowDelete, AcceptRowDelete, CompleteRowDelete, CreateDatabase, CreateDistinctCache,
    CreateLastCache, CreatePlugin, CreateTable, CreateToken, CreateTrigger, DeleteCache,
    DeleteDatabase, DeletePlugin, DeleteTable, DeleteToken, DeleteTrigger, DropRowDelete,
    EnsureSchema, RegenerateToken, RequestRowDelete, SetIndexedColumns, SetRetention,
    SetTableRetention, SetTriggerDisabled, UndeleteDatabase, UndeleteTable,
};

use protocols::messages::downsamples::{CreateDownsample, DeleteDownsample, SetDownsampleDisabled};

/// Everything that can ask for a change.
#[derive(Debug)]
pub(super) enum Request {
    EnsureSchema(EnsureSchema),
    CreateDatabase(CreateDatabase),
    SetRetention(SetRetention),
    SetTableRetention(SetTableRetention),
    SetIndexedColumns(SetIndexedColumns),
    DeleteDatabase(DeleteDatabase),
    CreateTable(CreateTable),
    DeleteTable(DeleteTable),
    UndeleteDatabase(UndeleteDatabase),
    UndeleteTable(UndeleteTable),
    RequestRowDelete(RequestRowDelete),
    AcceptRowDelete(AcceptRowDelete),
    DropRowDelete(DropRowDelete),
    CompleteRowDelete(CompleteRowDelete),
    AbortRowDelete(AbortRowDelete),
    CreateLastCache(CreateLastCache),
    CreateDistinctCache(CreateDistinctCache),
    DeleteCache(DeleteCache),
    CreateToken(CreateToken),
    RegenerateToken(RegenerateToken),
    DeleteToken(DeleteToken),
    CreatePlugin(CreatePlugin),
    DeletePlugin(DeletePlugin),
    CreateTrigger(CreateTrigger),
    SetTriggerDisabled(SetTriggerDisabled),
    DeleteTrigger(DeleteTrigger),
    CreateDownsample(CreateDownsample),
    SetDownsampleDisabled(SetDownsampleDisabled),
    DeleteDownsample(DeleteDownsample),
    SweepDeleted,
    NodeStopped,
}

impl Request {
    /// True if the request can take something away that an earlier one has just made sure of.
    pub(super) fn removes(&self) -> bool {
        matches!(self, Self::DeleteDatabase(_) | Self::DeleteTable(_) | Self::SweepDeleted)
    }
}
