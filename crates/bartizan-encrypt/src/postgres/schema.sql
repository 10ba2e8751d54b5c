-- Key records, shared by every instance of a service. Repeating it changes nothing.
create table if not exists bartizan_keys (
    id bytea primary key check (octet_length(id) = 8),
    tenant text not null,
    -- Empty for a tenant's own keys.
    subject text not null,
    purpose text not null,
    version bigint not null check (version between 1 and 4294967295),
    stage text not null,
    -- In seconds since 1970; set if, and only if, the key is destroyed.
    destroyed_at bigint check ((destroyed_at is null) = (stage <> 'destroyed')),
    created bigint not null,
    kek text not null,
    -- Nothing is left of a destroyed key.
    wrapped bytea not null check (stage <> 'destroyed' or octet_length(wrapped) = 0),
    -- Of two instances that make the same version, one does.
    constraint bartizan_keys_version unique (tenant, subject, purpose, version)
);
