create table dependencies (
    package text not null references packages (name),
    position integer not null,
    requirement text not null,
    primary key (package, position)
);
