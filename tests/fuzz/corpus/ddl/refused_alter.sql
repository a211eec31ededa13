alter table base alter column a type int;
