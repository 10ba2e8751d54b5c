-- Key records, shared by every instance of a service. Repeating it changes nothing.

-- Texts without control characters; words without white space either, as Unicode has it.
create or replace function bartizan_api_keys_is_text(it text) returns boolean
    language sql immutable as $$
    select octet_length(it) between 1 and 256 and it !~ '[\u0001-\u001f\u007f-\u009f]'
$$;
create or replace function bartizan_api_keys_are_words(all_of_them text[]) returns boolean
    language sql immutable as $$
    select cardinality(all_of_them) <= 64 and coalesce(bool_and(
        octet_length(it) between 1 and 256 and it !~
        '[\u0001-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
    ), true) and array_position(all_of_them, null) is null
    from unnest(all_of_them) as them(it)
$$;

create table if not exists bartizan_api_keys (
    id text primary key check (id ~ '^[0-9A-Za-z]{12}$'),
    hash text not null check (hash ~ '^v1\.(-|[a-z0-9][a-z0-9-]{0,31})\.[0-9A-Za-z_-]{42}[048AEIMQUYcgkosw]$'),
    subject text not null check (bartizan_api_keys_is_text(subject)),
    name text check (bartizan_api_keys_is_text(name)),
    client text check (bartizan_api_keys_is_text(client)),
    tenant text check (bartizan_api_keys_is_text(tenant)),
    scopes text[] not null default '{}' check (bartizan_api_keys_are_words(scopes)),
    roles text[] not null default '{}' check (bartizan_api_keys_are_words(roles)),
    networks cidr[] not null default '{}'
        check (cardinality(networks) <= 64 and array_position(networks, null) is null),
    -- Times are in seconds since 1970.
    created bigint not null check (created >= 0),
    not_before bigint check (not_before >= 0),
    expires bigint check (expires >= 0),
    revoked bigint check (revoked >= 0),
    replaced_by text check (replaced_by ~ '^[0-9A-Za-z]{12}$'),
    -- To a minute. Written by the services, and no change of the key.
    last_used bigint check (last_used >= 0),
    check (expires >= not_before)
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
