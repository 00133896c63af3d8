begin;
-- Two workers that come first at once make the tables one after the other.
select pg_advisory_xact_lock(7610927440);
create table if not exists lacon_journal (
    run text not null,
    n bigint not null,
    kind text not null check (kind in ('claim', 'lines', 'record', 'release')),
    worker text not null,
    entry text not null,
    at timestamptz not null default now(),
    primary key (run, n)
);
create table if not exists lacon_heard (
    run text not null,
    claim bigint not null,
    at timestamptz not null default now(),
    primary key (run, claim)
);
create or replace view lacon_runs as
select distinct on (j.run)
    j.run,
    case j.kind when 'record' then j.entry::json ->> 'status' when 'release' then 'stopped' else 'running' end as status,
    j.worker,
    greatest(j.at, (select max(h.at) from lacon_heard h where h.run = j.run)) as heard
from lacon_journal j
order by j.run, j.n desc;
commit;
