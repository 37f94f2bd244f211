-- Tickets that are in no pack yet, or in one that says less than is known.
SELECT count(*) FROM pack_entries WHERE is_waiting;
