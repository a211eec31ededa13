alter table pair drop constraint pair_base_fkey, add constraint pair_base_fkey foreign key (base) references base on delete cascade;
alter table base drop constraint base_m_check, add unique (z, up), add check (m between 1 and 9 or z is null);
