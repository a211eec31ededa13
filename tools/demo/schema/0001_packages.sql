-- The Debian package index, as an application would keep it: one tenant per archive section.
create table maintainers (
    email text primary key,
    name text not null
);

create table packages (
    name text primary key,
    debian_version text not null,
    architecture text not null,
    priority text,
    maintainer text not null references maintainers (email),
    installed_kib bigint,
    size_bytes bigint not null default 0,
    homepage text,
    summary text not null
);

create index packages_maintainer on packages (maintainer);
