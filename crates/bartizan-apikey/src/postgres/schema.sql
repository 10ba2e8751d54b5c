-- Key records, shared by every instance of a service. Repeating it changes nothing.
create table if not exists bartizan_api_keys (
    id text primary key check (id ~ '^[0-9A-Za-z]{12}$'),
    hash text not null check (hash ~ '^v1\.[a-z0-9-]{1,32}\.[0-9A-Za-z_-]{43}$'),
    subject text not null check (octet_length(subject) between 1 and 256),
    name text check (octet_length(name) between 1 and 256),
    client text check (octet_length(client) between 1 and 256),
    tenant text check (octet_length(tenant) between 1 and 256),
    scopes text[] not null default '{}' check (cardinality(scopes) <= 64),
    roles text[] not null default '{}' check (cardinality(roles) <= 64),
    networks cidr[] not null default '{}' check (cardinality(networks) <= 64),
    -- Times are in seconds since 1970.
    created bigint not null check (created >= 0),
    not_before bigint check (not_before >= 0),
    expires bigint check (expires >= 0),
    revoked bigint check (revoked >= 0),
    replaced_by text check (replaced_by ~ '^[0-9A-Za-z]{12}$'),
    -- To a minute. Written by the services, and no change of the key.
    last_used bigint check (last_used >= 0)
);

-- One row, one number more with each change, so that services read keys when there is something
-- to read. It begins anywhere: a table that was made anew is not taken for the old one.
create table if not exists bartizan_api_keys_revision (
    one boolean primary key default true check (one),
    revision bigint not null
);
insert into bartizan_api_keys_revision (revision)
    values ((random() * 1e15)::bigint) on conflict do nothing;

-- By a trigger, so that keys that somebody changes by hand count too. Who changes keys waits for
-- whoever does so at the same time, which keeps the numbers in the order of the changes.
create or replace function bartizan_api_keys_changed() returns trigger language plpgsql as $$
begin
    update bartizan_api_keys_revision set revision = revision + 1;
    return null;
end
$$;
create or replace trigger bartizan_api_keys_changed
    after insert or delete or update of
        id, hash, subject, name, client, tenant, scopes, roles, networks,
        created, not_before, expires, revoked, replaced_by
    on bartizan_api_keys for each statement execute function bartizan_api_keys_changed();
create or replace trigger bartizan_api_keys_emptied
    after truncate on bartizan_api_keys
    for each statement execute function bartizan_api_keys_changed();
