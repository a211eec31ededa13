create index on base (a); create table c (x uuid, y date, n int, primary key (n), foreign key (x, y) references pair (x, y), foreign key (n) references base);
