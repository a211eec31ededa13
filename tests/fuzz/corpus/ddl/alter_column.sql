alter table base add w int default 5 check (w > 0) unique references base, drop z;
alter table base rename a to label;
alter table base alter m set default -1.5, alter m set not null;
