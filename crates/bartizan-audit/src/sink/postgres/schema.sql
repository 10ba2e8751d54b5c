-- The entries of audit logs. Repeating it changes nothing.
create table if not exists bartizan_audit (
    -- The name of the log, and the entry's place in it.
    origin text not null,
    index bigint not null check (index >= 0),
    -- The leaf of the Merkle tree, and the bytes it is the hash of: proofs are made of these.
    hash bytea not null check (octet_length(hash) = 32),
    entry bytea not null check (octet_length(entry) between 1 and 65535),
    -- What follows says parts of the entry in words that a query can use.
    time timestamptz not null,
    kind text not null,
    -- allowed, denied, could_not_decide or would_have_denied.
    outcome text,
    code text,
    -- The subject of a token or key; of one that is sealed, what stands for it.
    principal text,
    issuer text,
    peer text,
    address inet,
    method text,
    -- The route template, or the gRPC method.
    route text,
    status integer,
    grpc_status integer,
    trace_id text,
    -- The whole entry.
    document jsonb not null,
    primary key (origin, index)
);
create index if not exists bartizan_audit_time on bartizan_audit (time);
create index if not exists bartizan_audit_code on bartizan_audit (code, time)
    where code is not null;
create index if not exists bartizan_audit_principal on bartizan_audit (principal, time)
    where principal is not null;
