alter table base add check (lower(a) = 'x');
