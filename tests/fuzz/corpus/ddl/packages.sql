-- Two tables that know each other, and an index.
create table packages (
    name varchar(80) primary key,
    section text not null default 'main',
    installed_size bigint,
    price numeric(10,2) default -1.50,
    tags jsonb not null default '{}'::jsonb,
    seen timestamptz default now()
);
create table versions (
    id uuid primary key default gen_random_uuid(),
    package varchar(80) not null references packages (name) on delete no action,
    version_text text not null,
    payload bytea default '\x00ff',
    released date default '2026-02-28',
    constraint once unique (package, version_text)
);
create index on versions (package, released asc nulls last);
create unique index named on packages (section, name);
