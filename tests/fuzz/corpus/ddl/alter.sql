alter table base add column w numeric(9,2) not null default 0.50, drop z;
alter table base rename m to n;
alter table base alter a set not null, alter a set default 'x', alter up drop not null;
