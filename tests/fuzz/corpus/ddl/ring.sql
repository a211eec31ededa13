create table r (id int primary key, base int);
alter table base add r int references r on delete set null;
alter table r add constraint back foreign key (base) references base;
