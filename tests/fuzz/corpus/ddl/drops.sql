drop table pair; drop index concurrently base_a;
alter table base drop constraint base_up_fkey;
alter table base drop column z, drop column g;
comment on table base is 'it''s'; comment on column base.a is null;
